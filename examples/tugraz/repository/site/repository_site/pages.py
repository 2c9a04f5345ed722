"""The front page: which release this is, and how many records there are."""

import socket

from flask import Blueprint, current_app, render_template
from invenio_db import db
from invenio_records.models import RecordMetadata
from sqlalchemy.exc import SQLAlchemyError

from . import TAG, name_release

blueprint = Blueprint("repository_site", __name__)
blueprint.after_app_request(name_release)


@blueprint.route("/")
def index():
    """Render the front page, also while the database is away."""
    return render_template("index.html", tag=TAG, host=socket.gethostname(), records=count_records())


def count_records():
    """Return the number of records, or None without a database."""
    try:
        return RecordMetadata.query.count()
    except SQLAlchemyError as error:
        current_app.logger.warning("the database is not reachable: %s", error)
        db.session.rollback()
        return None

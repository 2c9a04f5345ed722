"""Records over HTTP: list, create, read. Files have a module of their own."""

from flask import Blueprint, jsonify, request
from invenio_cache import current_cache
from invenio_db import db
from invenio_records.api import Record
from invenio_records.models import RecordMetadata
from sqlalchemy.exc import OperationalError

from . import TAG, name_release
from .files import files
from .tasks import announce

blueprint = Blueprint("repository_site_api", __name__)
blueprint.after_app_request(name_release)
blueprint.register_blueprint(files)


@blueprint.errorhandler(OperationalError)
def database_away(error):
    """Say that it is not the caller's fault."""
    db.session.rollback()
    return jsonify(tag=TAG, message="The database is not reachable."), 503


@blueprint.route("/records")
def list_records():
    """List the first records."""
    hits = [{"id": str(row.id), "json": row.json} for row in RecordMetadata.query.limit(20)]
    return jsonify(tag=TAG, total=RecordMetadata.query.count(), hits=hits)


@blueprint.route("/records", methods=["POST"])
def create_record():
    """Store a record and announce it."""
    record = Record.create(request.get_json())
    db.session.commit()
    announce.delay(str(record.id))
    return jsonify(id=str(record.id)), 201


@blueprint.route("/records/<uuid:id_>")
def read_record(id_):
    """Read a record, and whether it was announced."""
    return jsonify(id=str(id_), json=Record.get_record(id_), announced=current_cache.get(f"announced:{id_}"))

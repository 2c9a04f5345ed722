"""Records over HTTP: list, create, read, search. Files have a module of their own."""

from flask import Blueprint, abort, current_app, jsonify, request
from invenio_cache import current_cache
from invenio_db import db
from invenio_records.api import Record
from invenio_records.models import RecordMetadata
from kombu.exceptions import OperationalError as QueueError
from redis.exceptions import RedisError
from sqlalchemy.exc import NoResultFound, OperationalError

from . import TAG, index, name_release
from .files import files
from .tasks import LONGEST, announce, index_record

blueprint = Blueprint("repository_site_api", __name__)
blueprint.after_app_request(name_release)
blueprint.register_blueprint(files)


@blueprint.errorhandler(OperationalError)
@blueprint.errorhandler(QueueError)
@blueprint.errorhandler(index.Away)
def service_away(error):
    """Say that it is not the caller's fault, and which service is away."""
    db.session.rollback()
    current_app.logger.warning("a service is not reachable: %s", error)
    services = {OperationalError: "database", QueueError: "message queue", index.Away: "search index"}
    service = next(name for kind, name in services.items() if isinstance(error, kind))
    return jsonify(tag=TAG, message=f"The {service} is not reachable."), 503


@blueprint.route("/records")
def list_records():
    """List the first records."""
    hits = [{"id": str(row.id), "json": row.json} for row in RecordMetadata.query.limit(20)]
    return jsonify(tag=TAG, total=RecordMetadata.query.count(), hits=hits)


@blueprint.route("/records", methods=["POST"])
def create_record():
    """Store a record, and have it indexed and announced.

    The tasks are queued before the commit, and wait for the record if they are faster: so nothing is
    stored that nobody will index, and a queue that is away is an error.
    """
    json = request.get_json()
    seconds = json.get("announce_seconds", 0) if isinstance(json, dict) else None
    if not isinstance(seconds, int) or not 0 <= seconds <= LONGEST:
        abort(400, f"A record is an object; its announce_seconds are 0 to {LONGEST}.")
    record = Record.create(json)
    db.session.flush()
    index_record.delay(str(record.id))
    announce.delay(str(record.id), seconds)
    db.session.commit()
    return jsonify(tag=TAG, id=str(record.id)), 201


@blueprint.route("/records/<uuid:id_>")
def read_record(id_):
    """Read a record, and what the worker has done with it."""
    try:
        json = Record.get_record(id_)
    except NoResultFound:
        abort(404, "There is no such record.")
    indexed, announced = what_is_done(id_)
    return jsonify(tag=TAG, id=str(id_), json=json, indexed=indexed, announced=announced)


@blueprint.route("/search")
def search_records():
    """Find records by the words of `q`."""
    total, hits = index.search(request.args.get("q", ""))
    return jsonify(tag=TAG, total=total, hits=hits)


def what_is_done(id_):
    """Return whether a record is indexed, and announced; None while the cache is away."""
    try:
        return [bool(mark) for mark in current_cache.get_many(f"indexed:{id_}", f"announced:{id_}")]
    except RedisError:
        return [None, None]

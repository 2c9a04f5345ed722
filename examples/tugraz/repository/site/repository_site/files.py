"""Files over HTTP, kept in the volume `uploaded_data`: store, read."""

import hashlib
import os
import tempfile

from flask import Blueprint, abort, current_app, jsonify, request, send_from_directory
from werkzeug.utils import secure_filename

from . import TAG

files = Blueprint("repository_site_files", __name__)


@files.route("/files/<name>", methods=["POST", "PUT"])
def store_file(name):
    """Store a file; it has its name only when it is whole."""
    if name != secure_filename(name):
        abort(400, "This is no name for a file.")
    if request.content_length is None:
        # NGINX passes a body on as it comes (uwsgi_request_buffering off), and uWSGI reads none
        # without a length: an empty file would be stored.
        abort(411, "Say how long the file is.")
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=folder(), prefix=".part-", delete=False) as part:
        try:
            while chunk := request.stream.read(1 << 16):
                digest.update(chunk)
                part.write(chunk)
            size = part.tell()
            part.flush()
            os.fsync(part.fileno())
            os.replace(part.name, os.path.join(folder(), name))
        except BaseException:
            os.unlink(part.name)
            raise
    return jsonify(tag=TAG, name=name, size=size, sha256=digest.hexdigest()), 201


@files.route("/files/<name>")
def read_file(name):
    """Send a file as it was stored."""
    return send_from_directory(folder(), name, as_attachment=True)


def folder():
    """Return where uploaded files are kept."""
    return os.path.join(current_app.instance_path, "data")

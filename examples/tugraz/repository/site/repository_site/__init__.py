"""The example repository: a page, a small API for records and files, one task."""

import os

TAG = os.environ.get("REPOSITORY_TAG", "dev")


def name_release(response):
    """Say with every answer which release it comes from."""
    response.headers["X-Release"] = TAG
    return response

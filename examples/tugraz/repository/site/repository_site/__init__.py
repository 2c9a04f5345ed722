"""The example repository: one page, a small API, one task."""

import os

TAG = os.environ.get("REPOSITORY_TAG", "dev")

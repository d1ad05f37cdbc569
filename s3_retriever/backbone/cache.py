"""Where converted models and trained banks are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "S3_RETRIEVER_CACHE"


def cache_folder() -> Path:
    """Return the package's cache folder, which may not exist yet.

    The environment variable ``S3_RETRIEVER_CACHE``, where set, else the platform's own place.
    """
    override = os.environ.get(CACHE_VARIABLE)
    return Path(override).expanduser() if override else platformdirs.user_cache_path("s3-retriever")

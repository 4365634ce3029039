"""Static files: hashed names, and the two files of others the API page needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ninja
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage

API_DOCS_FILES = ("ninja/swagger-ui-bundle.js", "ninja/swagger-ui.css")
_NINJA_STATIC = Path(ninja.__file__).parent / "static"


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Hash names and rewrite ``url()``; leave source-map comments alone."""

    patterns = (("*.css", HashedFilesMixin.patterns[0][1][:2]),)


class ApiDocsFinder(BaseFinder):
    """Find Swagger UI inside django-ninja, and nothing else of it."""

    def find(self, path: str, *_args: Any, **_options: Any) -> Any:
        """Return the file's path when it is one of ours, else an empty list."""
        return str(_NINJA_STATIC / path) if path in API_DOCS_FILES else []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[Any]:
        """Yield both files with the storage that holds them."""
        _ = ignore_patterns
        storage = FileSystemStorage(location=str(_NINJA_STATIC))
        return [(name, storage) for name in API_DOCS_FILES]

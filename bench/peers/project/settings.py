"""PostgreSQL and Redis as our product has them; everything else as documented."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

_database = urlsplit(os.environ["PEER_DATABASE"])
SECRET_KEY = "bench"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django_celery_outbox",
    "jaiminho",
    "project",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path[1:],
        "USER": _database.username,
        "HOST": _database.hostname,
        "PORT": _database.port,
        "CONN_MAX_AGE": 60,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING_CONFIG = None
CELERY_OUTBOX_APP = "project.outbox.app"
JAIMINHO_CONFIG = {
    "PUBLISH_STRATEGY": "keep-order",
    "DELETE_AFTER_SEND": True,
    "DEFAULT_CAPTURE_EXCEPTION": None,
}

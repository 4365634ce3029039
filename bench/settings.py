"""The product's settings plus what only the peers need: Django admin and one table."""

from __future__ import annotations

from nms_admin import settings as product

globals().update(
    {name: getattr(product, name) for name in dir(product) if name.isupper()}
)
INSTALLED_APPS = [*product.INSTALLED_APPS, "django.contrib.admin", "bench"]
ROOT_URLCONF = "bench.urls"
TEMPLATES = [{**product.TEMPLATES[0], "APP_DIRS": True}]
ALLOWED_HOSTS = ["127.0.0.1"]
MIGRATION_MODULES = {"bench": None}

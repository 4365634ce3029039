"""Loaded by pytest before Django's settings: a data folder and switches of its own."""

from __future__ import annotations

import os
import tempfile

for name in [name for name in os.environ if name.startswith("NMS_")]:
    if not name.startswith("NMS_TEST_"):
        del os.environ[name]
os.environ.pop("DO_NOT_TRACK", None)
os.environ["NMS_DATA_DIR"] = tempfile.mkdtemp(prefix="nms-test-")
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps a loop running
if os.environ.get("NMS_TEST_DATABASE") == "postgresql":
    os.environ["NMS_DATABASE_URL"] = os.environ["NMS_TEST_DATABASE_URL"]

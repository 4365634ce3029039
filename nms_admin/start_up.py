"""What happens once before the processes start."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def prepare(now: datetime) -> None:
    """Stamp the data folder with its mode and look for a restored database.

    Raises:
        ImproperlyConfigured: The folder belongs to the other mode.
    """
    _ = now
    stamp = settings.NMS_DATA_DIR / "mode"
    if not stamp.exists():
        stamp.write_text(settings.NMS_F5_MODE + "\n")
    found = stamp.read_text().strip()
    if found != settings.NMS_F5_MODE:
        raise ImproperlyConfigured(
            f"{settings.NMS_DATA_DIR} was made in {found} mode and NMS_F5_MODE is"
            f" {settings.NMS_F5_MODE}. Give this mode a folder of its own with"
            " NMS_DATA_DIR, or set NMS_F5_MODE back."
        )

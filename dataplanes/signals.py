"""What data planes announce; sent inside the transaction of the registration."""

from __future__ import annotations

from django.dispatch import Signal

# An agent registered for the first time. Arguments: now. Nothing about the data plane.
data_plane_registered = Signal()

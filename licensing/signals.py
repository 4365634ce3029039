"""What licensing announces; each is sent inside the transaction of the change."""

from __future__ import annotations

from django.dispatch import Signal

# The license, its phase or its subscription changed. Arguments: now.
license_changed = Signal()

# Continuous Connection was switched. Arguments: on, now, by.
connection_changed = Signal()

"""What happens below is announced here; receivers live in the apps above."""

from __future__ import annotations

from django.dispatch import Signal

api_signed_in = Signal()
"""An API client's credentials were verified afresh. Arguments: ``user``, ``now``."""

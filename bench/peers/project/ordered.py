"""The same call behind django-jaiminho: kept in a table, called by a relay."""

from __future__ import annotations

from jaiminho.send import save_to_outbox
from project import sending


@save_to_outbox
def post(content: dict[str, str]) -> None:
    """Send one event."""
    sending.post(content)

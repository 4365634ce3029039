"""The same task behind django-celery-outbox: kept in a table, published by a relay."""

from __future__ import annotations

from django_celery_outbox import OutboxCelery
from project import sending
from project.plain import CONFIG

app = OutboxCelery("project")
app.conf.update(CONFIG)


@app.task(name="post")
def post(content: dict[str, str]) -> None:
    """Send one event."""
    sending.post(content)

"""Delete what is past its time in portions, so that nothing holds a lock for long."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

MOST = 2000  # rows of one table in one run: the next run goes on


def delete_some(rows: QuerySet[Any], most: int = 0) -> int:
    """Delete rows of a query, those with the lowest keys first; return how many.

    Args:
        rows: All that is past its time; what is left of it is for the next run.
        most: How many go at once; ``MOST`` when not said.
    """
    keys = rows.order_by("pk").values_list("pk", flat=True)
    old = list(keys[: most or MOST])
    if old:
        rows.model._default_manager.filter(pk__in=old).delete()
    return len(old)

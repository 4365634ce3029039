"""The Data planes page with 1 000 and with 100 000 of them, and the session floor."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from bench.pages import ROUNDS, Browser, _signed_in, server
from bench.report import Row, median, ratios
from dataplanes.models import DataPlane

PAGE = "/ui/data-planes"
FEW, MANY = 1_000, 100_000


def _fill(numbers: range) -> None:
    now = timezone.now()
    DataPlane.objects.bulk_create(
        (
            DataPlane(
                system_uid=f"0d4f3b52-6f0e-3b0e-9b44-{number:012}",
                name=f"edge-{number}.example.net",
                hostname=f"edge-{number}",
                agent_version="2.46.7",
                nginx_version="1.27.4",
                registered_at=now,
                seen_at=now - timedelta(seconds=number),
            )
            for number in numbers
        ),
        batch_size=1_000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _measure(browser: Browser, paths: dict[str, str]) -> dict[str, list[float]]:
    for path in paths.values():
        browser.p50(path)
    taken: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(ROUNDS):
        for name in paths if number % 2 == 0 else reversed(paths):
            taken[name].append(browser.p50(paths[name]))
    return taken


def run() -> list[Row]:
    """Return the page's time at both sizes."""
    _, cookie = _signed_in()
    paths = {"page": PAGE, "floor": "/floor"}
    with server() as port:
        _fill(range(FEW))
        few = _measure(Browser(port, cookie), paths)
        _fill(range(FEW, MANY))
        many = _measure(Browser(port, cookie), paths)

    case = f"Data planes page, {MANY:,} of them ({connection.vendor})"
    subject = f"p50 {median(many['page']) / 1000:.2f} ms"
    rows = []
    for label, reference, goal in (
        ("session and user alone", many["floor"], "≤ 12×"),
        (f"{FEW:,} of them", few["page"], "≤ 1.2×"),
    ):
        ratio, spread = ratios(many["page"], reference)
        other = f"{label} {median(reference) / 1000:.2f} ms"
        rows.append(Row(case, subject, other, ratio, spread, goal))
    return rows

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
    """Return the page's time at both sizes, and that of a search in vain."""
    _, cookie = _signed_in()
    paths = {"page": PAGE, "search": f"{PAGE}?q=nowhere", "floor": "/floor"}
    with server() as port:
        _fill(range(FEW))
        few = _measure(Browser(port, cookie), paths)
        _fill(range(FEW, MANY))
        many = _measure(Browser(port, cookie), paths)

    def row(case: str, subject: list[float], name: str, other: list[float], goal: str):
        ratio, spread = ratios(subject, other)
        found = f"p50 {median(subject) / 1000:.2f} ms"
        return Row(
            case, found, f"{name} {median(other) / 1000:.2f} ms", ratio, spread, goal
        )

    floor, size = "session and user alone", f"{FEW:,}"
    case = f"Data planes page, {MANY:,} of them ({connection.vendor})"
    searching = f"the same, a search that finds nothing ({connection.vendor})"
    return [
        row(case, many["page"], floor, many["floor"], "≤ 10×"),
        row(case, many["page"], f"{size} of them", few["page"], "≤ 1.2×"),
        row(searching, many["search"], f"{size} of them", few["search"], ""),
    ]

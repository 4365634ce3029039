"""Tables and lines to download, written while they are sent."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from django.http import StreamingHttpResponse

RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_line(*cells: object) -> str:
    """Return one line of CSV; a cell that a spreadsheet would run is quoted by a '."""
    safe = [f"'{cell}" if str(cell).startswith(RISKY) else str(cell) for cell in cells]
    file = io.StringIO()
    csv.writer(file).writerow(safe)
    return file.getvalue()


def download(lines: Iterable[str], kind: str, name: str) -> StreamingHttpResponse:
    """Answer with lines as a file, kept by nobody on the way.

    Args:
        kind: The media type, such as ``text/csv``; the text is UTF-8.
        name: What the file is called; ASCII, without quotes.
    """
    answer = StreamingHttpResponse(lines, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    return answer

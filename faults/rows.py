"""One line of the table: what was done, and whether everything held."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

MOST_RSS_MB, MOST_P95_MS = 200.0, 300.0
HEAD = (
    "| case | on | lost | doubled | mutated | secrets | worker RSS | page p95 | held |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---|"
)


@dataclass
class Row:
    """What one case found; ``wrong`` names what else did not hold.

    Attributes:
        lost: Committed events that are neither delivered nor waiting nor accounted for.
        doubled: Effects at the receiver beyond one for each event.
        mutated: Retries with other bytes, another key or another token.
        secrets: Receivers that could not prove who they are and got a token, a key or
            a body.
        rss_mb: The largest worker, in MB; None when none was measured.
        p95_ms: Of the pages asked for meanwhile; None when none was.
    """

    case: str
    on: str
    lost: int = 0
    doubled: int = 0
    mutated: int = 0
    secrets: int = 0
    rss_mb: float | None = None
    p95_ms: float | None = None
    note: str = ""
    wrong: list[str] = field(default_factory=list)
    not_run: str = ""

    def held(self) -> bool:
        """Return whether every invariant held."""
        return not (self.not_run or self.failures())

    def failures(self) -> list[str]:
        """Return what did not hold, in words."""
        counts = ("lost", "doubled", "mutated", "secrets")
        found = [f"{getattr(self, name)} {name}" for name in counts]
        found = [text for text in found if not text.startswith("0 ")]
        if self.rss_mb and self.rss_mb > MOST_RSS_MB:
            found.append(f"worker over {MOST_RSS_MB:.0f} MB")
        if self.p95_ms and self.p95_ms > MOST_P95_MS:
            found.append(f"pages over {MOST_P95_MS:.0f} ms")
        return found + self.wrong

    def dump(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        said = (
            f"NOT RUN: {self.not_run}" if self.not_run else "; ".join(self.failures())
        )
        verdict = said or "yes"
        case = f"{self.case} ({self.note})" if self.note else self.case
        if self.not_run:
            return f"| {case} | {self.on} | | | | | | | {verdict} |"
        rss = f"{self.rss_mb:.0f} MB" if self.rss_mb else "–"
        p95 = f"{self.p95_ms:.0f} ms" if self.p95_ms else "–"
        return (
            f"| {case} | {self.on} | {self.lost} | {self.doubled} | {self.mutated} |"
            f" {self.secrets} | {rss} | {p95} | {verdict} |"
        )


def load(line: str) -> Row:
    """Return the row that ``dump`` wrote."""
    return Row(**json.loads(line))

"""What arrived, and what it did: kept in memory, within bounds."""

from __future__ import annotations

import base64
import threading
from collections import Counter, deque
from collections.abc import Sequence

from sandbox.wire import Request

MAX_REQUESTS = 10_000
MAX_BYTES = 32 * 1024 * 1024
MAX_KEYS = 100_000
MAX_RECORDS = 4_000_000
MAX_PATHS = 1_000
COUNTS = [
    "requests_vendor",
    "requests_collector",
    "batches_unique",
    "batches_repeated",
    "batches_mutated",
    "records_unique",
    "records_duplicated",
    "reports_unique",
    "reports_repeated",
    "files_unique",
    "files_repeated",
    "files_mutated",
]


def as_dict(request: Request) -> dict[str, object]:
    """Return an arrival as the control call lists it."""
    return {
        "n": request.n,
        "at": request.at,
        "port": request.host,
        "method": request.method,
        "path": request.target,
        "headers": request.headers,
        "body_base64": base64.b64encode(request.body).decode(),
        "sha256": request.sha256,
        "status": request.status,
        "fault": request.fault,
    }


class Store:
    """Everything that arrived since the start or the last reset.

    Bounded: the newest 10,000 requests or 32 MiB of bodies, 100,000 batch
    keys, 4,000,000 record ids. The oldest requests and keys go first; counters
    go on. Record ids are kept as 64-bit hashes, one machine word each.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n = 0
        self._clear()

    def _clear(self) -> None:
        self._arrivals: deque[Request] = deque()
        self._bytes = 0
        self._keys: dict[str, str] = {}
        self._records: set[int] = set()
        self._reports: dict[str, tuple[bytes, int]] = {}
        self._by_path: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def reset(self) -> None:
        """Forget everything; the numbering of requests goes on."""
        with self._lock:
            self._clear()

    def add(self, request: Request) -> None:
        """Number and log a request, before it is answered."""
        with self._lock:
            self._n += 1
            request.n = self._n
            self._arrivals.append(request)
            self._bytes += len(request.body)
            while len(self._arrivals) > MAX_REQUESTS or self._bytes > MAX_BYTES:
                self._bytes -= len(self._arrivals.popleft().body)
            known = request.path in self._by_path or len(self._by_path) < MAX_PATHS
            self._by_path[request.path if known else "other"] += 1
            self._counts[f"requests_{request.host}"] += 1

    def arrivals(
        self, *, host: str | None = None, prefix: str = "", since: int = 0
    ) -> list[Request]:
        """Return the kept requests after number ``since``, oldest first."""
        with self._lock:
            return [
                arrival
                for arrival in self._arrivals
                if arrival.n > since
                and host in (None, arrival.host)
                and arrival.target.startswith(prefix)
            ]

    def settle_batch(self, key: str, sha256: str, ids: Sequence[str]) -> str:
        """Count a batch once per key.

        Returns:
            "new" the first time, "repeated" for the same key with the same
            bytes, "mutated" for the same key with other bytes.
        """
        with self._lock:
            outcome = self._settle("batches", key, sha256)
            if outcome == "new":
                self._count_records(ids)
        return outcome

    def settle_file(self, key: str, sha256: str) -> str:
        """Count a file of usage once per key; returns what ``settle_batch`` does."""
        with self._lock:
            return self._settle("files", key, sha256)

    def _settle(self, kind: str, key: str, sha256: str) -> str:
        before = self._keys.get(f"{kind} {key}")
        if before is not None:
            outcome = "repeated" if before == sha256 else "mutated"
            self._counts[f"{kind}_{outcome}"] += 1
            return outcome
        self._keys[f"{kind} {key}"] = sha256
        if len(self._keys) > MAX_KEYS:
            del self._keys[next(iter(self._keys))]
        self._counts[f"{kind}_unique"] += 1
        return "new"

    def _count_records(self, ids: Sequence[str]) -> None:
        new = {hash(record_id) for record_id in ids} - self._records
        self._counts["records_unique"] += len(new)
        self._counts["records_duplicated"] += len(ids) - len(new)
        if len(self._records) < MAX_RECORDS:
            self._records |= new

    def settle_report(
        self, status_id: str, acknowledgement: bytes, successful: int = 100
    ) -> None:
        """Keep the acknowledgement of an uploaded usage report (newest 1,000).

        Args:
            successful: How much of the report was taken, in percent.
        """
        with self._lock:
            repeated = status_id in self._reports
            self._counts["reports_repeated" if repeated else "reports_unique"] += 1
            self._reports[status_id] = acknowledgement, successful
            if len(self._reports) > 1_000:
                del self._reports[next(iter(self._reports))]

    def acknowledgement(self, status_id: str) -> bytes | None:
        """Return the acknowledgement of an upload; None if there was no such."""
        with self._lock:
            found = self._reports.get(status_id)
            return found[0] if found else None

    def successful(self, status_id: str) -> int:
        """Return how much of an upload was taken, in percent; 0 without one."""
        with self._lock:
            return self._reports.get(status_id, (b"", 0))[1]

    def stats(self) -> dict[str, object]:
        """Return every counter, zeros included, and the requests by path."""
        with self._lock:
            counts: dict[str, object] = {name: self._counts[name] for name in COUNTS}
            return {**counts, "by_path": dict(sorted(self._by_path.items()))}

"""Who is let in: agents with a token of this server and an identity."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import grpc
import structlog
from django.utils import timezone

from dataplanes import services
from dataplanes.models import Refusals

TOKENS_LAST_SECONDS = 1.0
NOTE_EVERY_SECONDS = 60.0
COUNT_EVERY_SECONDS = 10.0
IDENTITY = re.compile(r"[A-Za-z0-9._:-]{1,64}")
ANSWERS = {
    Refusals.Reason.TOKEN: (
        grpc.StatusCode.UNAUTHENTICATED,
        "The token is not in force here; set server.token to one issued by the console.",
    ),
    Refusals.Reason.NO_ID: (
        grpc.StatusCode.FAILED_PRECONDITION,
        "The agent sends no system ID; give its container a machine ID.",
    ),
    Refusals.Reason.UNREADABLE: (
        grpc.StatusCode.INVALID_ARGUMENT,
        "The message is not one of NGINX Agent version 2.",
    ),
}
Job = Callable[..., Any]
log = structlog.get_logger(__name__)


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Asks every call for token and identity, and counts those it refuses.

    Args:
        in_database: Runs a function where the database may be used, and returns what
            it returned; None when the database failed.
    """

    def __init__(self, in_database: Callable[..., Awaitable[Any]]) -> None:
        self.in_database = in_database
        self.digests: set[str] = set()
        self.reading = asyncio.Lock()
        self.read_at = self.counted_at = -TOKENS_LAST_SECONDS - COUNT_EVERY_SECONDS
        self.used: dict[str, float] = {}
        self.uncounted: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()

    async def intercept_service(self, continuation: Job, details: Any) -> Any:
        """Hand a call on to its method, or to one that only refuses."""
        metadata = dict(details.invocation_metadata)
        reason = await self.objection(metadata)
        if reason is None:
            return await continuation(details)

        async def refuse(_requests: Any, context: Any) -> None:
            await self.refuse(context, reason)

        return grpc.stream_stream_rpc_method_handler(refuse)

    async def objection(self, metadata: dict[str, Any]) -> Refusals.Reason | None:
        """Return why an agent is not let in; None when it is."""
        if not await self._is_valid(str(metadata.get("authorization", ""))):
            return Refusals.Reason.TOKEN
        if not IDENTITY.fullmatch(str(metadata.get("uuid", ""))):
            return Refusals.Reason.NO_ID
        return None

    async def refuse(self, context: Any, reason: Refusals.Reason) -> None:
        """End a call with what is wrong; log the first, the second, the fourth, …"""
        self.uncounted[reason] += 1
        self.refusals[reason] += 1
        times = self.refusals[reason]
        if times & (times - 1) == 0:
            log.warning("agent.refused", reason=reason.label, times=times)
        if monotonic() - self.counted_at > COUNT_EVERY_SECONDS:
            await self.count()
        code, sentence = ANSWERS[reason]
        await context.abort(code, sentence)

    async def count(self) -> None:
        """Store how many were refused since the last time."""
        counts, self.uncounted = self.uncounted, Counter()
        self.counted_at = monotonic()
        if counts:
            await self.in_database(services.count_refusals, counts, now=timezone.now())

    async def _is_valid(self, token: str) -> bool:
        async with self.reading:
            if monotonic() - self.read_at > TOKENS_LAST_SECONDS:
                found = await self.in_database(services.digests_in_force)
                self.digests = self.digests if found is None else found
                self.read_at = monotonic()
        digest = services.digest(token)
        if digest not in self.digests:
            return False
        if (
            monotonic() - self.used.get(digest, -NOTE_EVERY_SECONDS)
            >= NOTE_EVERY_SECONDS
        ):
            self.used[digest] = monotonic()
            await self.in_database(services.token_used, digest, now=timezone.now())
        return True

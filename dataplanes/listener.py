"""The gRPC server NGINX Agents of version 2 register at.

An agent holds three streams for as long as it lives. What it says on CommandChannel is
read; configurations, metrics and events are received, as it insists, and thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import grpc
import structlog
from django.db import Error, close_old_connections, connections
from django.utils import timezone
from google.protobuf.message import DecodeError

from dataplanes import reading, services
from dataplanes.agent_pb2 import AgentConnectStatus, Command, UploadStatus
from dataplanes.doorkeeper import NOTE_EVERY_SECONDS, Doorkeeper
from dataplanes.models import Refusals
from dataplanes.reading import Sighting

PACKAGE = "f5.nginx.agent.sdk"
OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second listener on the port must fail
    (
        "grpc.http2.min_ping_interval_without_data_ms",
        10_000,
    ),  # agents ping idle streams
)
STOP_SECONDS = 0.5
log = structlog.get_logger(__name__)


class Listener:
    """Takes agents in; everything that touches the database has a thread of its own."""

    def __init__(self) -> None:
        self.database = ThreadPoolExecutor(1, thread_name_prefix="database")
        self.doorkeeper = Doorkeeper(self.in_database)
        self.server = grpc.aio.server(
            interceptors=[self.doorkeeper], options=OPTIONS, handlers=self._handlers()
        )

    async def start(
        self, host: str, port: int, certificate: tuple[bytes, bytes] | None = None
    ) -> int:
        """Listen; return the port, which the system chooses when it is 0.

        Args:
            certificate: Key and certificate chain in PEM; None for plain text.

        Raises:
            RuntimeError: The address cannot be used.
        """
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if certificate:
            credentials = grpc.ssl_server_credentials([certificate])
            chosen = self.server.add_secure_port(at, credentials)
        else:
            chosen = self.server.add_insecure_port(at)
        await self.server.start()
        return int(chosen)

    async def stop(self) -> None:
        """End every stream, finish what is being written, and leave no thread behind."""
        await self.server.stop(STOP_SECONDS)
        await self.doorkeeper.count()
        self.database.submit(connections.close_all)
        self.database.shutdown()

    async def in_database(
        self, work: Callable[..., Any], *args: Any, **more: Any
    ) -> Any:
        """Run a function in the database's thread; None when the database failed.

        It is run also when the agent that caused it is gone in the meantime.
        """

        def job() -> Any:
            close_old_connections()
            try:
                return work(*args, **more)
            except Error:
                log.exception("agent.not_recorded")
                return None
            finally:
                close_old_connections()

        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self.database, job))

    async def command_channel(
        self, messages: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[Command]:
        """Register and see a data plane; answer the one message that wants an answer.

        The order of messages is not fixed. After a restart of this server an agent does
        not repeat its first message: then whatever shows an NGINX registers it.
        """
        stream = Stream(self, context)
        async for message in messages:
            try:
                command = Command.FromString(message)
            except DecodeError:
                await self.doorkeeper.refuse(context, Refusals.Reason.UNREADABLE)
                return
            await stream.read(command)
            if command.HasField("agent_connect_request"):
                yield _welcome(command)

    async def upload(
        self, messages: AsyncIterator[bytes], _context: Any
    ) -> UploadStatus:
        """Throw a configuration away, and say OK: an agent tries again otherwise."""
        await _drain(messages)
        return UploadStatus(status=UploadStatus.OK)

    async def discard(self, messages: AsyncIterator[bytes], _context: Any) -> bytes:
        """Throw metrics or events away; answers an empty message."""
        await _drain(messages)
        return b""

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        commander = {
            "CommandChannel": grpc.stream_stream_rpc_method_handler(
                self.command_channel, response_serializer=Command.SerializeToString
            ),
            "Upload": grpc.stream_unary_rpc_method_handler(
                self.upload, response_serializer=UploadStatus.SerializeToString
            ),
        }
        metrics = {
            name: grpc.stream_unary_rpc_method_handler(self.discard)
            for name in ("Stream", "StreamEvents")
        }
        return [
            grpc.method_handlers_generic_handler(f"{PACKAGE}.Commander", commander),
            grpc.method_handlers_generic_handler(f"{PACKAGE}.MetricsService", metrics),
        ]


class Stream:
    """One CommandChannel: whose it is, and when its data plane was last noted."""

    def __init__(self, listener: Listener, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self.metadata = metadata
        self.listener = listener
        self.context = context
        self.system_uid = str(metadata["uuid"])
        self.version = reading.agent_version(str(metadata.get("user-agent", "")))
        self.noted_at = -NOTE_EVERY_SECONDS
        self.shown = False  # an NGINX was, and was noted

    async def read(self, command: Command) -> None:
        """Note what a message tells; the database is asked at most once a minute
        unless the message tells something new."""
        if reason := await self.listener.doorkeeper.objection(self.metadata):
            await self.listener.doorkeeper.refuse(self.context, reason)
        sighting = reading.read(command)
        new = sighting.facts or (sighting.shows_nginx and not self.shown)
        if not new and monotonic() - self.noted_at < NOTE_EVERY_SECONDS:
            return
        if self.version:
            facts = {"agent_version": self.version, **sighting.facts}
            sighting = Sighting(sighting.shows_nginx, facts)
        first = await self.listener.in_database(
            services.sighted, self.system_uid, sighting, now=timezone.now()
        )
        if first is None:
            await self.context.abort(grpc.StatusCode.UNAVAILABLE, "Try again later.")
        self.noted_at = monotonic()
        self.shown = self.shown or sighting.shows_nginx
        if first:
            log.info("data_plane.registered")


def _welcome(command: Command) -> Command:
    """Return the answer to a connect request; without a config the agent would end."""
    answer = Command()
    answer.meta.message_id = command.meta.message_id
    answer.agent_connect_response.agent_config.SetInParent()
    answer.agent_connect_response.status.status_code = AgentConnectStatus.OK
    return answer


async def _drain(messages: AsyncIterator[bytes]) -> None:
    async for _ in messages:
        pass

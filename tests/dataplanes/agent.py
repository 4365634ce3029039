"""A fake NGINX Agent, version 2, as it was seen on the wire; bytes of its own making.

It opens three streams, says what real agents say in their order, asks for registration
once in its life, and comes back by itself when the server was away.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc

SDK = "/f5.nginx.agent.sdk"
VERSION = "2.46.7"
NGINX_ID = "b636d4376dea15405589692d3c5d3869ff3a9b26b0e7bb4bb1aa7e658ace1437"


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number: int, value: bytes | str | int) -> bytes:
    """Return one field: text, bytes and messages with their length, else a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def fields(raw: bytes) -> dict[int, bytes | int]:
    """Return the fields of a message; the last of each number."""
    found: dict[int, bytes | int] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            value |= (raw[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if raw[at - 1] < 128:
                return value

    while at < len(raw):
        tag = number()
        size = number()
        if tag & 7 == 2:
            found[tag >> 3] = raw[at : at + size]
            at += size
        else:
            found[tag >> 3] = size
    return found


class Messages:
    """What one agent says, as the bytes it puts on the wire."""

    def __init__(
        self,
        uuid: str,
        *,
        hostname: str = "edge-1.example.net",
        nginx_id: str = NGINX_ID,
        nginx: bool = True,
        plus: bool = False,
    ) -> None:
        self.uuid = uuid
        self.hostname = hostname
        self.nginx_id = nginx_id
        self.nginx = nginx
        self.plus = plus

    def command(self, number: int, content: bytes) -> bytes:
        stamp = field(1, 1_795_000_000) + field(2, 5)
        meta = field(1, stamp) + field(2, self.uuid) + field(3, "message-1")
        return field(1, meta + field(4, "a-random-account")) + field(number, content)

    def started(self) -> bytes:
        """An event_report, of which we read nothing."""
        said = f"nginx-agent v{VERSION} started on {self.hostname} with pid 7"
        return self.command(12, field(1, field(2, said)))

    def host(self) -> bytes:
        release = field(1, "bookworm") + field(2, "debian")
        release += field(3, "Debian GNU/Linux") + field(4, "12") + field(5, "12 (b)")
        found = field(1, f"agent-{VERSION}") + field(2, 1_794_000_000)
        found += field(3, self.hostname) + field(4, self.hostname) + field(5, "linux")
        return found + field(6, self.uuid) + field(11, release) + field(77, "unknown")

    def details(self) -> bytes:
        plus = field(1, int(self.plus)) + field(2, "R33" if self.plus else "")
        found = field(1, self.nginx_id) + field(2, "1.27.4")
        found += field(3, "/etc/nginx/nginx.conf") + field(4, "42")
        return (
            found + field(5, "/usr/sbin/nginx") + field(6, 1_794_999) + field(10, plus)
        )

    def connect(self) -> bytes:
        """The agent_connect_request, sent once in an agent's life."""
        meta = field(1, f"v{VERSION}") + field(2, self.hostname) + field(3, "a-tag")
        meta += field(7, self.uuid) + field(8, field(1, "features"))
        return self.command(
            6, field(2, meta) + field(3, self.details()) + field(4, self.host())
        )

    def status(self) -> bytes:
        """The first dataplane_status: host, and details and health of an NGINX."""
        content = field(1, "") + field(3, self.host())
        if self.nginx:
            content = field(2, self.details()) + content + field(5, self.health())
        return self.command(11, content)

    def heartbeat(self) -> bytes:
        """A dataplane_status of every 30 seconds: health only."""
        return self.command(11, field(5, self.health()) if self.nginx else b"")

    def health(self) -> bytes:
        return field(1, self.nginx_id) + field(2, 1)

    def upload(self) -> list[bytes]:
        """A configuration in chunks; its checksum is text that is no UTF-8."""
        config = b'{"directoryMap": "the whole NGINX configuration"}'
        checksum = hashlib.sha256(config).digest() + b"\xff\xfe"
        header = field(2, 1) + field(3, checksum) + field(4, 4096)
        return [field(1, header), field(2, field(2, 0) + field(3, config))]


class FakeAgent:
    """One agent process, in threads of its own.

    Args:
        target: ``host:port`` of the listener.
        uuid: Its system ID.
        token: ``server.token`` of its configuration.
        root_certificates: PEM to trust; None for plain text.
        status_first: Whether the status comes before the connect request.
        heartbeat: Seconds between two.
        server_name: The TLS name to expect instead of the target's.
        more: As ``Messages`` takes them.
    """

    def __init__(
        self,
        target: str,
        uuid: str,
        token: str,
        root_certificates: bytes | None = None,
        *,
        status_first: bool = False,
        heartbeat: float = 30.0,
        server_name: str = "",
        **more: object,
    ) -> None:
        self.target = target
        self.messages = Messages(uuid, **more)
        self.metadata = (
            ("authorization", token),
            ("bearer", token),
            ("uuid", uuid),
        )
        self.root_certificates = root_certificates
        self.server_name = server_name
        self.status_first = status_first
        self.pause = heartbeat
        self.asked = False  # for its registration, once in its life
        self.connections = 0
        self.answers: list[bytes] = []
        self.refusals: list[tuple[grpc.StatusCode, str]] = []
        self.uploads: list[bytes] = []
        self._welcome = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def start(self) -> FakeAgent:
        """Connect, and stay."""
        self._thread.start()
        return self

    def registered(self, timeout: float = 10.0) -> bool:
        """Wait for the answer to the connect request; False when it does not come."""
        return self._welcome.wait(timeout)

    def stop(self) -> None:
        """End the process."""
        self._stopping.set()
        self._thread.join(10)

    def _live(self) -> None:
        wait = 0.1
        while not self._stopping.is_set():
            with self._channel() as channel:
                try:
                    grpc.channel_ready_future(channel).result(timeout=1)
                    self._talk(channel)
                except grpc.FutureTimeoutError:
                    pass
                except grpc.RpcError as error:
                    self.refusals.append((error.code(), error.details()))
            self._stopping.wait(wait)
            wait = min(1.0, wait * 1.5)

    def _channel(self) -> grpc.Channel:
        options = [
            ("grpc.primary_user_agent", f"nginx-agent/{VERSION}"),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.root_certificates is None:
            return grpc.insecure_channel(self.target, options)
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        credentials = grpc.ssl_channel_credentials(self.root_certificates)
        return grpc.secure_channel(self.target, credentials, options)

    def _talk(self, channel: grpc.Channel) -> None:
        """Hold the three streams until the CommandChannel ends."""
        self.connections += 1
        ended, welcome = threading.Event(), threading.Event()
        held = [  # a stream that nobody holds is cancelled
            channel.stream_unary(f"{SDK}.MetricsService/{name}").future(
                self._metrics(welcome, ended), metadata=self.metadata
            )
            for name in ("Stream", "StreamEvents")
        ]
        call = channel.stream_stream(f"{SDK}.Commander/CommandChannel")(
            self._says(ended), metadata=self.metadata
        )
        threading.Thread(target=self._hang_up, args=(call, ended), daemon=True).start()
        try:
            for answer in call:
                self.answers.append(answer)
                content = fields(answer).get(7)
                if content is not None:
                    if 1 not in fields(content):
                        raise AssertionError("panic: no agent_config in the answer")
                    welcome.set()
                    self._welcome.set()
                    upload = channel.stream_unary(f"{SDK}.Commander/Upload")
                    self.uploads.append(
                        upload(iter(self.messages.upload()), metadata=self.metadata)
                    )
        except grpc.RpcError:
            if not self._stopping.is_set():
                raise
        finally:
            ended.set()
            for stream in held:
                stream.cancel()

    def _hang_up(self, call: grpc.Call, ended: threading.Event) -> None:
        while not ended.is_set():
            if self._stopping.wait(0.05):
                call.cancel()
                return

    def _says(self, ended: threading.Event) -> Iterator[bytes]:
        yield self.messages.started()
        opening = [self.messages.status()]
        if self.messages.nginx and not self.asked:
            self.asked = True
            opening.insert(int(self.status_first), self.messages.connect())
        elif self.asked:
            opening = []
        yield from opening
        while not ended.wait(self.pause):
            yield self.messages.heartbeat()

    def _metrics(
        self, welcome: threading.Event, ended: threading.Event
    ) -> Iterator[bytes]:
        while not ended.wait(0.1):
            if welcome.is_set():
                yield field(1, field(1, "agent")) + field(3, b"\xff\xfe numbers")
                ended.wait(60)


def main() -> None:
    """Be an agent in a process of its own: TARGET UUID TOKEN CA-FILE, until it ends."""
    target, uuid, token, ca = sys.argv[1:]
    agent = FakeAgent(target, uuid, token, Path(ca).read_bytes(), heartbeat=1.0)
    sys.stdout.write(f"registered {agent.start().registered(20)}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()

"""MLLP server: many senders, bounded in time and memory, one answer per message, in order.

A sender that misbehaves loses its own connection and nothing else.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from .frames import FRAME_BYTES_MAX, Cutter, frame

_log = logging.getLogger("plugward.hub.mllp")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HEAD_BYTES = 4096
_LINGER_S = 1.0


@dataclass(frozen=True)
class Limits:
    """Everything has a limit."""

    frame_bytes_max: int = FRAME_BYTES_MAX
    idle_in_frame_s: float = 30.0
    frame_s_max: float = 120.0
    """A slow sender that drips a byte at a time is not idle, and still has to come to an end."""
    connections_per_source: int = 16
    connections_max: int = 512
    in_flight_per_connection: int = 64
    partial_bytes_max: int = 64 * 1024 * 1024
    """All unfinished frames together: 512 senders of 10 MiB would be 5 GiB."""
    unread_answers_s: float = 30.0
    looked_after_every_s: float = 1.0


class Peer(NamedTuple):
    """Who is at the other end."""

    listener: str
    address: str
    port: int


Handle = Callable[[bytes, Peer], Coroutine[Any, Any, bytes]]
"""Answer one message. Messages of a connection start in order; what must keep that order has to
happen before the first ``await``."""
Refuse = Callable[[bytes, str, Peer], bytes]
"""The answer to bytes that are no frame, made from the first of them and the reason."""
TurnedAway = Callable[[Peer, str], Awaitable[None]]


async def _unnoticed(peer: Peer, reason: str) -> None:
    _log.warning("listener %s turned %s away: %s", peer.listener, peer.address, reason)


class MllpServer:
    """One listener. ``networks`` are the only places it is reached from (all, when empty)."""

    def __init__(
        self,
        handle: Handle,
        refuse: Refuse,
        *,
        name: str = "mllp",
        limits: Limits | None = None,
        networks: Sequence[Network] = (),
        tls: ssl.SSLContext | None = None,
        turned_away: TurnedAway = _unnoticed,
    ) -> None:
        self.name = name
        self.limits = limits or Limits()
        self.handle = handle
        self.refuse = refuse
        self.turned_away = turned_away
        self.connections: set[_Connection] = set()
        self.per_source: Counter[str] = Counter()
        self.partial_bytes = 0
        self._networks = tuple(networks)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._notices: set[asyncio.Task[None]] = set()
        self._emptied: asyncio.Event | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises ``OSError`` when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), host, port, ssl=self._tls, backlog=128
        )
        self._sweeper = loop.create_task(self._sweep())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, *, patience_s: float = 5.0) -> None:
        """Take no more, answer what is under way, then close."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.finish()
        if self.connections:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._emptied.wait()
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        if self._notices:
            await asyncio.wait(self._notices)

    def admit(self, peer: Peer) -> str:
        """Why this peer may not connect, or nothing."""
        if self._networks:
            address = ipaddress.ip_address(peer.address)
            if not any(address in network for network in self._networks):
                return "address not allowed"
        if len(self.connections) >= self.limits.connections_max:
            return "too many connections"
        if self.per_source[peer.address] >= self.limits.connections_per_source:
            return "too many connections from this address"
        return ""

    def leave(self, connection: "_Connection") -> None:
        """A connection has ended."""
        address = connection.peer.address
        self.connections.discard(connection)
        self.per_source[address] -= 1
        if not self.per_source[address]:
            del self.per_source[address]
        if self._emptied is not None and not self.connections:
            self._emptied.set()

    def notice(self, peer: Peer, reason: str) -> None:
        """Tell whoever keeps the audit, without holding the event loop."""
        task = asyncio.get_running_loop().create_task(_as_coroutine(self.turned_away(peer, reason)))
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    async def _sweep(self) -> None:
        # One timer for all connections: a timer per frame costs more than the frame.
        while True:
            await asyncio.sleep(self.limits.looked_after_every_s)
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                connection.check_time(now)


class _Connection(asyncio.Protocol):
    """One sender's connection."""

    def __init__(self, server: MllpServer) -> None:
        self._server = server
        self._limits = server.limits
        self._cutter = Cutter(server.limits.frame_bytes_max)
        self._loop = asyncio.get_running_loop()
        self._backlog: deque[bytes] = deque()
        self._running: deque[asyncio.Task[bytes]] = deque()
        self._closing = ""
        self._is_reading = True
        self._heard_at = self._frame_began = self._loop.time()
        self._held = 0
        self._stalled_at: float | None = None
        self._admitted = False
        self._lingering = False
        self._refusal = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        name = transport.get_extra_info("peername") or ("unknown", 0)
        self.peer = Peer(self._server.name, str(name[0]), int(name[1]))
        reason = self._server.admit(self.peer)
        if reason:
            self._server.notice(self.peer, reason)
            self.abort()
            return
        self._admitted = True
        self._server.connections.add(self)
        self._server.per_source[self.peer.address] += 1
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        if self._closing or not self._admitted:
            return
        now = self._loop.time()
        if not self._held:
            self._frame_began = now
        self._heard_at = now
        frames = self._cutter.feed(data)
        if frames:
            self._backlog += frames
            self._frame_began = now
        self._hold(self._cutter.pending)
        reason = self._cutter.broken
        if not reason and self._server.partial_bytes > self._limits.partial_bytes_max:
            reason = "too many unfinished frames"
        if reason:
            self._give_up(reason)
        self._advance()

    def eof_received(self) -> bool:
        if self._lingering:
            return False
        self.finish()
        return bool(self._running or self._backlog)

    def pause_writing(self) -> None:
        self._stalled_at = self._loop.time()

    def resume_writing(self) -> None:
        self._stalled_at = None
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._closing = self._closing or "lost"
        self._hold(0)
        self._backlog.clear()
        if self._admitted:
            self._server.leave(self)

    def finish(self) -> None:
        """Read no more; close when every message that came in whole has its answer."""
        self._closing = self._closing or "done"
        self._advance()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def check_time(self, now: float) -> None:
        """Called every second or so."""
        if self._stalled_at is not None and now - self._stalled_at > self._limits.unread_answers_s:
            self._server.notice(self.peer, "answers are not read")
            self.abort()
        elif self._held and not self._closing:
            if now - self._heard_at > self._limits.idle_in_frame_s:
                self._give_up("a frame was begun and not finished")
            elif now - self._frame_began > self._limits.frame_s_max:
                self._give_up("a frame takes too long")
            self._advance()

    def _give_up(self, reason: str) -> None:
        self._server.notice(self.peer, reason)
        self._refusal = self._server.refuse(self._cutter.held(_HEAD_BYTES), reason, self.peer)
        self._cutter.give_up(reason)
        self._hold(0)
        self._closing = "refused"

    def _hold(self, count: int) -> None:
        self._server.partial_bytes += count - self._held
        self._held = count

    def _advance(self) -> None:
        while (
            self._backlog
            and self._stalled_at is None
            and len(self._running) < self._limits.in_flight_per_connection
        ):
            task = self._loop.create_task(self._server.handle(self._backlog.popleft(), self.peer))
            self._running.append(task)
            task.add_done_callback(self._answered)
        if self._closing and not self._running and not self._backlog:
            self._close()
        elif bool(self._backlog) is self._is_reading and not self._closing:
            self._is_reading = not self._is_reading
            (
                self._transport.resume_reading
                if self._is_reading
                else self._transport.pause_reading
            )()

    def _answered(self, _: "asyncio.Task[bytes]") -> None:
        while self._running and self._running[0].done():
            task = self._running.popleft()
            failure = None if task.cancelled() else task.exception()
            if task.cancelled() or failure is not None:
                # Without an answer the sender keeps the message and sends it again.
                _log.error("a message got no answer: %s", type(failure).__name__)
                self.abort()
                return
            self._write(task.result())
        self._advance()

    def _close(self) -> None:
        if self._closing != "refused" or not self._transport.can_write_eof():
            self._transport.close()
        elif not self._lingering:
            # Closing with bytes unread would reset the connection, and the refusal with it.
            self._lingering = True
            self._write(self._refusal)
            if not self._transport.is_closing():
                self._transport.write_eof()
                self._transport.resume_reading()
                self._loop.call_later(_LINGER_S, self._transport.abort)

    def _write(self, answer: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            self._transport.write(frame(answer))
        except ValueError:
            _log.exception("an answer could not be framed")
            self.abort()


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable

"""Unix socket: the same frames without a broker, for boards plugged into the embedded shape.

The hospital's process listens; a board's process connects and both answer each other over the one
connection. Who may connect is decided by the socket's file mode; who calls, by the pass.
"""

import asyncio
import logging
import os
import secrets
import struct
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from plugward.kernel.codec import pack, unpack
from plugward.kit.time import Clock

from .answerer import Answerer, Offer, Reply
from .caller import Nobody, Pending, RemoteEndpoint
from .directory import BEAT_S, Directory, State, said
from .frames import Address
from .passes import Credentials, Passes, PassRefused

FRAME_BYTES_MAX = 8 * 1024 * 1024
PATIENCE_S = 10.0
AGAIN_S = 0.2
SOCKET_MODE = 0o600
CALL, REPLY, NOBODY, HERE, WELCOME = 0, 1, 2, 3, 4
CHALLENGE_BYTES = 16
_LENGTH = struct.Struct("!I")
_log = logging.getLogger("plugward.wire")


class _Packet(msgspec.Struct, frozen=True, array_like=True):
    what: int
    number: int
    data: bytes
    address: Address | None = None
    proof: bytes = b""


class UnixWire:
    """One process on the embedded hospital's socket."""

    def __init__(self, path: Path, credentials: Credentials, clock: Clock) -> None:
        self.site = credentials.site
        self.process = secrets.token_hex(8)
        self.passes = Passes(credentials, clock)
        self.directory = Directory()
        self.answerer = Answerer(self.passes)
        self.endpoint = RemoteEndpoint(self, self.passes, reaches=self.directory.reaches)
        self._path = path
        self._peers: dict[_Peer, frozenset[str]] = {}
        self._last = 0
        self._states: dict[str, State] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def listen(cls, path: Path, credentials: Credentials, *, clock: Clock) -> "UnixWire":
        """The hospital's side."""
        wire = cls(path, credentials, clock)
        with suppress(FileNotFoundError):
            os.unlink(path)
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            wire._server = await asyncio.start_unix_server(wire._met, path)
        finally:
            os.umask(before)
        wire._run(wire._beats())
        return wire

    @classmethod
    async def connect(cls, path: Path, credentials: Credentials, *, clock: Clock) -> "UnixWire":
        """A board's side. It comes back by itself when the hospital does."""
        wire = cls(path, credentials, clock)
        reader, writer = await asyncio.open_unix_connection(path)
        wire._run(wire._stay(reader, writer))
        wire._run(wire._beats())
        return wire

    async def close(self) -> None:
        for state in list(self._states.values()):
            await self.withdraw(state.board)
        if self._server is not None:
            self._server.close()
            with suppress(FileNotFoundError):
                os.unlink(self._path)
        for task in list(self._tasks):
            task.cancel()
        for peer in list(self._peers):
            peer.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def bus(self) -> None:
        """No broker: facts are pulled from each other by position."""

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── answering ───────────────────────────────────────────────────────────────────────────
    async def serve(self, state: State, **offers: Offer) -> None:
        """Answer for a board from now on."""
        for kind, offer in offers.items():
            self.answerer.offer(kind, state.board, offer)
        await self.announce(state)

    async def withdraw(self, board: str) -> None:
        """Answer no more for a board: what has arrived is still answered."""
        state = self._states.pop(board, None)
        if state is not None:
            self._tell(msgspec.structs.replace(state, serving=False))
        self.answerer.withdraw("call", board)
        self.answerer.withdraw("face", board)
        await self.answerer.drained(PATIENCE_S)

    async def announce(self, state: State) -> None:
        self._states[state.board] = state
        self._tell(state)

    async def who(self, seconds: float = 0.0) -> Directory:
        """Every peer has said what it offers; there is nobody else."""
        await asyncio.sleep(seconds)
        return self.directory

    def _tell(self, state: State) -> None:
        for peer in self._peers:
            self._tell_one(peer, state)

    def _tell_one(self, peer: "_Peer", state: State) -> None:
        """A board proves to the hospital that it may answer; the hospital need not prove it."""
        if self._server is None and not peer.challenge:
            return  # the hospital has not asked yet
        proof = b"" if self._server else self.passes.claim(state.board, peer.challenge)
        peer.write(_Packet(HERE, 0, said(state), proof=proof))

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            for state in list(self._states.values()):
                self._tell(state)

    # ── calling ─────────────────────────────────────────────────────────────────────────────
    @property
    def is_open(self) -> bool:
        return bool(self._peers) or self._server is not None

    async def send(self, address: Address, pending: Pending, data: bytes) -> None:
        peer = self._way_to(address.board)
        if peer is None:
            pending.failed(Nobody())
            return
        self._last = number = self._last + 1
        pending.id = (peer, number)
        peer.pending[number] = pending
        peer.write(_Packet(CALL, number, data, address))
        await peer.drain()

    def forget(self, pending: Pending) -> None:
        if pending.id is not None:
            peer, number = pending.id
            peer.pending.pop(number, None)

    def _way_to(self, board: str) -> "_Peer | None":
        for peer, boards in self._peers.items():
            if board in boards:
                return peer
        if self._server is None:  # a board's side: the hospital knows the others
            return next(iter(self._peers), None)
        return None

    # ── connections ─────────────────────────────────────────────────────────────────────────
    async def _stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._met(reader, writer)
            while True:
                await asyncio.sleep(AGAIN_S)
                try:
                    reader, writer = await asyncio.open_unix_connection(self._path)
                except OSError:
                    continue
                break

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(writer)
        self._peers[peer] = frozenset()
        if self._server is not None:
            peer.challenge = secrets.token_bytes(CHALLENGE_BYTES)
            peer.write(_Packet(WELCOME, 0, peer.challenge))
            for state in self._states.values():
                self._tell_one(peer, state)
            for seen in self.directory.all():
                peer.write(_Packet(HERE, 0, said(seen.state)))
        try:
            while True:
                length = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0]
                if length > FRAME_BYTES_MAX:
                    return
                self._received(peer, unpack(await reader.readexactly(length), _Packet))
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError):
            return
        finally:
            self._parted(peer)

    def _parted(self, peer: "_Peer") -> None:
        self._peers.pop(peer, None)
        peer.close()
        for pending in list(peer.pending.values()):
            pending.failed(TimeoutError())  # it may or may not have happened: asked again
        for process in peer.processes:
            self.directory.forget(process)

    def _received(self, peer: "_Peer", packet: _Packet) -> None:
        if packet.what == CALL and packet.address is not None:
            self._called(peer, packet, packet.address)
        elif packet.what in (REPLY, NOBODY):
            pending = peer.pending.get(packet.number)
            if pending is None:
                return  # late or doubled
            if packet.what == NOBODY:
                pending.failed(Nobody())
            else:
                pending.heard(packet.data)
        elif packet.what == WELCOME and self._server is None:
            peer.challenge = packet.data
            for state in self._states.values():
                self._tell_one(peer, state)
        elif packet.what == HERE:
            self._heard(peer, packet)

    def _heard(self, peer: "_Peer", packet: _Packet) -> None:
        state: State = unpack(packet.data, State)
        if self._server is not None:
            try:
                claimed = self.passes.claimed(packet.proof, peer.challenge)
            except PassRefused as refused:
                claimed = ""
                _log.warning("%s is not let in: %s", state.board, refused)
            if claimed != state.board:
                return
        peer.processes.add(state.process)
        boards = self._peers[peer] - {state.board}
        self._peers[peer] = boards | {state.board} if state.serving else boards
        self.directory.hear(packet.data)
        if self._server is not None:  # the others hear it too
            for other in self._peers:
                if other is not peer:
                    other.write(_Packet(HERE, 0, packet.data))

    def _called(self, peer: "_Peer", packet: _Packet, address: Address) -> None:
        if self.answerer.offers(address.kind, address.board):
            self.answerer.begin(address, packet.data, _UnixReply(peer, packet.number))
            return
        other = self._way_to(address.board) if self._server is not None else None
        if other is None or other is peer:
            peer.write(_Packet(NOBODY, packet.number, b""))
            return
        self._last = number = self._last + 1
        other.pending[number] = _Forwarded(peer, packet.number, other, number)
        other.write(_Packet(CALL, number, packet.data, address))


class _Peer:
    """One connection, and what is asked over it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.pending: dict[int, Pending | _Forwarded] = {}
        self.processes: set[str] = set()
        self.challenge = b""

    def write(self, packet: _Packet) -> None:
        data = pack(packet)
        self._writer.write(_LENGTH.pack(len(data)) + data)

    async def drain(self) -> None:
        with suppress(OSError):
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


class _Forwarded:
    """A call between two boards' processes, passed on by the hospital as it came."""

    def __init__(self, asked_by: _Peer, number: int, to: _Peer, own: int) -> None:
        self._asked_by = asked_by
        self._number = number
        self._to = to
        self._own = own

    def heard(self, data: bytes) -> None:
        self._asked_by.write(_Packet(REPLY, self._number, data))
        if len(data) > 1:  # not only a sign of life
            self._to.pending.pop(self._own, None)

    def failed(self, error: Exception) -> None:
        if isinstance(error, Nobody):
            self._asked_by.write(_Packet(NOBODY, self._number, b""))
        self._to.pending.pop(self._own, None)


class _UnixReply(Reply):
    __slots__ = ("_number", "_peer", "timer")

    def __init__(self, peer: _Peer, number: int) -> None:
        self._peer = peer
        self._number = number

    async def send(self, data: bytes) -> None:
        self._peer.write(_Packet(REPLY, self._number, data))
        await self._peer.drain()

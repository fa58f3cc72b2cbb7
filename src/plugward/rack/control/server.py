"""The control socket 控制套接字: for this machine's operator only, by file mode and by token."""

import asyncio
import hmac
import logging
import os
import pwd
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from .words import (
    FOLDER,
    LINE_BYTES_MAX,
    SOCKET,
    TOKEN,
    Act,
    ActRefused,
    Line,
    Powers,
    Say,
    Source,
    is_path,
    socket_of,
    token_of,
)

READ_S = 5.0
VERBS = ("plug", "unplug", "upgrade", "rollback", "restart", "move", "status")
_PEER = struct.Struct("3i")
_log = logging.getLogger("plugward.control")


class ControlServer:
    """Listens in the data folder as long as the hospital runs."""

    def __init__(self, data: Path, powers: Powers) -> None:
        self._data = data
        self._powers = powers
        self._token = secrets.token_urlsafe(24)
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        folder = self._data / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket_of(self._data).unlink(missing_ok=True)
        token = folder / TOKEN
        token.unlink(missing_ok=True)
        descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(self._token)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with short_path(folder, SOCKET) as path:
                bound.bind(path)
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._met, sock=bound, limit=LINE_BYTES_MAX)

    async def stop(self) -> None:
        """No new act; one that is under way is finished first."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._under_way:
            await asyncio.wait(self._under_way)
        socket_of(self._data).unlink(missing_ok=True)
        token_of(self._data).unlink(missing_ok=True)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is a task of its own"
        self._under_way.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, TimeoutError) as gone:
            _log.info("the caller has gone: %s", type(gone).__name__)
        finally:
            self._under_way.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        by = _operator(writer)
        try:
            asked = await asyncio.wait_for(reader.readline(), READ_S)
            act = msgspec.json.decode(asked, type=Act)
        except (ValueError, msgspec.DecodeError):
            _write(writer, Line(refused="That was no act."))
            return
        if not hmac.compare_digest(act.token, self._token):
            _log.warning("%s came with a wrong token", by)
            _write(writer, Line(refused="The token is not this hospital's."))
            return
        _write(writer, await self._done(act, by, writer))
        await writer.drain()

    async def _done(self, act: Act, by: str, writer: asyncio.StreamWriter) -> Line:
        def say(said: str) -> None:
            _write(writer, Line(said=said))

        try:
            if act.verb == "status":
                return Line(done="ok", status=await self._powers.status())
            if act.verb == "move":
                how: dict[str, Any] = {"by": by, "say": say, "anyway": act.anyway}
                return Line(done=await self._powers.move(act.board, act.beside, **how))
            done = await self._changed(act, by, say)
        except ActRefused as refused:
            return Line(refused=str(refused))
        if not done:
            return Line(refused=f"{act.verb} is not among {', '.join(VERBS)}.")
        return Line(done=done)

    async def _changed(self, act: Act, by: str, say: Say) -> str:
        """What is true now; nothing for a verb that there is not."""
        powers, board = self._powers, act.board
        source = Source(board, act.wheels, act.lock)
        if act.verb == "plug" and is_path(board):
            return await powers.install(source, by=by, say=say)
        if act.verb == "upgrade":
            return await powers.install(source, by=by, say=say, upgrade=True)
        if act.verb == "unplug":
            return await powers.unplug(board, by=by, say=say, anyway=act.anyway)
        named = {"plug": powers.plug, "rollback": powers.rollback, "restart": powers.restart}
        done = named.get(act.verb)
        return await done(board, by=by, say=say) if done else ""


@contextmanager
def short_path(folder: Path, name: str) -> Iterator[str]:
    """A socket's path has room for 107 bytes: a deep folder is reached through its descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def _operator(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end, as the system knows it."""
    peer = writer.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(raw)
    try:
        return f"operator:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"operator:{uid}"


def _write(writer: asyncio.StreamWriter, line: Line) -> None:
    if not writer.is_closing():
        writer.write(msgspec.json.encode(line) + b"\n")

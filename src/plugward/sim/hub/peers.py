"""Peers 对端: receivers with their own protocol, pace, faults and books.

They read what a stranger would read: bytes cut at delimiters, or another project's library. Nothing
here comes from the hub.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

_VT, _END = b"\x0b", b"\x1c\x0d"


@dataclass
class Book:
    """What one receiver has: every message in the order it came, by whom it is about."""

    ids: set[str] = field(default_factory=set)
    order: dict[str, list[str]] = field(default_factory=dict)
    repeated: int = 0

    def note(self, id_: str, key: str) -> None:
        """Take it in; a repeat is only counted, as any system that knows its ids does."""
        if id_ in self.ids:
            self.repeated += 1
            return
        self.ids.add(id_)
        self.order.setdefault(key, []).append(id_)


@dataclass(frozen=True)
class Manner:
    """How a receiver behaves."""

    pause_s: float = 0.0
    refuses_each: int = 0
    """Every so many messages it says "not now" (AE, 503); the same message is taken later."""
    library: str = ""


class Receiver(ABC):
    """One receiving system."""

    def __init__(self, name: str, manner: Manner) -> None:
        self.name = name
        self.manner = manner
        self.book = Book()
        self.port = 0
        self._asked = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen, on the port it had before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Go away, as a machine that is switched off."""
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(await self._one(reader))
                await writer.drain()
        self._links.discard(writer)
        writer.close()

    @abstractmethod
    async def _one(self, reader: asyncio.StreamReader) -> bytes:
        """Read one message, and say what is answered."""

    async def is_willing(self) -> bool:
        """Take its time; say no now and then."""
        self._asked += 1
        if self.manner.pause_s:
            await asyncio.sleep(self.manner.pause_s)
        return not (self.manner.refuses_each and self._asked % self.manner.refuses_each == 0)


class MllpReceiver(Receiver):
    """HL7 v2 over MLLP."""

    def __init__(self, name: str, manner: Manner) -> None:
        super().__init__(name, manner)
        self._read: Callable[[bytes], tuple[str, str]] = split
        if manner.library:
            self._read = _with_library(import_module(manner.library))

    async def _one(self, reader: asyncio.StreamReader) -> bytes:
        raw = (await reader.readuntil(_END))[1:-2]
        id_, key = self._read(raw)
        code = "AE"
        if await self.is_willing():
            self.book.note(id_, key)
            code = "AA"
        answer = f"MSH|^~\\&|{self.name}|S|HUB|H|20261122||ACK|{id_}|P|2.5.1\rMSA|{code}|{id_}\r"
        return _VT + answer.encode() + _END


class HttpReceiver(Receiver):
    """JSON over HTTP/1.1."""

    async def _one(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        told = json.loads(await reader.readexactly(length))
        if not await self.is_willing():
            return b"HTTP/1.1 500 Not now\r\nContent-Length: 0\r\n\r\n"
        self.book.note(told["id"], told["patient"])
        return b"HTTP/1.1 204 No Content\r\n\r\n"


def split(raw: bytes) -> tuple[str, str]:
    """Control id and patient, by cutting at delimiters."""
    id_ = patient = ""
    for segment in raw.decode().split("\r"):
        fields = segment.split("|")
        if fields[0] == "MSH":
            id_ = fields[9]
        elif fields[0] == "PID":
            patient = fields[3].split("^")[0]
    return id_, patient


def _with_library(hl7: Any) -> Callable[[bytes], tuple[str, str]]:
    def read(raw: bytes) -> tuple[str, str]:
        message = hl7.parse(raw.decode())
        return str(message.segment("MSH")[10]), str(message.segment("PID")[3][0][0])

    return read

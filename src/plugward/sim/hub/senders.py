"""Senders 发送方: systems that keep each message until the hub has said it has it."""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

_VT, _END = b"\x0b", b"\x1c\x0d"
AGAIN_S = 0.5
KINDS = ("ADT^A01^ADT_A01", "ADT^A08^ADT_A01", "ORU^R01^ORU_R01", "SIU^S12^SIU_S12")
PATIENTS = 20
CHARSET = "UNICODE UTF-8"


@dataclass
class Sent:
    """What one sender has been told is taken over, in the order it sent."""

    order: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    """How often it was told to come again, and did."""


class Sender(ABC):
    """One sending system: ``services`` are numbers and where each one's messages end."""

    def __init__(self, name: str, services: Sequence[tuple[str, str]], seed: int) -> None:
        self.name = name
        self.sent = Sent()
        self._services = services
        self._choice = random.Random(seed)  # noqa: S311 - the same day again for the same seed
        self._count = 0
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def work(self, port: int, *, every_s: float, until: float) -> None:
        """One message after the other, each until it is taken over."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._choice.random() * every_s
        while due < until:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += every_s
            self._count += 1
            service, destination = self._choice.choice(self._services)
            patient = f"{self.name}P{self._choice.randrange(PATIENTS):02d}"
            id_ = f"{self.name}-{self._count:07d}"
            body = self.written(id_, service, patient)
            began = loop.time()
            while not await self._is_taken(port, id_, body):
                self.sent.refused += 1
                await asyncio.sleep(AGAIN_S)
            self.sent.seconds.append(loop.time() - began)
            self.sent.order.setdefault((destination, patient), []).append(id_)
        self._hang_up()

    async def _is_taken(self, port: int, id_: str, body: bytes) -> bool:
        try:
            async with asyncio.timeout(30):
                if self._link is None:
                    self._link = await asyncio.open_connection("127.0.0.1", port)
                if await self._ask(*self._link, id_, body):
                    return True
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        self._hang_up()
        return False

    def _hang_up(self) -> None:
        if self._link is not None:
            with suppress(OSError):
                self._link[1].close()
            self._link = None

    @abstractmethod
    def written(self, id_: str, service: str, patient: str) -> bytes:
        """The message as it goes over the wire."""

    @abstractmethod
    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, id_: str, body: bytes
    ) -> bool:
        """Send it, and say whether it was taken over."""


class MllpSender(Sender):
    """HL7 v2 over MLLP."""

    def written(self, id_: str, service: str, patient: str) -> bytes:
        kind = KINDS[self._count % len(KINDS)]
        lines = (
            f"MSH|^~\\&|{self.name}|C1|HUB|C1|20261122101500||{kind}|{id_}|P|2.5.1||||||{CHARSET}",
            f"PID|1||{patient}^^^C1^PI||模拟^患者||19900101|M|||示范路{self._count}号^^深圳^广东",
            f"PV1|1|O|C1-CARD^诊室3^^C1||||D1024^陈医生||||||||||||V{self._count}",
            f"ZSV|{service}",
        )
        return _VT + "\r".join((*lines, "")).encode() + _END

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, id_: str, body: bytes
    ) -> bool:
        writer.write(body)
        answer = await reader.readuntil(_END)
        return f"\rMSA|AA|{id_}".encode() in answer


class HttpSender(Sender):
    """JSON over HTTP/1.1, each message under a key of its own."""

    def written(self, id_: str, service: str, patient: str) -> bytes:
        told = {"id": id_, "service": service, "patient": patient, "n": self._count}
        body = json.dumps(told).encode()
        head = (
            f"POST /sim/{service} HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: {id_}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, id_: str, body: bytes
    ) -> bool:
        del id_
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        await reader.readexactly(length)
        return head.startswith(b"HTTP/1.1 202")

"""A simulated laboratory system 模拟检验系统 (LIS): takes OML over MLLP and sends ORU back.

It has its own listener, its own parser and builder and its own books, all written by hand: what it
understands of the hub's messages is what a stranger would understand.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_VT, _FS, _CR = b"\x0b", b"\x1c", b"\r"


@dataclass
class LisOrder:
    """One requested test as the LIS keeps it."""

    placer: str
    item: str
    patient: str
    name: str
    state: str = "requested"


Measure = Callable[[LisOrder], tuple[str, str]]
"""The value of an order and its unit."""


@dataclass
class SimulatedLis:
    """The laboratory's system. ``answers`` is what it says to the next messages: AA, AE or AR."""

    application: str = "LIS"
    facility: str = "C1"
    charset: str = "UNICODE UTF-8"
    orders: dict[str, LisOrder] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    @property
    def codec(self) -> str:
        return "utf-8" if "UTF" in self.charset else "gb18030"

    async def start(self, port: int = 0) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self._open: set[asyncio.StreamWriter] = set()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Go away, as a machine does that is switched off."""
        self._server.close()
        for writer in list(self._open):
            writer.close()
        with suppress(asyncio.CancelledError):
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                raw = await reader.readuntil(_FS + _CR)
                writer.write(_VT + self._take(raw.strip(_VT + _FS + _CR)) + _FS + _CR)
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    def _take(self, raw: bytes) -> bytes:
        text = raw.decode(self.codec)
        lines = [line.split("|") for line in text.split("\r") if line]
        head = lines[0]
        control_id = head[9]
        answer = self.answers.pop(0) if self.answers else "AA"
        if answer == "AA" and self.seen.get(control_id) is None:
            self.seen[control_id] = text
            self.received.append(text)
            self._book(lines)
        out = (
            f"MSH|^~\\&|{head[4]}|{head[5]}|{head[2]}|{head[3]}|20260302000000||ORL^O22^ORL_O22|"
            f"A{control_id}|P|2.5.1||||||{self.charset}\rMSA|{answer}|{control_id}\r"
        )
        return out.encode(self.codec)

    def _book(self, lines: list[list[str]]) -> None:
        pid = next(line for line in lines if line[0] == "PID")
        control = ""
        for line in lines:
            if line[0] == "ORC":
                control = line[1]
            elif line[0] == "OBR" and control == "CA":
                self.orders[line[2]].state = "cancelled"
            elif line[0] == "OBR":
                item = line[4].split("^")[0]
                name = pid[5].split("^")[0]
                self.orders[line[2]] = LisOrder(line[2], item, pid[3].split("^")[0], name)

    async def report(self, host: str, port: int, measure: Measure) -> list[str]:
        """Send one ORU for every order that waits; returns what the hub said to each (MSA-1)."""
        answers = []
        for order in list(self.orders.values()):
            if order.state == "requested":
                answer = await self.send(host, port, self.result(order, *measure(order)))
                if answer.startswith("AA"):
                    order.state = "reported"
                answers.append(answer)
        return answers

    def result(self, order: LisOrder, value: str, unit: str) -> str:
        """The ORU of one order."""
        self.sent += 1
        return (
            f"MSH|^~\\&|{self.application}|{self.facility}|HUB|{self.facility}|20260302101500||"
            f"ORU^R01^ORU_R01|{self.application}{self.sent:09d}|P|2.5.1|||AL|NE|CHN|{self.charset}\r"
            f"PID|1||{order.patient}^^^{self.facility}^PI||{order.name}\r"
            f"ORC|RE|{order.placer}\r"
            f"OBR|1|{order.placer}|F{self.sent}|{order.item}^^L||||||||||||||||||20260302101400|||F\r"
            f"OBX|1|NM|{order.item}^^L||{value}|{unit}|||||F\r"
        )

    async def send(self, host: str, port: int, text: str) -> str:
        """Send one message on a connection of its own; MSA-1 and the error's place, if any."""
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(_VT + text.encode(self.codec) + _FS + _CR)
            raw = await reader.readuntil(_FS + _CR)
        finally:
            writer.close()
        answer = [
            line.split("|") for line in raw.strip(_VT + _FS + _CR).decode(self.codec).split("\r")
        ]
        msa = next(line for line in answer if line[0] == "MSA")
        errors = [line for line in answer if line[0] == "ERR"]
        return " ".join([msa[1], *(f"{line[2]} {line[3].split('^')[0]}" for line in errors)])

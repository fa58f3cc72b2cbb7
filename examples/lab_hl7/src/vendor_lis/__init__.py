"""A simulated laboratory system of another vendor 模拟他厂检验系统: MLLP, HL7 v2.4, GB18030.

It shares nothing with Plugward: it reads with python-hl7, writes by hand and keeps its own books.
Its quirks are those of real ones: own patient numbers, own item codes, placer numbers cut to twelve
characters, no zone in its times, slow, and now and then away.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import hl7

CODEC = "gb18030"
PLACER_PLACES = 12
_VT, _END = b"\x0b", b"\x1c\r"
ITEMS = {
    "UACR": ("尿白蛋白/肌酐比", "mg/g", "0-30"),
    "GHB1": ("糖化血红蛋白", "%", "4.0-6.0"),
}
"""Its catalogue."""


@dataclass
class Order:
    """One request in its books."""

    placer: str
    code: str
    own_patient: str
    their_patient: str
    name: str
    state: str = "requested"


@dataclass
class VendorLis:
    """The system. ``gate`` holds its answers back for as long as it is not set."""

    orders: dict[str, Order] = field(default_factory=dict)
    own_numbers: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    port: int = 0

    async def start(self) -> int:
        """Listen where it listened before, or anywhere; returns the port."""
        self.gate.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Gone, as when somebody pulls the plug. Its books stay."""
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                raw = await reader.readuntil(_END)
                answer = self._take(raw.removeprefix(_VT).removesuffix(_END).decode(CODEC))
                await self.gate.wait()
                writer.write(_VT + answer.encode(CODEC) + _END)
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    def _take(self, text: str) -> str:
        message = hl7.parse(text)
        msh = message.segment("MSH")
        control = str(msh[10])
        if control not in self.heard:
            self.heard.add(control)
            self.messages.append(text)
            self._book(message)
        return (
            f"MSH|^~\\&|VLIS|C2LAB|{msh[3]}|{msh[4]}|20260302090000||ORL^O22|A{control}|P|2.4"
            f"||||||GB 18030-2000\rMSA|AA|{control}\r"
        )

    def _book(self, message: hl7.Message) -> None:
        pid = message.segment("PID")
        theirs, name = str(pid[3][0][0]), str(pid[5])
        own = self.own_numbers.setdefault(theirs, f"B{len(self.own_numbers) + 1:06d}")
        control = ""
        for segment in message:
            kind = str(segment[0])
            if kind == "ORC":
                control = str(segment[1])
            elif kind == "OBR":
                placer = str(segment[2])[:PLACER_PLACES]
                if control == "CA":
                    self.orders[placer].state = "cancelled"
                else:
                    self.orders[placer] = Order(placer, str(segment[4][0][0]), own, theirs, name)

    # ── results ─────────────────────────────────────────────────────────────────────────────
    def report(
        self,
        placer: str,
        value: str,
        *,
        status: str = "F",
        flag: str = "N",
        own_patient: str = "",
        their_patient: str = "",
    ) -> str:
        """The ORU of one order."""
        order = self.orders[placer]
        self.sent += 1
        name, unit, normal = ITEMS[order.code]
        observed = (
            f"OBX|1|NM|{order.code}^{name}^99LIS||{value}|{unit}|{normal}|{flag}|||{status}"
            f"||||^王检验\r"
            if value
            else ""
        )
        return (
            f"MSH|^~\\&|VLIS|C2LAB|HUB|C2|20260302101500||ORU^R01|V{self.sent:08d}|P|2.4"
            f"||||||GB 18030-2000\r"
            f"PID|1||{own_patient or order.own_patient}|{their_patient or order.their_patient}"
            f"|{order.name}\r"
            f"OBR|1|{placer}|L{placer[-8:]}|{order.code}^{name}^99LIS|||20260302095000"
            f"||||||||||||||||||{status}\r{observed}"
        )

    async def send(self, port: int, text: str) -> str:
        """Send to the hub; MSA-1 and where it found an error, if anywhere."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_VT + text.encode(CODEC) + _END)
            raw = await reader.readuntil(_END)
        finally:
            writer.close()
        answer = hl7.parse(raw.removeprefix(_VT).removesuffix(_END).decode(CODEC))
        errors = [str(segment[1]) for segment in answer if str(segment[0]) == "ERR"]
        places = ["^".join(error.split("^")[:3]) for error in errors]
        return " ".join([str(answer.segment("MSA")[1]), *places])

"""A simulated registration system 模拟原挂号系统: tells the hub of people over a kept connection.

Its segments are written by hand; it numbers patients in its own way and remembers what it said.
"""

import asyncio
from collections import Counter
from datetime import date

_VT, _END = b"\x0b", b"\x1c\r"
_SEX = {"male": "M", "female": "F"}


class RegistrationSystem:
    """One old system at one campus."""

    def __init__(self, host: str, port: int, *, campus: str = "C1") -> None:
        self._host = host
        self._port = port
        self._campus = campus
        self._turn = asyncio.Lock()
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._sent = 0
        self.answers: Counter[str] = Counter()
        """How often it was told AA, AE, AR."""

    async def announce(
        self, *, number: str, name: str, sex: str, born: date, id_card: str, phone: str
    ) -> str:
        """Send an A28; returns MSA-1. A message that gets no answer is sent again as it was."""
        self._sent += 1
        head = f"MSH|^~\\&|REG|{self._campus}|HUB|{self._campus}|{born:%Y%m%d}||ADT^A28^ADT_A05"
        numbers = f"{number}^^^{self._campus}^PI~{id_card}^^^CN^NI"
        text = (
            f"{head}|REG{self._sent:08d}|P|2.5.1|||AL|NE|CHN|UNICODE UTF-8\r"
            "EVN|A28\r"
            f"PID|1||{numbers}||{name}||{born:%Y%m%d}|{_SEX.get(sex, 'U')}|||||{phone}\r"
            "PV1|1|N\r"
        )
        async with self._turn:
            answer = await self._ask(text)
        self.answers[answer] += 1
        return answer

    async def close(self) -> None:
        """Hang up."""
        if self._link is not None:
            self._link[1].close()
            self._link = None

    async def _ask(self, text: str) -> str:
        for is_last in (False, True):
            try:
                return await self._once(text)
            except (ConnectionError, asyncio.IncompleteReadError):
                await self.close()
                if is_last:
                    raise
        raise AssertionError("unreachable")

    async def _once(self, text: str) -> str:
        if self._link is None:
            self._link = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._link
        writer.write(_VT + text.encode() + _END)
        raw = await reader.readuntil(_END)
        lines = raw.strip(_VT + _END).decode().split("\r")
        msa = next(line for line in lines if line.startswith("MSA"))
        return msa.split("|")[1]

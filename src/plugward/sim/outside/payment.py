"""A simulated payment channel 模拟支付渠道: it remembers serials, and sometimes does not answer.

It speaks JSON, as its own system would. A call may be carried out and its answer lost, or be lost
before it arrives; both look the same to the caller. Asking again with the same serial asks once.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random


@dataclass
class Movement:
    """One serial as the channel keeps it."""

    kind: str  # charge or refund
    fen: int
    outcome: str
    original: str = ""


@dataclass
class Faults:
    """How the channel misbehaves, as shares of all calls."""

    lost_before: float = 0.0
    """The call never arrives."""
    lost_after: float = 0.0
    """It is carried out; the answer is lost."""
    declined: float = 0.0
    pending: float = 0.0
    """The payer has to confirm; asking again later finds it paid."""


@dataclass
class PaymentChannel:
    """The channel. ``books`` is what its own daily statement would show."""

    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    is_silent: bool = False
    wait: Callable[[], Awaitable[None]] | None = None
    books: dict[str, Movement] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311 - a replayable simulation

    async def __call__(self, body: bytes) -> bytes:
        """One call over the wire."""
        self.calls += 1
        if self.wait is not None:
            await self.wait()
        if self.is_silent or self._random.random() < self.faults.lost_before:
            raise TimeoutError
        answer = self._answer(json.loads(body))
        await asyncio.sleep(0)
        if self._random.random() < self.faults.lost_after:
            raise TimeoutError
        return json.dumps(answer, ensure_ascii=False).encode()

    @property
    def kept_fen(self) -> int:
        """What the channel holds of the payers' money."""
        charged = sum(
            m.fen for m in self.books.values() if (m.kind, m.outcome) == ("charge", "paid")
        )
        given_back = sum(m.fen for m in self.books.values() if m.outcome == "refunded")
        return charged - given_back

    def _answer(self, request: dict[str, object]) -> dict[str, object]:
        serial, action = str(request["serial"]), str(request["action"])
        fen = _fen(request["amount"])
        outcome = {
            "charge": self._charge,
            "query": self._query,
            "reverse": self._reverse,
            "refund": self._refund,
        }[action](serial, fen, str(request.get("original", "")))
        return {"serial": serial, "outcome": outcome, "channel_no": f"CH-{serial}", "note": "模拟"}

    def _charge(self, serial: str, fen: int, original: str) -> str:
        del original
        known = self.books.get(serial)
        if known is None:
            known = Movement("charge", fen, self._drawn_outcome())
            self.books[serial] = known
        # A reversed serial is closed for good: a late charge of it takes no money.
        return "declined" if known.outcome == "reversed" else known.outcome

    def _drawn_outcome(self) -> str:
        drawn = self._random.random()
        if drawn < self.faults.declined:
            return "declined"
        return "pending" if drawn < self.faults.declined + self.faults.pending else "paid"

    def _query(self, serial: str, fen: int, original: str) -> str:
        del fen, original
        known = self.books.get(serial)
        if known is None:
            return "not-found"
        if known.outcome == "pending":
            known.outcome = "paid"  # the payer has confirmed in the meantime
        return known.outcome

    def _reverse(self, serial: str, fen: int, original: str) -> str:
        del original
        known = self.books.setdefault(serial, Movement("charge", fen, "reversed"))
        known.outcome = "reversed"
        return "reversed"

    def _refund(self, serial: str, fen: int, original: str) -> str:
        known = self.books.get(serial)
        if known is not None:
            return known.outcome
        charge = self.books.get(original)
        if charge is None or charge.outcome != "paid":
            return "declined"
        given = sum(m.fen for m in self.books.values() if m.original == original)
        if abs(fen) > charge.fen - given:
            return "declined"
        self.books[serial] = Movement("refund", abs(fen), "refunded", original)
        return "refunded"


def _fen(amount: object) -> int:
    return int(amount["fen"]) if isinstance(amount, dict) else int(str(amount))

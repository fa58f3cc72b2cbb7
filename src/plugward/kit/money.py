"""Money 金额: whole fen, and unit prices that may be finer than a fen."""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Self

from .message import Message

_FEN = Decimal("0.01")
_PRICE_STEP = Decimal("0.0001")


class Money(Message, order=True):
    """An amount in fen 分. It adds, subtracts, compares and multiplies by whole numbers only."""

    fen: int

    @classmethod
    def of_yuan(cls, yuan: str | Decimal) -> Self:
        """From a decimal text in yuan; more than two decimals is an error, not a rounding."""
        exact = Decimal(yuan) * 100
        if exact != exact.to_integral_value():
            raise ValueError(f"{yuan} yuan is not a whole number of fen")
        return cls(fen=int(exact))

    @classmethod
    def total(cls, parts: "Iterable[Money]") -> "Money":
        """The sum; of nothing, zero."""
        return Money(fen=sum(part.fen for part in parts))

    def __add__(self, other: "Money") -> "Money":
        return Money(fen=self.fen + other.fen)

    def __sub__(self, other: "Money") -> "Money":
        return Money(fen=self.fen - other.fen)

    def __neg__(self) -> "Money":
        return Money(fen=-self.fen)

    def __mul__(self, times: int) -> "Money":
        return Money(fen=self.fen * times)

    def __bool__(self) -> bool:
        return self.fen != 0

    def __str__(self) -> str:
        sign, fen = ("-", -self.fen) if self.fen < 0 else ("", self.fen)
        return f"{sign}{fen // 100:,}.{fen % 100:02d}"

    def allocate(self, weights: Sequence[int]) -> "tuple[Money, ...]":
        """Split by whole weights ≥ 0. The parts sum to the whole; the first ones take the rest."""
        whole = sum(weights)
        if whole <= 0 or min(weights) < 0:
            raise ValueError("weights must be non-negative and not all zero")
        sign = -1 if self.fen < 0 else 1
        parts = [abs(self.fen) * weight // whole for weight in weights]
        rest = abs(self.fen) - sum(parts)
        for index, weight in enumerate(weights):
            if rest and weight:
                parts[index] += 1
                rest -= 1
        return tuple(Money(fen=sign * part) for part in parts)


ZERO = Money(fen=0)


class UnitPrice(Message, order=True):
    """The price of one unit in yuan, at most four decimals."""

    yuan: Decimal

    def __post_init__(self) -> None:
        if self.yuan != self.yuan.quantize(_PRICE_STEP):
            raise ValueError(f"{self.yuan} has more than four decimals")

    def extend(self, quantity: int | Decimal) -> Money:
        """Price × quantity, rounded half up to the fen. The only place that rounds."""
        amount = (self.yuan * quantity).quantize(_FEN, rounding=ROUND_HALF_UP)
        return Money(fen=int(amount * 100))

    def __str__(self) -> str:
        return f"{self.yuan.quantize(_FEN) if self.yuan == self.yuan.quantize(_FEN) else self.yuan}"

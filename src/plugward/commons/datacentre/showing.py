"""Showing 显示: figures and words as a person of either language reads them."""

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from plugward.kit.money import Money

from .contract import Figure, Measure, Selection, Words

SPANS = ("today", "week", "month", "year")
WAN_FEN = 1_000_000  # one 万元 in fen
BIG_FEN = 10 * WAN_FEN  # amounts from here on are told in 万元
NOTHING = "—"
_SPAN_WORDS = {
    "today": Words(zh="今日", en="Today"),
    "week": Words(zh="本周", en="This week"),
    "month": Words(zh="本月", en="This month"),
    "year": Words(zh="今年", en="This year"),
}


def told(value: Figure, format: str) -> str:
    """A figure as text."""
    if value is None:
        return NOTHING
    if format == "money":
        return str(Money(fen=int(value)))
    if format == "percent":
        return f"{_rounded(value * 100, 1)}%"
    if format == "minutes":
        return f"{_rounded(value, 1)}"
    if format == "count":
        return f"{int(value):,}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _rounded(value: float, places: int) -> Decimal:
    """Half up, as everybody does it by hand."""
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def span_of(chosen: Selection, today: date) -> str:
    """Which of the usual stretches was chosen, if any."""
    first = {
        "today": today,
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
        "year": today.replace(month=1, day=1),
    }
    if chosen.until != today:
        return ""
    return next((span for span in SPANS if first[span] == chosen.since), "")


class Shown:
    """Words and figures in the viewer's language."""

    def __init__(self, language: str) -> None:
        self.is_chinese = language == "zh-CN"

    def words(self, words: Words) -> str:
        return words.zh if self.is_chinese else words.en

    def either(self, zh: str, en: str) -> str:
        return zh if self.is_chinese else en or zh

    def span(self, span: str) -> str:
        return self.words(_SPAN_WORDS[span])

    @property
    def goal(self) -> str:
        return self.either("目标", "goal")

    def aim(self, value: float, measure: Measure) -> str:
        """A goal, without needless decimals."""
        if measure.format == "percent":
            return f"{value * 100:g}%"
        return f"{value:g}"

    def reports(self, count: int) -> str:
        return f"{count} 张报表" if self.is_chinese else f"{count} reports"

    def unit(self, measure: Measure) -> str:
        return self.words(measure.unit) if measure.unit else ""

    def heading(self, measure: Measure) -> str:
        """The name of a measure with its unit."""
        unit = self.unit(measure)
        name = self.words(measure.title)
        return (
            f"{name}（{unit}）"
            if unit and self.is_chinese
            else f"{name}{f' ({unit})' if unit else ''}"
        )

    def big(self, value: Figure, measure: Measure) -> tuple[str, str]:
        """A figure for a big screen, and its unit."""
        if value is None:
            return NOTHING, ""
        if measure.format == "money":
            if self.is_chinese and abs(value) >= BIG_FEN:
                return f"{_rounded(value / WAN_FEN, 1):,}", "万元"
            return str(Money(fen=int(value))), self.unit(measure)
        if measure.format == "percent":
            return f"{_rounded(value * 100, 1)}", "%"
        if measure.format == "minutes":
            return f"{_rounded(value, 1)}", self.unit(measure)
        return told(value, measure.format), self.unit(measure)

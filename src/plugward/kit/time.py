"""Time 时间: aware instants inside, the hospital's own days at the edges."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from .message import Message

HOSPITAL_ZONE = ZoneInfo("Asia/Shanghai")

Instant = datetime
"""An aware UTC datetime: when something happened."""


class Timer(Protocol):
    """Something that was asked to happen again and again."""

    def cancel(self) -> None:
        """Stop it. A run under way is finished."""
        ...


class Clock(Protocol):
    """The only source of time for boards. A simulated day brings its own."""

    def now(self) -> Instant:
        """This instant, aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock's time."""
        ...

    def every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> Timer:
        """Run ``action`` every ``seconds`` of this clock's time, never two at once."""
        ...


class Period(Message):
    """A half-open stretch of time: ``start`` belongs to it, ``end`` does not."""

    start: Instant
    end: Instant

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("a period ends before it starts")

    def __contains__(self, instant: Instant) -> bool:
        return self.start <= instant < self.end


def hospital_date(instant: Instant) -> date:
    """The hospital day an instant falls on."""
    return instant.astimezone(HOSPITAL_ZONE).date()


def hospital_midnight(day: date) -> Instant:
    """The instant a hospital day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=HOSPITAL_ZONE).astimezone(UTC)


def hospital_time(text: str) -> Instant:
    """The instant of a written hospital time such as ``2026-03-02 18:00`` or ``… 18:00:30``."""
    return datetime.fromisoformat(text).replace(tzinfo=HOSPITAL_ZONE).astimezone(UTC)


def age_years(birth: date, day: date) -> int:
    """Completed years of age on a day."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def milliseconds(instant: Instant) -> int:
    """Unix time in milliseconds."""
    return int((instant - _EPOCH) / timedelta(milliseconds=1))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

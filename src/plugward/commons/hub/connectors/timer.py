"""Timer 定时: a message at set times, once for each time, also over a restart."""

from datetime import UTC, datetime, timedelta

from plugward.kit.time import Instant, hospital_date, hospital_midnight

from ..node import Node
from ..routing import Incoming
from ..taking import Verdict, take
from .positions import Positions
from .sources_declared import TimerIn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimerSource:
    """One timer. Of the times that passed while the hub was down, only the last is made up for."""

    def __init__(self, name: str, told: TimerIn, node: Node, positions: Positions) -> None:
        self._name = name
        self._told = told
        self._node = node
        self._positions = positions
        self.every_s = min(told.every_s, 1.0)

    async def look(self) -> None:
        """Send the message of the last time that has come, unless it was sent."""
        due = last_due(self._told, self._node.clock.now())
        mark = due.isoformat()
        before = self._positions.get(self._name)
        if before == mark:
            return
        if before is None:  # it was declared just now: the next time is its first
            self._positions.put(self._name, mark)
            return
        body = b'{"due":"' + mark.encode() + b'"}'
        incoming = Incoming(body, kind=f"timer {self._name}", sender=self._name)
        taken = await take(self._node, incoming, key=mark, peer=f"timer {self._name}")
        if taken.verdict is not Verdict.AWAY:
            self._positions.put(self._name, mark)

    async def close(self) -> None:
        """Nothing is held."""


def last_due(told: TimerIn, now: Instant) -> Instant:
    """The last time that has come."""
    if not told.at:
        return _EPOCH + ((now - _EPOCH) // timedelta(seconds=told.every_s)) * timedelta(
            seconds=told.every_s
        )
    hours, minutes = told.at.split(":")
    today = hospital_midnight(hospital_date(now)) + timedelta(
        hours=int(hours), minutes=int(minutes)
    )
    return today if today <= now else today - timedelta(days=1)

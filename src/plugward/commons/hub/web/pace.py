"""Pace 配速: so many calls a second, with a little more at once."""

_BURST_S = 2.0


class Pace:
    """A bucket for each name; times in seconds, from any clock."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def has(self, name: str, rate: float, now: float) -> bool:
        """Whether one more call may come."""
        full = max(rate * _BURST_S, 1.0)
        left, since = self._buckets.get(name, (full, now))
        left = min(full, left + (now - since) * rate)
        self._buckets[name] = (left - 1 if left >= 1 else left, now)
        return left >= 1

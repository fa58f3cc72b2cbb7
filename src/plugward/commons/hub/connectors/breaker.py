"""Breaker 熔断: a service that does not answer is left alone for a while, then tried once."""

import msgspec


class Patience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to stop asking, and for how long."""

    failures: int = 5
    """So many in a row; 0: never."""
    pause_s: float = 10.0


class Breaker:
    """Times are the event loop's."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failed = 0
        self._open_until = 0.0
        self._is_tried = False

    @property
    def is_open(self) -> bool:
        """Whether calls are being turned away."""
        return 0 < self._patience.failures <= self._failed

    def wait_s(self, now: float) -> float:
        """0: go ahead. After the pause one call goes ahead, and the others wait for how it ends."""
        if not self.is_open:
            return 0.0
        if now < self._open_until:
            return self._open_until - now
        if self._is_tried:
            return 1.0
        self._is_tried = True
        return 0.0

    def succeeded(self) -> None:
        """It answers."""
        self._failed, self._is_tried = 0, False

    def failed(self, now: float) -> None:
        """It does not."""
        self._failed += 1
        self._is_tried = False
        self._open_until = now + self._patience.pause_s

    def untold(self) -> None:
        """The call ended without telling anything about the other side."""
        self._is_tried = False

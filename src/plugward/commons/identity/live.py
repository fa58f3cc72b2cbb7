"""What identity keeps in memory: running sessions for a moment, and tries that failed.

Both are only a short memory of what the tables say; losing them costs a query or a delay.
"""

from collections import OrderedDict
from datetime import timedelta

import msgspec

from plugward.kit.time import Instant
from plugward.vocabulary import StaffId

from .contract import SessionId, SignedIn
from .rules import WAIT_MAX_S, wait_s

FRESH_S = 30
SESSIONS_MAX = 20_000
TRIES_MAX = 20_000


class Live(msgspec.Struct):
    """A running session as it was read, and when."""

    signed_in: SignedIn
    locked: bool
    seen_at: Instant
    read_at: Instant
    rack: tuple[str, ...]


class LiveSessions:
    """Sessions by the hash of their reference, and when each person was last there."""

    def __init__(self) -> None:
        self._by_hash: OrderedDict[str, Live] = OrderedDict()
        self._seen: dict[SessionId, Instant] = {}
        self._unsaved: set[SessionId] = set()
        self.changes = 0  # how often something was forgotten

    def get(self, token_hash: str, now: Instant, rack: tuple[str, ...]) -> Live | None:
        """What is known, if it is fresh and the same boards are plugged in."""
        live = self._by_hash.get(token_hash)
        if live is None or live.rack != rack or now - live.read_at >= timedelta(seconds=FRESH_S):
            return None
        return live

    def put(self, token_hash: str, live: Live) -> None:
        self._by_hash[token_hash] = live
        self._by_hash.move_to_end(token_hash)
        if len(self._by_hash) > SESSIONS_MAX:
            self._by_hash.popitem(last=False)

    def forget(self, staff: StaffId) -> None:
        """Something about this person has changed: ask the tables again."""
        self.changes += 1
        for token_hash in [h for h, of in self._by_hash.items() if of.signed_in.staff == staff]:
            del self._by_hash[token_hash]

    def forget_token(self, token_hash: str) -> None:
        self.changes += 1
        self._by_hash.pop(token_hash, None)

    def seen(self, session: SessionId, at: Instant) -> None:
        """The person is there."""
        self._seen[session] = at
        self._unsaved.add(session)

    def seen_at(self, session: SessionId, saved: Instant) -> Instant:
        """When the person was last there, as far as anybody knows."""
        return max(saved, self._seen.get(session, saved))

    def unsaved(self) -> list[tuple[SessionId, Instant]]:
        """What the tables do not know yet; it is handed over once."""
        found = [(session, self._seen[session]) for session in sorted(self._unsaved)]
        self._unsaved.clear()
        return found

    def prune(self, before: Instant) -> None:
        """Let go of whom nobody has seen since; the tables know it."""
        self._seen = {s: at for s, at in self._seen.items() if at >= before}


class Tries:
    """Failed tries per account and place. One place never makes another one wait."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[tuple[str, str], tuple[int, Instant]] = OrderedDict()

    def begin(self, key: tuple[str, str], now: Instant) -> int:
        """Seconds still to wait; if none, the try counts as failed until ``succeeded`` says not.

        It is counted before the password is looked at, so that many at once gain nothing.
        """
        errors, last = self._by_key.get(key, (0, now))
        if errors and now - last >= timedelta(seconds=WAIT_MAX_S):
            errors = 0
        left = timedelta(seconds=wait_s(errors)) - (now - last)
        if errors and left > timedelta(0):
            return -(-int(left.total_seconds() * 1000) // 1000)
        self._by_key[key] = (errors + 1, now)
        self._by_key.move_to_end(key)
        if len(self._by_key) > TRIES_MAX:
            self._by_key.popitem(last=False)
        return 0

    def succeeded(self, key: tuple[str, str]) -> None:
        self._by_key.pop(key, None)

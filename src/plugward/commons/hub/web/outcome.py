"""What an HTTP answer means for a delivery."""

from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime

from ..lanes import Failed, Kind
from ..ledger_records import Outcome
from ..ledger_tables import State

ANSWER_KEPT_MAX = 4096
_BUSY = (408, 425, 429, 503)


def judged(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """2xx is done; 4xx is final but for what means later; the rest is tried again."""
    if 200 <= status < 300:  # noqa: PLR2004 - success
        return Outcome(State.DONE, answer=body[:ANSWER_KEPT_MAX])
    reason = f"HTTP {status}"
    if status in _BUSY:
        raise Failed(reason, Kind.BUSY, _after_s(headers.get("Retry-After", "")))
    if 400 <= status < 500:  # noqa: PLR2004 - the request will never do
        return Outcome(State.DEAD, reason, answer=body[:ANSWER_KEPT_MAX])
    raise Failed(reason, Kind.ERROR)


def _after_s(text: str) -> float:
    """``Retry-After`` in seconds; a date is read as a minute, for its clock is not ours."""
    if text.isdigit():
        return min(float(text), 3600.0)
    with suppress(ValueError, TypeError):
        parsedate_to_datetime(text)
        return 60.0
    return 0.0

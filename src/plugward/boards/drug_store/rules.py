"""The rules of keeping drugs: pure functions, no database, no clock."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from plugward.kernel import Lifecycle

from .contract import Batch, DocumentKind, EmptyDocument, Held, ReservationState

LIFECYCLE = Lifecycle(
    {
        ReservationState.HELD: {
            ReservationState.CONFIRMED,
            ReservationState.CLOSED,
            ReservationState.EXPIRED,
        },
        ReservationState.CONFIRMED: {ReservationState.CLOSED},
        ReservationState.CLOSED: set(),
        ReservationState.EXPIRED: set(),
    }
)

LINES_MAX = 200
QUANTITY_MAX = 1_000_000

# What people write on the paper: 入库 出库 调拨 退库 盘点, as every drug store does.
NUMBER_PREFIX = {
    DocumentKind.RECEIPT: "RK",
    DocumentKind.TRANSFER: "DB",
    DocumentKind.ISSUE: "CK",
    DocumentKind.RETURN: "TK",
    DocumentKind.COUNT: "PD",
}

# A unit of work lasts seconds at most. After this a past instant can get no more moves.
SETTLED_AFTER = timedelta(minutes=10)


def check_quantities(quantities: Sequence[int], *, least: int = 1) -> None:
    """Refuse a document without lines, with too many, or with a quantity that makes no sense."""
    if not 1 <= len(quantities) <= LINES_MAX:
        raise EmptyDocument
    if any(not least <= quantity <= QUANTITY_MAX for quantity in quantities):
        raise EmptyDocument


def spread(wanted: int, offers: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Take ``wanted`` from offers in their order; the last part may be short."""
    parts = []
    for name, amount in offers:
        if wanted <= 0:
            break
        taken = min(wanted, amount)
        if taken > 0:
            parts.append((name, taken))
            wanted -= taken
    return parts


def offers_of(batches: Sequence[Batch]) -> list[tuple[str, int]]:
    """What batches offer, earliest expiry first as they come."""
    return [(batch.batch_no, batch.available) for batch in batches]


def still_held(rows: Sequence[Held]) -> list[tuple[str, int]]:
    return [(row.batch_no, row.open) for row in rows]


def still_out(rows: Sequence[Held]) -> list[tuple[str, int]]:
    """What could come back; the batch that expires last was handed out last."""
    return [(row.batch_no, row.returnable) for row in reversed(rows)]


def may_close(ends_at: datetime, *, starts_at: datetime | None, now: datetime) -> bool:
    """A period ends in the settled past and after the one before it."""
    return ends_at + SETTLED_AFTER <= now and (starts_at is None or ends_at > starts_at)

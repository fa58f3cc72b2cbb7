"""What a clinic offers: its slots, what is left, and what it costs today."""

from plugward.kernel import Reading, messages

from ..contract import Session, SessionOffer, Slot
from ..rules import Fee, fee_in_force, price_of
from ..tables import fees, slots

SLOTS_MAX = 20_000
FEES_MAX = 500


def offers_of(read: Reading, sessions: tuple[Session, ...]) -> tuple[SessionOffer, ...]:
    """Two statements, however many sessions."""
    if not sessions:
        return ()
    wanted = read.select(slots, Slot, session=tuple(session.id for session in sessions))
    numbers = messages(
        read.rows(wanted.order_by(slots.c.starts_at, slots.c.id).limit(SLOTS_MAX)), Slot
    )
    known = read.find(
        fees, Fee, limit=FEES_MAX, code=tuple({session.fee_item for session in sessions})
    )
    by_session: dict[object, list[Slot]] = {session.id: [] for session in sessions}
    for slot in numbers:
        by_session[slot.session].append(slot)
    return tuple(_offer(read, session, by_session[session.id], known) for session in sessions)


def _offer(
    read: Reading, session: Session, numbers: list[Slot], known: tuple[Fee, ...]
) -> SessionOffer:
    fee = fee_in_force(known, session.fee_item, read.now)
    return SessionOffer(
        session=session,
        slots=tuple(numbers),
        remaining=sum(slot.remaining for slot in numbers),
        fee_name=fee.name_zh if fee else "",
        fee=price_of(fee),
    )

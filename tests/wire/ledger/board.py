"""Ledger, plugged together: one reaction, one row a fact."""

from uuid import UUID

from sqlalchemy import func, select

from plugward.kernel import Board, Message, Store, Work, on

from ..specimen.contract import ThingKept
from .tables import heard, tables


class Heard(Message):
    id: UUID
    note: str
    place: int


class LedgerService:
    def __init__(self, store: Store) -> None:
        self.store = store


@on(ThingKept)
async def write_down(event: ThingKept, ledger: LedgerService) -> None:
    """Its place among those of its key, taken in the same transaction."""
    await ledger.store.work(_write, event)


def _write(work: Work, event: ThingKept) -> None:
    before = select(func.count().label("n")).select_from(heard).where(heard.c.note == event.note)
    place = int(work.rows(before)[0].n)
    work.insert(heard, Heard(id=event.id, note=event.note, place=place))


board = Board(service=LedgerService, tables=tables, reactions=[write_down])

"""Labels, plugged together. Small enough for one file, because it is only a test's."""

from collections import defaultdict
from collections.abc import Callable
from uuid import UUID, uuid5

from sqlalchemy import Column, Integer, String

from plugward.kernel import (
    Board,
    BoardTables,
    Event,
    Id,
    Reading,
    Store,
    Work,
    every,
    in_work,
    on,
    reading,
)

from ..parcels.contract import ParcelHandedOut, ParcelReceived, Parcels, StepTaken
from .contract import Label, Labels

tables = BoardTables("labels")
labels = tables.define(
    "label",
    Column("id", Id, primary_key=True),
    Column("parcel", Id, nullable=False, index=True),
    Column("text", String(40), nullable=False),
    Column("number", Integer, nullable=False),
    why_shared="no campus in a test",
)


class LabelService(Labels):
    def __init__(self, store: Store, parcels: Parcels) -> None:
        self.store = store
        self._parcels = parcels
        self.tried: dict[UUID, list[Event]] = defaultdict(list)
        self.trouble: Callable[[Event], None] = _none
        self.turns = 0
        self.turn: Callable[[], None] = lambda: None

    async def hear(self, key: UUID, event: Event, text: str) -> None:
        self.tried[key].append(event)
        self.trouble(event)
        await self.print(key, text)

    @in_work
    def print(self, work: Work, parcel: UUID, text: str) -> int:
        number = work.next_number("label")
        label = Label(id=uuid5(parcel, f"{number}"), parcel=parcel, text=text, number=number)
        work.insert(labels, label)
        return number

    @reading
    def of(self, read: Reading, parcel: UUID) -> tuple[Label, ...]:
        return read.find(labels, Label, limit=1_000, parcel=parcel, order_by="number")

    @reading
    def count(self, read: Reading) -> int:
        return read.count(labels)

    async def owner_of(self, parcel: UUID) -> str:
        return (await self._parcels.parcel(parcel)).name


def _none(event: Event) -> None:
    """No trouble."""
    del event


@on(ParcelReceived)
async def label_the_received(event: ParcelReceived, labels: LabelService) -> None:
    await labels.hear(event.parcel.id, event, "received")


@on(ParcelHandedOut)
async def label_the_handed_out(event: ParcelHandedOut, labels: LabelService) -> None:
    await labels.hear(event.parcel.id, event, "handed out")


@on(StepTaken)
async def label_the_step(event: StepTaken, labels: LabelService) -> None:
    await labels.hear(event.way, event, f"step {event.number}")


@every(60)
async def sweep(labels: LabelService) -> None:
    labels.turns += 1
    labels.turn()


board = Board(
    contract=Labels,
    service=LabelService,
    tables=tables,
    reactions=[label_the_received, label_the_handed_out, label_the_step],
    jobs=[sweep],
)

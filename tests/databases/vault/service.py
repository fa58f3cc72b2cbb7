"""What the vault does."""

from uuid import UUID

from plugward.kernel import Reading, Store, Work, in_work, reading

from .contract import Box, BoxState, Empty, Note, Put, Vault
from .tables import boxes


class VaultService(Vault):
    def __init__(self, store: Store) -> None:
        self.store = store

    @in_work
    def put(self, work: Work, box: Box) -> Box:
        numbered = box.replace(number=work.next_number(f"box:{box.campus}"))
        work.insert(boxes, numbered)
        work.publish(Put(box=box.id, step=0))
        return numbered

    @in_work
    def take(self, work: Work, box: UUID, amount: int) -> Box:
        work.take(boxes, box, "left", amount, refuse=lambda: Empty(box=box))
        return work.get(boxes, Box, box)

    @in_work
    def hold(self, work: Work, box: UUID, amount: int) -> Box:
        work.shift(
            boxes,
            box,
            {"left": -amount, "held": amount},
            floors={"left": 0},
            refuse=lambda: Empty(box=box),
        )
        return work.get(boxes, Box, box)

    @in_work
    def claim(self, work: Work, taker: str) -> Box | None:
        return work.claim(
            boxes,
            Box,
            state=BoxState.OPEN,
            order_by="number",
            values={"state": BoxState.SEALED, "taker": taker},
        )

    @in_work
    def rename(self, work: Work, before: Box, name: str) -> Box:
        after = before.replace(name=name)
        work.update(boxes, before=before, after=after)
        return after

    @in_work
    def annotate(self, work: Work, before: Box, notes: tuple[Note, ...]) -> Box:
        after = before.replace(notes=notes)
        work.update(boxes, before=before, after=after)
        return after

    @in_work
    def say(self, work: Work, box: UUID, steps: int) -> int:
        for step in range(steps):
            work.publish(Put(box=box, step=step))
        return steps

    @reading
    def box(self, read: Reading, box: UUID) -> Box:
        return read.get(boxes, Box, box)

    @reading
    def boxes(self, read: Reading) -> tuple[Box, ...]:
        return read.find(boxes, Box, limit=1000, order_by="number")

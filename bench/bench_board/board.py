"""Probe, plugged together."""

from uuid import UUID

from sqlalchemy import Column, Integer, String

from plugward.kernel import Board, BoardTables, Id, Reading, Store, Work, in_work, on, reading

from .contract import Line, Probe, Said, Signed

tables = BoardTables("probe")
lines_table = tables.define(
    "line",
    Column("id", Id, primary_key=True),
    Column("group", Id, nullable=False),
    Column("item", String(16), nullable=False),
    Column("quantity", Integer, nullable=False),
    why_shared="no campus in a measurement",
)


class ProbeService(Probe):
    def __init__(self, store: Store) -> None:
        self.store = store
        self.heard = 0

    async def echo(self, number: int) -> int:
        return number

    @reading
    def line(self, read: Reading, line: UUID) -> Line:
        return read.get(lines_table, Line, line)

    @in_work
    def sign(self, work: Work, group: UUID, lines: tuple[Line, ...]) -> UUID:
        work.insert(lines_table, *lines, group=group)
        work.publish(Signed(group=group, lines=lines))
        return group

    @in_work
    def say(self, work: Work, words: int) -> int:
        for number in range(words):
            work.publish(Said(group=work.derive(number)))
        return words


@on(Said)
async def hear(event: Said, probe: ProbeService) -> None:
    del event
    probe.heard += 1


board = Board(contract=Probe, service=ProbeService, tables=tables, reactions=[hear])

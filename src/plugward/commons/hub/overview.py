"""Overview 总览: how a node is doing: every line, what goes through, and what does not."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from plugward.kit.time import Instant

from .contract import LineState, MinuteCount, Overview, SystemLine
from .ledger_tables import State
from .measures import Direction, Row
from .node import Node

DEGRADED_ERRORS = 0.01
DOWN_ERRORS = 0.5
QUARTER = 15
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def overview(node: Node, names: Mapping[str, str], *, without: str) -> Overview:
    """What the console shows first. ``without``: a destination that is no system."""
    now = node.clock.now()
    rows = node.measures.rows(now)
    minutes = node.measures.minutes(now)
    dead = await node.ledger.backlog(State.DEAD)
    letters = await node.ledger.dead_letters(1)
    oldest = await node.ledger.oldest()
    lines = by_line(rows)
    told = [
        line(one, names.get(one, one), lines[one, direction], is_receiver=False)
        for one, direction in lines
        if direction == Direction.IN
    ]
    for to in sorted({*node.destinations, *dead, *oldest} - {without}):
        endpoint = node.endpoints.get(to)
        told.append(
            line(
                to,
                names.get(to) or (endpoint.endpoint.title if endpoint else "") or to,
                lines.get((to, Direction.OUT)),
                is_receiver=True,
                waiting=node.ledger.pending[to],
                dead=dead.get(to, 0),
                since=oldest.get(to),
                impact=endpoint.endpoint.impact if endpoint else "",
            )
        )
    return Overview(
        lines=tuple(told),
        services=len(rows),
        calls_today=sum(calls for _, calls, _ in minutes),
        per_minute=minutes[-2][1],  # the last whole one
        busiest_minute=max(calls for _, calls, _ in minutes),
        p99_ms=max((row.p99_ms for row in rows if row.calls_15), default=0.0),
        waiting=sum(count for count in node.ledger.pending.values() if count > 0),
        dead=sum(dead.values()),
        oldest_dead=letters[0].at if letters else None,
        throughput=quarters(minutes),
        problems=tuple(f"{at}: {why}"[:400] for at, why in node.all_problems.items()),
    )


def line_state(row: Row | None, waiting: int, dead: int) -> LineState:
    """Down: most of the last quarter failed. Degraded: some did, or it was given up on."""
    rate = row.error_rate if row else 0.0
    if rate >= DOWN_ERRORS and (waiting or dead):
        return LineState.DOWN
    if rate >= DEGRADED_ERRORS or dead:
        return LineState.DEGRADED
    return LineState.OK


def line(
    code: str,
    name: str,
    row: Row | None,
    *,
    is_receiver: bool,
    waiting: int = 0,
    dead: int = 0,
    since: Instant | None = None,
    impact: str = "",
) -> SystemLine:
    """One system's line in one direction."""
    return SystemLine(
        code=code,
        name=name,
        is_receiver=is_receiver,
        per_minute=round(row.calls_15 / QUARTER, 1) if row else 0.0,
        error_rate=round(row.error_rate, 4) if row else 0.0,
        p99_ms=row.p99_ms if row else 0.0,
        waiting=waiting,
        dead=dead,
        state=line_state(row, waiting, dead),
        last_error=row.last_error[:200] if row else "",
        waits_since=since,
        impact=impact,
    )


def by_line(rows: list[Row]) -> dict[tuple[str, str], Row]:
    """A system's services added up, in and out apart."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        before = found.get((row.system, row.direction))
        found[row.system, row.direction] = row if before is None else before.with_added(row)
    return found


def quarters(minutes: list[tuple[int, int, int]]) -> tuple[MinuteCount, ...]:
    """The day in quarters of an hour."""
    found = []
    for at in range(0, len(minutes) - QUARTER + 1, QUARTER):
        part = minutes[at : at + QUARTER]
        calls, errors = sum(one[1] for one in part), sum(one[2] for one in part)
        found.append(
            MinuteCount(
                at=EPOCH + timedelta(minutes=part[0][0]),
                per_minute=round(calls / QUARTER, 1),
                error_rate=round(errors / calls, 4) if calls else 0.0,
            )
        )
    return tuple(found)

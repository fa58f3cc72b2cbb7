"""Audit 稽核: the boards' proofs and the kernel's own, run together on any deployment."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, or_, select

from .auditlog import AuditLog
from .events.parked import list_parked
from .plugged import Plugged
from .runtime import Runtime
from .store.frames import COMMAND_DONE

PAGE = 1_000
BREACHES_MAX = 100


class AuditLine(msgspec.Struct, frozen=True):
    """One proof and its outcome."""

    id: str
    board: str
    title: str
    examined: int
    breaches: tuple[str, ...]


class AuditReport(msgspec.Struct, frozen=True):
    """All proofs of a deployment."""

    lines: tuple[AuditLine, ...]

    @property
    def breach_count(self) -> int:
        return sum(len(line.breaches) for line in self.lines)

    @property
    def holds(self) -> bool:
        return self.breach_count == 0


async def audit_runtime(runtime: Runtime, *, only: str = "") -> AuditReport:
    """Run every proof of every board (or of one), then the kernel's."""
    lines = [
        AuditLine(p.id, p.board, p.title, p.finding.examined, p.finding.breaches)
        for p in await runtime.prove(only=only)
    ]
    lines += [
        AuditLine("K0", name, "its store can be opened, so that it can be proved", 0, (why,))
        for name, why in runtime.left_out.items()
        if only in ("", name)
    ]
    for plugged in runtime.plugged.values():
        if only not in ("", plugged.board.name):
            continue
        lines.append(await _positions_whole(plugged))
        lines.append(await _commands_audited(plugged, runtime.audit))
        lines.append(await _applied_or_listed(plugged, runtime))
        lines.append(await _same_in_any_shape(plugged))
    problems = tuple(runtime.audit.verify())
    lines.append(
        AuditLine("K3", "kernel", "the audit chain is unbroken", runtime.audit.count(), problems)
    )
    return AuditReport(tuple(lines))


async def _positions_whole(plugged: Plugged) -> AuditLine:
    def look(connection: Connection) -> tuple[int, int]:
        outbox = plugged.store.engine.tables.system.outbox
        row = connection.execute(
            select(func.count(outbox.c.position), func.max(outbox.c.position))
        ).one()
        return int(row[0]), int(row[1] or 0)

    count, last = await plugged.store.engine.read(look)
    breaches = () if count == last else (f"{last - count} positions are missing of {last}",)
    return AuditLine(
        "K1", plugged.board.name, "every fact has its position, none is missing", count, breaches
    )


async def _commands_audited(plugged: Plugged, audit: AuditLog) -> AuditLine:
    """Every command that took effect has its entry, as far as the log has collected."""
    name = plugged.board.name
    collected = audit.collected.get(name, 0)
    outbox = plugged.store.engine.tables.system.outbox
    breaches: list[str] = []
    examined = position = 0
    while True:

        def page(connection: Connection, after: int = position) -> list[tuple[int, UUID]]:
            rows = connection.execute(
                select(outbox.c.position, outbox.c.cause)
                .where(
                    outbox.c.tag == COMMAND_DONE,
                    outbox.c.position > after,
                    outbox.c.position <= collected,
                )
                .order_by(outbox.c.position)
                .limit(PAGE)
            )
            return [(row.position, row.cause) for row in rows]

        rows = await plugged.store.engine.read(page)
        examined += len(rows)
        for request in audit.missing([row[1] for row in rows]):
            breaches.append(f"the command {request} has no audit entry")
        if len(rows) < PAGE:
            break
        position = rows[-1][0]
    return AuditLine(
        "K2", name, "every command has its entry in the audit log", examined, tuple(breaches)
    )


async def _applied_or_listed(plugged: Plugged, runtime: Runtime) -> AuditLine:
    """R3: an event is applied, still to come, or stands in the list: never passed over.

    What stands in the list is told, not hidden; what was left out for good names who and why; and
    nobody has read on beyond what its source ever wrote, or is ahead of an event it left waiting.
    """
    system = plugged.store.engine.tables.system

    def look(connection: Connection) -> tuple[list[Any], list[Any]]:
        cursors = connection.execute(select(system.cursor.c.source, system.cursor.c.position))
        left_out = connection.execute(
            select(system.parked.c.event).where(
                system.parked.c.state == "skipped",
                or_(
                    func.coalesce(system.parked.c.resolved_by, "") == "",
                    func.coalesce(system.parked.c.reason, "") == "",
                ),
            )
        )
        return list(cursors), list(left_out)

    cursors, left_out = await plugged.store.engine.read(look)
    parked = await list_parked(plugged.store)
    breaches = [f"{p.tag} waits for {p.reaction}: {p.error}" for p in parked]
    breaches += [f"event {row.event} was left out by nobody, for no reason" for row in left_out]
    for source, position in cursors:
        other = runtime.plugged.get(source)
        if other is not None and position > other.feed.last_position:
            breaches.append(
                f"has read {source} to {position}, which only wrote {other.feed.last_position}"
            )
    examined = len(parked) + len(cursors)
    title = "every fact is applied once, still to come, or in the list of parked ones"
    return AuditLine("R3", plugged.board.name, title, examined, tuple(breaches))


async def _same_in_any_shape(plugged: Plugged) -> AuditLine:
    """R4: facts read the same, whichever process wrote them.

    Each key's versions run from 1 without a gap or a double, in the order of positions, and end at
    the key's counter: two processes that wrote past each other would show here.
    """
    system = plugged.store.engine.tables.system
    outbox, key = system.outbox.c, system.key.c
    of_key: dict[str, Any] = {"partition_by": outbox.key, "order_by": outbox.key_version}
    facts = (
        select(
            outbox.key,
            outbox.key_version,
            outbox.position,
            func.row_number().over(**of_key).label("nth"),
            func.lag(outbox.position).over(**of_key).label("before"),
        )
        .where(outbox.tag != COMMAND_DONE)
        .subquery()
    ).c
    last = func.max(facts.key_version)

    def look(connection: Connection) -> tuple[int, list[str]]:
        examined = connection.execute(select(func.count(facts.key))).scalar()
        uneven = connection.execute(
            select(facts.key)
            .where(or_(facts.nth != facts.key_version, facts.before > facts.position))
            .limit(BREACHES_MAX)
        )
        miscounted = connection.execute(
            select(facts.key)
            .outerjoin(system.key, key.key == facts.key)
            .group_by(facts.key, key.version)
            .having(func.coalesce(key.version, 0) != last)
            .limit(BREACHES_MAX)
        )
        breaches = [f"the facts of {row[0]} have a gap or are out of order" for row in uneven]
        breaches += [f"the counter of {row[0]} is not at its last fact" for row in miscounted]
        return int(examined or 0), breaches

    examined, breaches = await plugged.store.engine.read(look)
    title = "facts read the same from one process or many: each key's in one order, none missing"
    return AuditLine("R4", plugged.board.name, title, examined, tuple(breaches))

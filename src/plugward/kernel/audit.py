"""Audit 稽核: the boards' proofs and the kernel's own, run together on any deployment."""

from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select

from .auditlog import AuditLog
from .events.parked import list_parked
from .runtime import Plugged, Runtime
from .store.frames import COMMAND_DONE

PAGE = 1_000


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


async def audit_runtime(runtime: Runtime) -> AuditReport:
    """Run every proof of every board, then the kernel's."""
    lines = [
        AuditLine(p.id, p.board, p.title, p.finding.examined, p.finding.breaches)
        for p in await runtime.prove()
    ]
    for plugged in runtime.plugged.values():
        lines.append(await _positions_whole(plugged))
        lines.append(await _commands_audited(plugged, runtime.audit))
        lines.append(await _parked_visible(plugged))
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
        for _, request in rows:
            examined += 1
            if not audit.has_request(request):
                breaches.append(f"the command {request} has no audit entry")
        if len(rows) < PAGE:
            break
        position = rows[-1][0]
    return AuditLine(
        "K2", name, "every command has its entry in the audit log", examined, tuple(breaches)
    )


async def _parked_visible(plugged: Plugged) -> AuditLine:
    """R3: an event is applied or stands in the list. What stands there is told, not hidden."""
    parked = await list_parked(plugged.store)
    breaches = tuple(f"{p.tag} waits for {p.reaction}: {p.error}" for p in parked)
    return AuditLine("R3", plugged.board.name, "no fact is left unhandled", len(parked), breaches)

"""The powers over a rack: processes come and go, the others never notice."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

from plugward.kernel.auditlog import AuditLog

from ..control.checks import within, without
from ..control.embedded import entry_of
from ..control.words import ActRefused, RackStatus, Say, Source
from ..place import SQLITE
from .moving import group_in
from .outside import Outside
from .rack import Rack

LANE = "rack"


class RackPowers:
    """One act at a time; every one is in the audit log before it is answered."""

    def __init__(self, rack: Rack, audit: AuditLog) -> None:
        self._rack = rack
        self._audit = audit
        self._one_at_a_time = asyncio.Lock()
        self._outside = Outside(rack, self._plug)

    async def status(self) -> RackStatus:
        return await self._rack.status()

    async def plug(self, board: str, *, by: str, say: Say) -> str:
        async with self._one_at_a_time:
            return await self._noted("rack.plug", board, by, self._plug(board, say))

    async def unplug(self, board: str, *, by: str, say: Say, anyway: bool = False) -> str:
        async with self._one_at_a_time:
            return await self._noted(
                "rack.unplug", board, by, self._unplug(board, say, anyway=anyway)
            )

    async def install(self, source: Source, *, by: str, say: Say, upgrade: bool = False) -> str:
        """Plug a board in from a folder or a wheel, or another version of one that runs."""
        async with self._one_at_a_time:
            operation = "rack.upgrade" if upgrade else "rack.plug"
            act = self._outside.install(source, say, upgrade=upgrade)
            return await self._noted(operation, Path(source.path).name, by, act)

    async def rollback(self, board: str, *, by: str, say: Say) -> str:
        """Back to the version that ran before."""
        async with self._one_at_a_time:
            return await self._noted("rack.rollback", board, by, self._outside.rollback(board, say))

    async def restart(self, board: str, *, by: str, say: Say) -> str:
        async with self._one_at_a_time:
            return await self._noted("rack.restart", board, by, self._restart(board, say))

    async def move(self, board: str, beside: str, *, by: str, say: Say, anyway: bool) -> str:
        async with self._one_at_a_time:
            act = self._move(board, beside, say, anyway=anyway)
            return await self._noted("rack.move", board, by, act)

    # ── in and out ──────────────────────────────────────────────────────────────────────────
    async def _plug(self, name: str, say: Say) -> str:
        manifests = self._rack.manifests
        if name not in manifests:
            known = ", ".join(sorted(manifests))
            raise ActRefused(f"No board is called {name}. Installed are: {known}.")
        if name in self._rack.plugged:
            raise ActRefused(f"{name} is plugged in already.")
        for needed, need in manifests[name].needs.items():
            there = manifests.get(needed)
            if there is not None and not within(there.version, need.version):
                raise ActRefused(
                    f"{name} needs {needed} {need.version}, here is {there.version}: "
                    f"upgrade {needed} first."
                )
        say(f"{manifests[name].title} {manifests[name].version}: its process starts")
        problem = await self._rack.put_in(name)
        if problem:
            await self._rack.take_out(name)
            raise ActRefused(f"{name} did not start and is out again: {problem}.")
        return f"{name} {manifests[name].version} is plugged in."

    async def _unplug(self, name: str, say: Say, *, anyway: bool) -> str:
        rack = self._rack
        if name not in rack.plugged:
            raise ActRefused(f"{name} is not plugged in; plugward rack status says what is.")
        together = rack.together_with(name)
        if together:
            raise ActRefused(
                f"{name} shares its process with {', '.join(together)}: give it one of its own "
                f"in rack.toml to take it out alone."
            )
        others = [rack.manifests[other] for other in rack.plugged if other != name]
        for said in without(name, others, anyway=anyway):
            say(said)
        if hearing := rack.hearing(name):
            say(f"no more facts of {name} reach {', '.join(hearing)}; none is lost")
        await rack.take_out(name)
        return f"{name} is unplugged. Its data stay; plugward plug {name} brings it back."

    async def _restart(self, name: str, say: Say) -> str:
        if name not in self._rack.plugged:
            raise ActRefused(f"{name} is not plugged in; plugward rack status says what is.")
        if self._rack.copies(name) == 1:
            say(f"{name} runs once: for a moment its callers do without it")
        problem = await self._rack.restart(name, say)
        if problem:
            raise ActRefused(f"{name} did not come up again, the other replicas go on: {problem}.")
        return f"{name} was started anew."

    async def _move(self, name: str, beside: str, say: Say, *, anyway: bool) -> str:
        """``beside``: a board or a group; the board itself for a process of its own."""
        rack = self._rack
        if name not in rack.plugged:
            raise ActRefused(f"{name} is not plugged in; plugward rack status says what is.")
        if rack.plan.database != SQLITE:
            raise ActRefused(
                "On a database server each process has a login made at the start: change [groups] "
                "in rack.toml and start the rack again. No row moves."
            )
        if beside == name:
            seat = name
        else:
            seat = group_in(rack.plan, beside) if beside else group_in(rack.as_written, name)
        if not beside and seat == name:
            raise ActRefused(f"rack.toml puts {name} with nobody: say with whom, --with BOARD.")
        if seat not in {*rack.plan.groups, *rack.as_written.groups, *rack.plugged}:
            raise ActRefused(f"There is no board and no group called {beside}.")
        if seat == group_in(rack.plan, name):
            raise ActRefused(f"{name} is there already; plugward rack status shows who is where.")
        touched = rack.touched_by(name, seat)
        if "portal" in touched and not anyway:
            raise ActRefused(
                "The portal shares that process: its door would close for some seconds. Say "
                "--anyway, or change [groups] in rack.toml and start the rack again."
            )
        say(f"for a moment callers do without {', '.join(touched)}, as their manifests promise")
        if problem := await rack.reseat(name, seat):
            raise ActRefused(f"{name} stays where it was: {problem}.")
        others = rack.together_with(name)
        where = f"shares a process with {', '.join(others)}" if others else "has its own process"
        return f"{name} {where}. Its data are where they were."

    async def _noted(self, operation: str, board: str, by: str, act: Awaitable[str]) -> str:
        try:
            done = await act
        except ActRefused:
            await self._audit.append([entry_of(operation, board, by, "refused")])
            raise
        await self._audit.append([entry_of(operation, board, by, "done")])
        return done

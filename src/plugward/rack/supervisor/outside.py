"""Outside 外来: boards of other distributions come in, change their version and go back."""

from collections.abc import Awaitable, Callable

from ..control.words import ActRefused, Say, Source
from ..environments import Installed, install
from .guests import Kept
from .plan import Seat
from .rack import Rack

Plug = Callable[[str, Say], Awaitable[str]]


class Outside:
    """What the powers do with boards from outside. Raises ``ActRefused``."""

    def __init__(self, rack: Rack, plug: Plug) -> None:
        self._rack = rack
        self._plug = plug

    async def install(self, source: Source, say: Say, *, upgrade: bool) -> str:
        """Prepare it while everybody works, then let it in."""
        rack = self._rack
        installed = await install(source, rack.guests.folder, rack.plugged, say)
        name = installed.name
        if name in rack.manifests and name not in rack.guests:
            raise ActRefused(f"{name} is one of the rack's own: it comes with Plugward's release.")
        if upgrade and name not in rack.guests:
            raise ActRefused(f"{name} is not here yet: say plugward plug {source.path}.")
        if not upgrade and name in rack.plugged:
            raise ActRefused(f"{name} is plugged in; plugward upgrade puts another version in.")
        rack.guests.check(installed)
        if name in rack.plugged:
            return await self._exchanged(installed, say)
        is_new = name not in rack.guests
        self._admit(installed)
        try:
            return await self._plug(name, say)
        except ActRefused:
            if is_new:
                rack.forget(name)
            raise

    async def rollback(self, name: str, say: Say) -> str:
        """The version before; it is still there."""
        before = self._rack.guests.one(name).before
        if before is None:
            raise ActRefused(f"{name} has only ever run in this version.")
        if name in self._rack.plugged:
            return await self._exchanged(before, say)
        self._admit(before)
        return f"{name} {before.examined.version} serves once it is plugged in."

    async def _exchanged(self, installed: Installed, say: Say) -> str:
        name, version = installed.name, installed.examined.version
        say(f"{name} {version} starts beside the one that serves")
        if problem := await self._exchange(installed):
            now = self._rack.manifests[name].version
            raise ActRefused(
                f"{name} {version} did not start: {problem}. {name} {now} goes on serving."
            )
        return f"{name} {version} serves; plugward rollback {name} brings the one before back."

    async def _exchange(self, installed: Installed) -> str:
        """What is wrong with it, or nothing: then it serves.

        It is tried beside the old one, which answers until the new one does.
        """
        rack, name = self._rack, installed.name
        kept = rack.guests.one(name)
        self._admit(installed)
        trial = Seat(name, (name,), 1)
        problem = await rack.tried(trial)
        if not problem:
            await rack.ended(name)
            problem = await rack.put_in(name)
        if problem:
            rack.guests.keep(kept)
            rack.welcome(kept.now)
            if not rack.is_up(name):
                await rack.ended(name)
                await rack.put_in(name)
        await rack.ended(trial.label)
        return problem

    def _admit(self, installed: Installed) -> None:
        """Its version is the one that starts from now on; the one before is remembered."""
        guests = self._rack.guests
        before = guests.one(installed.name).now if installed.name in guests else None
        guests.keep(Kept(installed, before))
        self._rack.welcome(installed)

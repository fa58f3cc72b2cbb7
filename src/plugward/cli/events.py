"""``plugward events``: parked events of a stopped hospital."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import msgspec
from rich.console import Console
from rich.table import Table

from plugward.kernel.events.parked import list_parked as parked_of
from plugward.kernel.refusals import Refusal
from plugward.kernel.runtime import Runtime
from plugward.rack.embedded import Embedded
from plugward.rack.folder import DataFolder, FolderError
from plugward.rack.place import stores_of


def list_parked(data: Path, *, as_json: bool) -> int:
    """Print what waits; 1 if something does."""

    async def look(runtime: Runtime) -> int:
        found = [p for plugged in runtime.plugged.values() for p in await parked_of(plugged.store)]
        if as_json:
            print(json.dumps(msgspec.to_builtins(found), default=str))  # noqa: T201 - the output
            return 1 if found else 0
        table = Table(box=None, pad_edge=False)
        for heading in ("id", "board", "reaction", "event", "since", "error"):
            table.add_column(heading)
        for p in found:
            table.add_row(
                str(p.id), p.board, p.reaction, p.tag, f"{p.parked_at:%m-%d %H:%M}", p.error
            )
        Console().print(table if found else "Nothing is parked.")
        return 1 if found else 0

    return _with_hospital(data, look, reacting=False)


def resolve(parked: str, data: Path, *, skip: bool, reason: str) -> int:
    """Replay or skip one parked event."""

    async def act(runtime: Runtime) -> int:
        for name, plugged in runtime.plugged.items():
            if any(p.id == UUID(parked) for p in await parked_of(plugged.store)):
                if skip:
                    await runtime.skip_parked(name, UUID(parked), by="cli", reason=reason)
                else:
                    await runtime.replay_parked(name, UUID(parked), by="cli")
                Console().print("done")
                return 0
        Console().print(f"There is no parked event {parked}.")
        return 2

    return _with_hospital(data, act, reacting=True)


def _with_hospital(data: Path, act: Callable[[Runtime], Awaitable[int]], *, reacting: bool) -> int:
    folder = DataFolder(data)
    console = Console(stderr=True)
    if not folder.exists:
        console.print(f"{data} holds no hospital. Name its folder with --data.")
        return 2

    async def run() -> int:
        async with stores_of(folder) as stores:
            hospital = Embedded(folder, reacting=reacting, stores=stores)
            await hospital.start()
            try:
                return await act(hospital.runtime)
            finally:
                await hospital.stop()

    try:
        folder.open()
        return asyncio.run(run())
    except (FolderError, Refusal, ValueError) as error:
        console.print(str(error))
        return 2
    finally:
        folder.close()

"""The demo's first day, prepared in one process before the rack opens.

An embedded hospital and a rack keep their data alike, so whatever fills one fills the other.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from ..embedded import Embedded
from ..folder import DataFolder
from ..place import Stores
from .spec import read_secret, write_secret


class SeedingFailed(Exception):
    """The demo could not be prepared; its last words."""


class _Told(msgspec.Struct, frozen=True):
    data: str
    stores: Stores | None


async def seed_demo(data: Path, stores: Stores | None) -> None:
    """Fill an empty hospital, make sure the demo's people can sign in. Raises ``SeedingFailed``."""
    file = data / "rack" / "seeding"
    write_secret(file, _Told(str(data), stores))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "plugward.rack.supervisor.seeding",
        str(file),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        raise SeedingFailed(words[-1] if words else f"exit code {process.returncode}")


async def _seed(data: Path, stores: Stores | None) -> None:
    from rich.console import Console  # noqa: PLC0415 - as above

    from plugward.commons.identity.demo import prepare  # noqa: PLC0415 - only this process needs it
    from plugward.sim.demo import seed  # noqa: PLC0415 - as above
    from plugward.sim.progress import Steps  # noqa: PLC0415 - as above

    hospital = Embedded(
        DataFolder(data),
        extra={"hub": {"mllp_port": 0}, "identity": {"demo": True}},
        stores=stores,
    )
    await hospital.start()
    try:
        with Steps(Console(stderr=True, quiet=True)) as steps:
            await seed(hospital.runtime, steps)
        await prepare(hospital.runtime, data)
        # Nobody goes on hashing once this process has ended.
        await hospital.runtime.plugged["identity"].service.demo.all_hashed()
        await hospital.runtime.quiet()
    finally:
        await hospital.stop()


if __name__ == "__main__":
    told = read_secret(Path(sys.argv[1]), _Told, keep=False)
    asyncio.run(_seed(Path(told.data), told.stores))

"""A hospital that is killed in the middle of a commit: ``python -m tests.journeys.dying FOLDER N``.

It signs orders, one group after another, and says which were answered. While the N-th of them is
being written, at the moment the first bytes have reached the file, it kills itself.
"""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from plugward.boards.orders.contract import Orders, SignGroup
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import acting_as

from .house import House


class Wish(msgspec.Struct, frozen=True):
    """A group to sign, and the request under which it is asked for."""

    request: UUID
    group: SignGroup


def wishes_of(folder: Path) -> list[Wish]:
    return msgspec.json.decode((folder / "wishes.json").read_bytes(), type=list[Wish])


async def sign(house: House, wish: Wish) -> None:
    with acting_as(house.actor("doctor"), request=wish.request):
        await house.client(Orders).sign(wish.group)


def die_while_it_is_written(log: Path) -> None:
    """From another thread: gone as soon as the log of the file has grown."""
    before = log.stat().st_size

    def watch() -> None:
        while log.stat().st_size == before:
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


async def main(folder: Path, last: int) -> None:
    house = House(folder / "boards", Transport.STRICT)
    await house.start()
    engine: Any = house.runtime.plugged["orders"].store.engine
    for number, wish in enumerate(wishes_of(folder)):
        if number == last:
            engine._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log begins at nothing
            die_while_it_is_written(folder / "boards" / "orders.sqlite-wal")
        await sign(house, wish)
        if number == last:  # on a busy machine the writing may be quicker than the watcher
            await asyncio.Event().wait()
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

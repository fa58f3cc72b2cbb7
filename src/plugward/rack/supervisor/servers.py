"""The servers a rack brings along, and who ends them if the rack itself is killed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ..wire.broker import Broker, User

# Reads until the rack is gone, gives the boards time to finish, then ends the servers.
_SCRIPT = """
read -r _; boards="$1"; shift
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
  alive=; for pid in $boards; do [ -d "/proc/$pid" ] && alive=1; done
  [ -z "$alive" ] && break; sleep 1
done
kill -TERM "$@" 2>/dev/null
"""


class Guard:
    """A shell of its own session, holding our pipe: kill -9 of the rack leaves nothing running."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def watch(self, boards: Sequence[int], servers: Sequence[int]) -> None:
        """From now on these; called again when processes were replaced."""
        await self.dismiss()
        if not servers:
            return
        self._process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            _SCRIPT,
            "plugward-guard",
            " ".join(map(str, boards)),
            *map(str, servers),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def dismiss(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def own_nats(folder: Path, users: Sequence[User], site: str) -> Broker:
    """A NATS of the rack's own, with the site's stream. The first user is the rack itself.

    Raises ``RuntimeError``.
    """
    from nats.aio.client import Client  # noqa: PLC0415 - only where we run NATS ourselves

    from ..relay.jetstream import make_stream  # noqa: PLC0415 - as above

    broker = Broker(folder, users=users)
    await broker.start()
    (folder / "nats.pid").write_text(str(broker.pid))
    try:
        client = Client()
        await client.connect(broker.url, user=users[0].name, password=users[0].password)
        await make_stream(client, site)
        await client.close()
    except BaseException:
        await broker.stop()
        raise
    return broker

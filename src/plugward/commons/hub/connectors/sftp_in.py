"""SFTP in: files of another machine become messages once they have settled."""

import asyncio
import hashlib
import stat
from fnmatch import fnmatchcase

import asyncssh

from plugward.kit.time import hospital_date

from ..node import Node
from ..routing import Incoming
from ..sftp import SftpLink
from ..taking import Verdict, take
from ..web.addresses import networks_of
from ..web.asgi import BODY_BYTES_MAX
from .files_in import FAILED, PROCESSED, UNFINISHED, Found
from .sources_declared import SftpIn


class SftpSource:
    """One folder of one server."""

    def __init__(self, name: str, told: SftpIn, node: Node) -> None:
        self._name = name
        self._told = told
        self._node = node
        self._folder = told.folder.rstrip("/")
        self._seen: dict[Found, float] = {}
        self._link = SftpLink(
            told.host,
            told.port,
            user=told.user,
            key=node.folder / told.key,
            known_hosts=node.folder / told.known_hosts,
            networks=networks_of(told.networks),
        )
        self.every_s = told.every_s

    async def look(self) -> None:
        """Take what is whole, the oldest first; stop where the hub cannot keep it now."""
        try:
            client = await self._link.client()
            now = asyncio.get_running_loop().time()
            there = await self._listed(client)
            self._seen = {one: self._seen.get(one, now) for one in there}
            for found in sorted(there, key=lambda one: (one.changed_ns, one.name)):
                if now - self._seen[found] >= self._told.settle_s and not await self._take(
                    client, found
                ):
                    return
        except asyncssh.SFTPError as failure:
            raise OSError(f"SFTP {type(failure).__name__}") from failure
        except asyncssh.Error as failure:
            await self._link.close()
            raise OSError(type(failure).__name__) from failure

    async def close(self) -> None:
        """Let the connection go."""
        await self._link.close()

    async def _listed(self, client: asyncssh.SFTPClient) -> list[Found]:
        found: list[Found] = []
        async for entry in client.scandir(self._folder):
            name, told = str(entry.filename), entry.attrs
            if name.startswith(".") or name.lower().endswith(UNFINISHED) or "/" in name:
                continue
            if fnmatchcase(name, self._told.pattern) and stat.S_ISREG(told.permissions or 0):
                found.append(Found(name, told.size or 0, int(told.mtime or 0)))
        return found

    async def _take(self, client: asyncssh.SFTPClient, found: Found) -> bool:
        path = f"{self._folder}/{found.name}"
        if found.size > BODY_BYTES_MAX:
            await self._put_away(client, found.name, FAILED)
            return True
        async with client.open(path, "rb") as file:
            body = await file.read(BODY_BYTES_MAX + 1)
        after = await client.stat(path)
        if (after.size, int(after.mtime or 0)) != (found.size, found.changed_ns):
            return True  # it is being written after all: it settles anew
        if isinstance(body, str) or len(body) != found.size:
            return True
        digest = hashlib.sha256(body).hexdigest()[:32]
        incoming = Incoming(body, kind=f"file {found.name}", sender=self._name)
        key = f"{found.name[-60:]} {found.changed_ns} {digest}"
        taken = await take(self._node, incoming, key=key, peer=f"sftp {self._name}")
        if taken.verdict is Verdict.AWAY:
            return False
        where = PROCESSED if taken.verdict is Verdict.ACCEPTED else FAILED
        await self._put_away(client, found.name, where)
        return True

    async def _put_away(self, client: asyncssh.SFTPClient, name: str, where: str) -> None:
        if where == PROCESSED and not self._told.keep:
            await client.remove(f"{self._folder}/{name}")
            return
        day = hospital_date(self._node.clock.now()).isoformat()
        folder = f"{self._folder}/{where}/{day}"
        await client.makedirs(folder, exist_ok=True)
        place, number = f"{folder}/{name}", 1
        while await client.exists(place):
            number += 1
            place = f"{folder}/{name}.{number}"
        await client.rename(f"{self._folder}/{name}", place)

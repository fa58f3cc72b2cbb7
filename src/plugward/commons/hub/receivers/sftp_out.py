"""SFTP out: a file for each message, written beside its place and renamed into it when whole."""

import asyncssh

from ..lanes import DONE, Failed, Kind
from ..ledger_records import Delivery, Outcome
from ..sftp import SftpFailed, SftpLink


class SftpOut:
    """One folder of one server."""

    def __init__(self, link: SftpLink, folder: str, suffix: str) -> None:
        self._link = link
        self._folder = folder.rstrip("/")
        self._suffix = suffix

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt. A repeat writes the same file again."""
        name = f"{delivery.seq:012d}-{delivery.part}{self._suffix}"
        place, fresh = f"{self._folder}/{name}", f"{self._folder}/.{name}.part"
        try:
            client = await self._link.client()
            async with client.open(fresh, "wb") as file:
                await file.write(delivery.body)
            await client.posix_rename(fresh, place)
        except SftpFailed as failure:
            raise Failed(str(failure), Kind.CONNECT) from failure
        except asyncssh.SFTPError as failure:
            raise Failed(f"SFTP {type(failure).__name__}", Kind.ERROR) from failure
        except (asyncssh.Error, OSError) as failure:
            await self._link.close()
            raise Failed(type(failure).__name__, Kind.NO_ANSWER) from failure
        return DONE

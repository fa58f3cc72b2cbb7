"""SFTP: one connection to one place, kept while it works. The other side's key has to be known."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from .web.addresses import Network, resolve

CONNECT_S = 10.0


class SftpFailed(OSError):
    """What the other side, or the way to it, said. ``is_there``: it answered."""

    def __init__(self, words: str, *, is_there: bool) -> None:
        super().__init__(words)
        self.is_there = is_there


class SftpLink:
    """Opened when it is needed, dropped when it fails."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        user: str,
        key: Path,
        known_hosts: Path,
        networks: Sequence[Network] = (),
    ) -> None:
        for file in (key, known_hosts):
            file.read_bytes()  # now, and not at the first message
        self._host = host
        self._port = port
        self._user = user
        self._key = key
        self._known_hosts = known_hosts
        self._networks = networks
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._opening = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it stands."""
        return self._client is not None

    async def client(self) -> asyncssh.SFTPClient:
        """The client. Raises ``SftpFailed``."""
        async with self._opening:
            if self._client is None:
                try:
                    async with asyncio.timeout(CONNECT_S):
                        await self._open()
                except (TimeoutError, OSError, asyncssh.Error) as failure:
                    await self.close()
                    raise SftpFailed(type(failure).__name__, is_there=False) from failure
            assert self._client is not None
            return self._client

    async def close(self) -> None:
        """Let go."""
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    async def _open(self) -> None:
        [(address, _), *_] = await resolve(self._host, self._port, self._networks)
        self._connection = await asyncssh.connect(
            address,
            self._port,
            username=self._user,
            client_keys=[str(self._key)],
            known_hosts=str(self._known_hosts),
            host_key_alias=self._host,
            agent_path=None,
            config=None,
            keepalive_interval=30,
        )
        self._client = await self._connection.start_sftp_client()

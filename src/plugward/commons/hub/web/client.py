"""Web client: one request to a configured address, with limits on time and size.

No redirects, no cookies, no proxies from the environment, no address that was not meant.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .addresses import Network, check_address, checked_url, literal, resolve

ANSWER_BYTES_MAX = 10 * 1024 * 1024
_IDLE_S = 4.0
"""Many servers hang up after five seconds; a request sent just then would be lost."""


class WebAnswer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotReached(OSError):
    """There was no connection: it cannot have arrived."""


class AnswerLost(OSError):
    """It may or may not have arrived."""


class _Guarded(AbstractResolver):
    def __init__(self, listed: Sequence[Network]) -> None:
        self._listed = listed

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        del family
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for address, kind in await resolve(host, port, self._listed)
        ]

    async def close(self) -> None:
        return None


class WebClient:
    """Connections to one destination, kept and reused."""

    def __init__(
        self,
        *,
        networks: Sequence[Network] = (),
        connections: int = 16,
        connect_s: float = 5.0,
        answer_s: float = 30.0,
        is_stream: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._networks = tuple(networks)
        self._connections = connections
        self._tls = tls
        self._times = aiohttp.ClientTimeout(
            total=None if is_stream else answer_s,
            sock_connect=connect_s,
            connect=connect_s,
            sock_read=answer_s,
        )
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> WebAnswer:
        """The whole answer. Raises ``NotReached`` or ``AnswerLost``."""
        async with self.open(method, url, headers=headers, body=body) as answer:
            try:
                read = await answer.content.read(ANSWER_BYTES_MAX + 1)
                while not answer.content.at_eof() and len(read) <= ANSWER_BYTES_MAX:
                    read += await answer.content.read(ANSWER_BYTES_MAX + 1 - len(read))
            except (aiohttp.ClientError, TimeoutError) as failure:
                raise AnswerLost(f"the answer broke off: {type(failure).__name__}") from failure
            if len(read) > ANSWER_BYTES_MAX:
                answer.close()
                raise AnswerLost(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
            return WebAnswer(answer.status, answer.headers, read)

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer whose body is still to be read."""
        parts = checked_url(url)
        found = literal(str(parts.hostname))
        if found is not None:
            check_address(found, self._networks, is_literal=True)
        answer = await self.begin(method, URL(url), headers=headers, body=body)
        try:
            yield answer
        finally:
            answer.release()

    async def begin(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
    ) -> aiohttp.ClientResponse:
        """An answer that is still to be read and let go; the address was checked before."""
        try:
            return await self._opened().request(
                method, url, headers=headers, data=body, allow_redirects=False
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failure:
            raise NotReached(_told(failure)) from failure
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as failure:
            raise AnswerLost(_told(failure)) from failure

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_Guarded(self._networks),
                limit=self._connections,
                keepalive_timeout=_IDLE_S,
                use_dns_cache=True,
                ttl_dns_cache=30,
                ssl=self._tls or True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._times,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                max_line_size=16 * 1024,
                max_field_size=16 * 1024,
            )
        return self._session


def _told(failure: BaseException) -> str:
    """What went wrong, without the address's query or any header."""
    cause = failure.__cause__ or failure
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause)[:200] if isinstance(cause, OSError) and str(cause) else type(failure).__name__

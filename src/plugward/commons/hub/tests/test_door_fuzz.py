"""Whatever bytes reach the HTTP door: an answer or a closed connection, never a crash, a wedged
hub, a request that nobody sent, or memory that grows."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest

from plugward.commons.hub.tests.test_forward import AUTH, Passed, passing
from plugward.commons.hub.web.asgi import HEAD_BYTES_MAX

SOAP = b"<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body><P/></e:Body>"
HEAD = f"Host: h\r\n{AUTH}".encode()
SEEDS = (
    b"POST /lis/a HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello",
    b"POST /lis/a HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /lis/a?b=c HTTP/1.1\r\n" + HEAD + b"\r\nGET /lis/b HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /lis/w HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x00",
    b"POST /orders HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
    b"POST /soap HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(SOAP) + SOAP,
)
SCRAPS = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\xff", b"0\r\n\r\n", b"%2e%2e", b"/../",
    b"Content-Length: 1\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Upgrade: h2c\r\n",
    b"Connection: close, content-length\r\n", b"Expect: 100-continue\r\n", b"HTTP/0.9", b"HTTP/2.0",
    b"ffffffffffffffff\r\n", b"-1\r\n", b";x=y\r\n", b"X: " + b"a" * 5000 + b"\r\n",
)  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """One of the seeds, hurt in a few places; sometimes nothing but noise."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(300))
    told = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(told) + 1)
        kind = chance.randrange(3)
        if kind == 0:
            told[at:at] = chance.choice(SCRAPS)
        elif kind == 1:
            del told[at : at + chance.randrange(1, 12)]
        else:
            told[at : at + 1] = chance.randbytes(1)
    return bytes(told)


async def send(hub: Passed, sent: bytes) -> None:
    """Say it, and go when nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.doors.http_port)
    with suppress(OSError):
        writer.write(sent)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                while await reader.read(65536):
                    pass
    writer.close()


async def fuzz(data: Path, seed: int, rounds: int) -> None:
    chance = random.Random(seed)
    async with passing(data, more="websocket = true\nanswer_s = 1.0") as hub:
        for _ in range(rounds):
            await asyncio.gather(*(send(hub, mutated(chance)) for _ in range(16)))
        assert (await hub.caller.get("/health")).status == 200
        assert (await hub.caller.post("/lis/fine", data=b"x")).status == 200
        for request in hub.seen:
            assert request.headers["X-Plugward-Caller"] == "his"  # nothing came without its token
            assert request.path.startswith("/api")
            assert ".." not in request.path.split("/")
        assert len(hub.doors.node.measures.rows(hub.doors.node.clock.now())) < 20 * rounds


async def test_hurt_requests_do_no_harm(tmp_path: Path) -> None:
    await fuzz(tmp_path, seed=1, rounds=6)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 8))
async def test_many_hurt_requests_do_no_harm(tmp_path: Path, seed: int) -> None:
    await fuzz(tmp_path, seed, rounds=250)


async def test_a_head_has_a_size(tmp_path: Path) -> None:
    async with passing(tmp_path) as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.doors.http_port)
        sent = 0
        writer.write(b"GET /lis/x HTTP/1.1\r\nHost: h\r\nX: ")
        with suppress(OSError):
            async with asyncio.timeout(5):
                while not reader.at_eof() and sent < 64 * HEAD_BYTES_MAX:
                    writer.write(b"a" * 4096)
                    await writer.drain()
                    await asyncio.sleep(0)
                    sent += 4096
                await reader.read()
        writer.close()
        assert sent < 64 * HEAD_BYTES_MAX  # it was cut off, and nothing of it went on
        assert hub.seen == []
        assert (await hub.caller.get("/lis/x")).status == 200

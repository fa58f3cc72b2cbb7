"""MLLP: whatever the network and the senders do, one answer per message and never a wedge."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugward.commons.hub.mllp import (
    AnswerUnknown,
    Cutter,
    Limits,
    MllpClient,
    MllpServer,
    NotSent,
    Peer,
    frame,
)

payload = st.binary(max_size=60).map(lambda b: b.replace(b"\x0b", b"").replace(b"\x1c", b""))


async def echo(message: bytes, peer: Peer) -> bytes:
    assert peer.listener == "mllp"
    return b"ACK " + message


def refusal(head: bytes, reason: str, peer: Peer) -> bytes:
    return f"NAK {reason} from {peer.address} ".encode() + head[:20]


@asynccontextmanager
async def listening(
    handle: Callable[[bytes, Peer], Awaitable[bytes]] = echo, **options: object
) -> AsyncIterator[tuple[MllpServer, int]]:
    server = MllpServer(handle, refusal, **options)  # type: ignore[arg-type]  # options pass through
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop(patience_s=0.5)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read()


# Cutting


@settings(deadline=None)
@given(st.lists(payload, max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_frames_come_whole_however_the_network_splits_them(
    messages: list[bytes], steps: list[int]
) -> None:
    stream = b"".join(frame(message) for message in messages)
    cutter, cut, at, turn = Cutter(), [], 0, 0
    while at < len(stream):
        step = steps[turn % len(steps)]
        cut += cutter.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
    assert cut == messages
    assert (cutter.broken, cutter.pending) == ("", 0)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=20))
def test_noise_never_breaks_the_cutter_and_is_never_a_frame_with_framing_bytes(
    noise: list[bytes],
) -> None:
    cutter = Cutter(limit=200)
    for piece in noise:
        for cut in cutter.feed(piece):
            assert b"\x0b" not in cut
            assert len(cut) <= 200
        assert cutter.pending <= 200 + 50 or cutter.broken


def test_a_message_with_a_framing_byte_cannot_be_framed() -> None:
    for evil in (b"a\x0bb", b"a\x1c\rb", b"a\x1cb"):
        with pytest.raises(ValueError, match="framing byte"):
            frame(evil)


# The server


async def test_split_and_pipelined_messages_are_answered_in_order() -> None:
    async def slow_first(message: bytes, _: Peer) -> bytes:
        await asyncio.sleep(0.05 if message == b"0" else 0)
        return b"ACK " + message

    async with listening(slow_first) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stream = b"".join(frame(b"%d" % number) for number in range(300))
        for at in range(0, len(stream), 7):
            writer.write(stream[at : at + 7])
        writer.write_eof()
        assert await read_all(reader) == b"".join(frame(b"ACK %d" % n) for n in range(300))
        writer.close()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"bytes outside a frame"),
        (b"\x0bMSH|half\x0bMSH|again\x1c\r", b"a frame begins inside a frame"),
        (b"\x0b" + b"x" * 2000, b"a frame is longer than 1000 bytes"),
        (b"\x0b" + b"x" * 2000 + b"\x1c\r", b"a frame is longer than 1000 bytes"),
    ],
)
async def test_sec_hub_03_bytes_that_are_no_frame_are_answered_and_the_connection_closed(
    sent: bytes, reason: bytes
) -> None:
    async with listening(limits=Limits(frame_bytes_max=1000)) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(frame(b"good") + sent)
        answer = await read_all(reader)
        assert answer.startswith(frame(b"ACK good") + b"\x0bNAK " + reason)
        writer.close()
        assert await MllpClient("127.0.0.1", port).send(b"next") == b"ACK next"
        assert server.partial_bytes == 0


async def test_sec_hub_03_a_frame_that_is_not_finished_is_closed_and_others_go_on() -> None:
    limits = Limits(idle_in_frame_s=0.2, frame_s_max=60, looked_after_every_s=0.05)
    async with listening(limits=limits) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x0bMSH|^~\\&|LIS")
        client = MllpClient("127.0.0.1", port)
        assert await client.send(b"1") == b"ACK 1"
        assert b"NAK a frame was begun and not finished" in await read_all(reader)
        assert await client.send(b"2") == b"ACK 2"
        assert server.partial_bytes == 0
        writer.close()


async def test_sec_hub_03_a_sender_that_drips_bytes_comes_to_an_end() -> None:
    limits = Limits(idle_in_frame_s=60, frame_s_max=0.3, looked_after_every_s=0.05)
    async with listening(limits=limits) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x0b")

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert b"NAK a frame takes too long" in await read_all(reader)
        dripping.cancel()
        writer.close()


async def test_sec_hub_03_one_address_has_at_most_its_connections() -> None:
    noticed: list[tuple[Peer, str]] = []

    async def turned_away(peer: Peer, reason: str) -> None:
        noticed.append((peer, reason))

    limits = Limits(connections_per_source=16)
    async with listening(limits=limits, turned_away=turned_away) as (server, port):
        clients = [MllpClient("127.0.0.1", port) for _ in range(16)]
        assert await asyncio.gather(*(c.send(b"x") for c in clients)) == [b"ACK x"] * 16
        with pytest.raises((NotSent, AnswerUnknown)):
            await MllpClient("127.0.0.1", port).send(b"one too many")
        assert [reason for _, reason in noticed] == ["too many connections from this address"]
        await clients[0].close()
        await asyncio.sleep(0.05)
        assert await MllpClient("127.0.0.1", port).send(b"y") == b"ACK y"
        assert len(server.connections) == 16


async def test_sec_hub_03_unfinished_frames_together_stay_within_their_memory() -> None:
    limits = Limits(partial_bytes_max=100_000)
    async with listening(limits=limits) as (server, port):
        senders = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for _, writer in senders:
            writer.write(b"\x0b" + b"x" * 60_000)
        refused = [asyncio.create_task(read_all(reader)) for reader, _ in senders]
        done, _ = await asyncio.wait(refused, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        assert b"NAK too many unfinished frames" in next(iter(done)).result()
        assert server.partial_bytes <= 100_000 + 60_001
        for _, writer in senders:
            writer.close()
        await asyncio.gather(*refused)


async def test_sec_hub_03_a_sender_that_does_not_read_its_answers_is_left() -> None:
    async def long_answer(message: bytes, _: Peer) -> bytes:
        return message * 100

    async with listening(
        long_answer, limits=Limits(unread_answers_s=0.1, looked_after_every_s=0.05)
    ) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        for _ in range(200):
            writer.write(frame(b"x" * 10_000))
        for _ in range(300):
            await asyncio.sleep(0.01)
            if not server.connections:
                break
        assert not server.connections
        writer.close()
        reader.feed_eof()


async def test_sec_hub_01_a_listener_answers_only_its_networks() -> None:
    networks = [ip_network("10.1.2.0/24")]
    async with listening(networks=networks) as (_, port):
        with pytest.raises((NotSent, AnswerUnknown)):
            await MllpClient("127.0.0.1", port).send(b"hello")


async def test_a_handler_that_fails_gives_no_answer_so_the_sender_keeps_the_message() -> None:
    async def failing(_message: bytes, _: Peer) -> bytes:
        raise RuntimeError("bug")

    async with listening(failing) as (_, port):
        with pytest.raises(AnswerUnknown):
            await MllpClient("127.0.0.1", port).send(b"x")


async def test_stopping_answers_what_is_under_way() -> None:
    release = asyncio.Event()

    async def waiting(message: bytes, _: Peer) -> bytes:
        await release.wait()
        return b"ACK " + message

    async with listening(waiting) as (server, port):
        asked = asyncio.create_task(MllpClient("127.0.0.1", port).send(b"x"))
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(server.stop(patience_s=2))
        await asyncio.sleep(0)
        release.set()
        assert await asked == b"ACK x"
        await stopping


# The client


async def test_the_connection_is_kept_and_made_anew_when_it_is_gone() -> None:
    async with listening() as (server, port):
        client = MllpClient("127.0.0.1", port)
        assert [await client.send(b"%d" % n) for n in range(3)] == [b"ACK 0", b"ACK 1", b"ACK 2"]
        assert len(server.connections) == 1
        next(iter(server.connections)).abort()
        await asyncio.sleep(0.05)
        assert await client.send(b"3") == b"ACK 3"


async def test_two_callers_share_one_connection_and_get_their_own_answers() -> None:
    async with listening() as (server, port):
        client = MllpClient("127.0.0.1", port)
        answers = await asyncio.gather(*(client.send(b"%d" % n) for n in range(20)))
        assert answers == [b"ACK %d" % n for n in range(20)]
        assert len(server.connections) == 1


async def test_no_answer_in_time_is_unknown_and_a_late_answer_is_never_mixed_up() -> None:
    async def late(message: bytes, _: Peer) -> bytes:
        await asyncio.sleep(0.2 if message == b"1" else 0)
        return b"ACK " + message

    async with listening(late) as (_, port):
        client = MllpClient("127.0.0.1", port, answer_s=0.1)
        with pytest.raises(AnswerUnknown):
            await client.send(b"1")
        assert await client.send(b"2") == b"ACK 2"
        await asyncio.sleep(0.2)
        assert await client.send(b"3") == b"ACK 3"


async def test_nobody_listening_is_not_sent() -> None:
    async with listening() as (_, port):
        pass
    with pytest.raises(NotSent):
        await MllpClient("127.0.0.1", port).send(b"x")

"""Facts between processes: in order, once, whole, whoever is killed and whatever the bus loses."""

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from plugward.kernel import Unavailable
from plugward.kernel.envelope import acting_as
from plugward.kit.ids import new_id
from plugward.rack.node import Node
from plugward.rack.relay.jetstream import make_stream, stream_of
from plugward.rack.relay.source import RemoteFeed
from plugward.rack.wire.broker import Broker, Port, administrator, free_port, user_of
from plugward.rack.wire.nats import NatsWire

from .ledger.board import board as ledger
from .rack import EDGE, Rack, a_nurse, manifest, reached, until
from .specimen.board import board as specimen
from .specimen.contract import Specimen

pytestmark = pytest.mark.wire
ROOT = Path(__file__).parents[2]
SECONDS = 30.0


class Process:
    """A board in a process of its own, which the test may kill."""

    def __init__(self, rack: Rack, url: str, name: str) -> None:
        self._rack = rack
        self._url = url
        self.name = name
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.wire.process",
            str(self._rack.folder),
            self._url,
            self.name,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            assert await self._process.stdout.readline() == b"READY\n"

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(TimeoutError):
                self._process.terminate()
                await asyncio.wait_for(self._process.wait(), SECONDS)
            if self._process.returncode is None:
                await self.kill()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        path = self._rack.folder / self.name / f"{self.name}.sqlite"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            try:
                return connection.execute(statement).fetchall()
            except sqlite3.OperationalError:
                return []  # not made yet


@pytest.fixture
async def pair(rack: Rack) -> AsyncGenerator[tuple[Process, Process], None]:
    for board in (specimen, ledger):
        key = rack.credentials(board.manifest)
        (rack.folder / f"{board.name}.key").write_bytes(key.to_bytes())
    two = (
        Process(rack, rack.broker.url, "specimen"),
        Process(rack, rack.broker.url, "ledger"),
    )
    yield two
    for process in two:
        await process.stop()


def heard(process: Process) -> list[tuple[Any, ...]]:
    return process.rows("SELECT id, note, place FROM ledger_heard")


async def all_heard(teller: Process, hearer: Process, kept: Sequence[UUID]) -> None:
    """Nothing lost, nothing doubled, in order within each key."""
    await until(lambda: len(heard(hearer)) >= len(kept), 2 * SECONDS)
    told = teller.rows(
        "SELECT t.id, t.note FROM specimen_thing t JOIN specimen_sys_outbox o "
        "ON json_extract(o.body, '$.id') = lower(substr(hex(t.id),1,8) || '-' || "
        "substr(hex(t.id),9,4) || '-' || substr(hex(t.id),13,4) || '-' || substr(hex(t.id),17,4) "
        "|| '-' || substr(hex(t.id),21)) ORDER BY o.position"
    )
    places: dict[str, int] = {}
    expected = set()
    for id_, note in told:
        place = places.setdefault(note, 0)
        expected.add((id_, note, place))
        places[note] += 1
    assert len(told) == len(kept)
    assert set(heard(hearer)) == expected
    assert len(heard(hearer)) == len(kept)


async def keep(client: Specimen, kept: list[UUID], count: int, keys: int = 5) -> None:
    """A front desk that sends again, under the same request id, until it knows."""
    for number in range(count):
        thing, request = new_id(), new_id()
        while True:
            try:
                with acting_as(a_nurse(), request=request, deadline_ms=5_000):
                    await client.keep(thing, f"key {number % keys}")
            except Unavailable:
                await asyncio.sleep(0.05)
                continue
            kept.append(thing)
            break


async def killed_at_random(
    rack: Rack, pair: tuple[Process, Process], *, kills: int, each: int
) -> None:
    chance = random.Random(20260302)
    for process in pair:
        await process.start()
    desk = await rack.node(edge=True)
    client = desk.runtime.client(Specimen, caller="front")
    kept: list[UUID] = []
    for _ in range(kills):
        at = len(kept) + chance.randrange(1, each)
        working = asyncio.create_task(keep(client, kept, each))
        await until(lambda at=at: len(kept) >= at, SECONDS)  # type: ignore[misc]  # the loop's own value
        victim = chance.choice(pair)
        await victim.kill()
        await victim.start()
        await working
    await all_heard(pair[0], pair[1], kept)


async def test_whoever_is_killed_nothing_is_lost_or_doubled(
    rack: Rack, pair: tuple[Process, Process]
) -> None:
    """kill -9 发布方或收听方：事件不丢、不重、同一对象不乱序。"""
    await killed_at_random(rack, pair, kills=2, each=40)


@pytest.mark.full
async def test_whoever_is_killed_very_often(rack: Rack, pair: tuple[Process, Process]) -> None:
    await killed_at_random(rack, pair, kills=10, each=120)


async def test_a_new_listener_begins_at_the_beginning(rack: Rack) -> None:
    """后来才接入的收听者，从第一条事件听起。"""
    told = await rack.node(specimen, store=rack.folder / "specimen")
    desk = await rack.node(edge=True)
    await reached(desk, "specimen")
    kept: list[UUID] = []
    await keep(desk.runtime.client(Specimen, caller="front"), kept, 30)
    # What is older than the bus keeps is still in the outbox.
    wire = cast("NatsWire", told.wire)
    await until(lambda: told.runtime.plugged["specimen"].feed.last_position >= 60)
    jetstream = wire.client.jetstream()
    await _published(jetstream, rack, 30)
    await jetstream.purge_stream(stream_of(rack.site), keep=5)
    listener = await rack.node(ledger, store=rack.folder / "ledger")
    hearer = Process(rack, "", "ledger")
    await until(lambda: len(heard(hearer)) == 30, SECONDS)
    assert {row[0] for row in heard(hearer)} == {_stored(thing) for thing in kept}
    assert _feed(listener).repaired == 25


async def test_a_hole_is_found_and_filled(rack: Rack) -> None:
    """总线丢了一条：下一条到来时即发现，从发件箱补齐，顺序不变。"""
    told = await rack.node(specimen, store=rack.folder / "specimen")
    desk = await rack.node(edge=True)
    await reached(desk, "specimen")
    client = desk.runtime.client(Specimen, caller="front")
    kept: list[UUID] = []
    await keep(client, kept, 10, keys=1)
    jetstream = cast("NatsWire", told.wire).client.jetstream()
    await _published(jetstream, rack, 10)
    for sequence in (3, 4, 8):
        await jetstream.delete_msg(stream_of(rack.site), sequence)
    listener = await rack.node(ledger, store=rack.folder / "ledger")
    hearer = Process(rack, "", "ledger")
    await until(lambda: len(heard(hearer)) == 10, SECONDS)
    by_place = sorted(heard(hearer), key=lambda row: row[2])
    assert [row[0] for row in by_place] == [_stored(thing) for thing in kept]
    assert _feed(listener).repaired == 2  # the rest came with the same stretch of the outbox


async def test_a_lost_last_fact_is_found_by_the_reconciler(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """最后一条丢失，没有下一条来暴露它：对账发现并补上。"""
    monkeypatch.setattr("plugward.rack.relay.source.RECONCILE_S", 0.05)
    told = await rack.node(specimen, store=rack.folder / "specimen")
    desk = await rack.node(edge=True)
    await reached(desk, "specimen")
    client = desk.runtime.client(Specimen, caller="front")
    kept: list[UUID] = []
    await keep(client, kept, 3)
    jetstream = cast("NatsWire", told.wire).client.jetstream()
    await _published(jetstream, rack, 3)
    await jetstream.delete_msg(stream_of(rack.site), 3)
    await rack.node(ledger, store=rack.folder / "ledger")
    hearer = Process(rack, "", "ledger")
    await until(lambda: len(heard(hearer)) == 3, SECONDS)


async def test_without_a_bus_the_outbox_is_read_over_the_socket(rack: Rack) -> None:
    """单进程形态接入的插板：事件按位置从套接字读取。"""
    hospital = await rack.unix(specimen, listen=True)
    await rack.unix(ledger, store=rack.folder / "ledger")
    service: Any = hospital.runtime.plugged["specimen"].service
    client = hospital.runtime.client(Specimen, caller="front")
    kept: list[UUID] = []
    await keep(client, kept, 20)
    hearer = Process(rack, "", "ledger")
    await until(lambda: len(heard(hearer)) == 20, SECONDS)
    assert service.runs == 20


@pytest.mark.full
async def test_the_leader_is_killed_twice_under_load(tmp_path: Path) -> None:
    """三个节点的消息集群：负载下两次杀掉首领，确认过的不丢，也不重复生效。"""
    routes = [free_port() for _ in range(3)]
    brokers = [
        Broker(
            tmp_path / f"n{number}",
            cluster=Port(f"n{number}", routes[number], tuple(routes), always_sync=True),
        )
        for number in range(3)
    ]
    for broker in brokers:
        await broker.start()
    url = ",".join(broker.url for broker in brokers)
    rack = Rack(brokers[0], tmp_path)
    rack.url = url
    try:
        await _with_three(rack, brokers)
    finally:
        await rack.stop()
        for broker in brokers:
            await broker.stop()


async def _with_three(rack: Rack, brokers: list[Broker]) -> None:
    wire = await NatsWire.connect(rack.url, rack.credentials(manifest("rack")), clock=rack.clock)
    await _sooner_or_later(lambda: make_stream(wire.client, rack.site, replicas=3))
    await rack.node(specimen, store=rack.folder / "specimen")
    await rack.node(ledger, store=rack.folder / "ledger")
    desk = await rack.node(edge=True)
    await reached(desk, "specimen")
    client = desk.runtime.client(Specimen, caller="front")
    kept: list[UUID] = []
    for _ in range(2):
        working = asyncio.create_task(keep(client, kept, 500))
        before = len(kept)
        await until(lambda before=before: len(kept) > before + 100, SECONDS)  # type: ignore[misc]  # the loop's own value
        told = await _sooner_or_later(lambda: _info(wire, rack))
        victim = next(b for b in brokers if b.name == told.cluster.leader)
        victim.kill()
        await working
        await victim.stop()
        await victim.start()
    teller, hearer = Process(rack, "", "specimen"), Process(rack, "", "ledger")
    await all_heard(teller, hearer, kept)
    await wire.close()


async def _info(wire: NatsWire, rack: Rack) -> Any:
    told = await wire.client.jetstream().stream_info(stream_of(rack.site))
    if told.cluster is None or not told.cluster.leader:
        raise TimeoutError
    return told


async def _sooner_or_later(ask: Callable[[], Awaitable[Any]]) -> Any:
    """The cluster answers once it has elected."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await ask()
            except (NatsError, JetStreamError, TimeoutError):
                await asyncio.sleep(0.1)


def _feed(node: Node) -> RemoteFeed:
    consumer = node.runtime.plugged["ledger"].consumers["specimen"]
    return cast("RemoteFeed", consumer._feed)


def _stored(thing: UUID) -> bytes:
    return thing.bytes


async def _published(jetstream: Any, rack: Rack, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while (  # noqa: ASYNC110 - the broker tells nobody
            await jetstream.stream_info(stream_of(rack.site))
        ).state.messages < count:
            await asyncio.sleep(0.01)


async def test_manifests_give_just_the_rights_that_facts_need(rack: Rack, tmp_path: Path) -> None:
    """按清单授权的进程：听得到该听的，听不到别的，也冒充不了别人发布。"""
    teller = user_of("specimen", [specimen.manifest], site=rack.site, hears=())
    hearer = user_of("ledger", [ledger.manifest], site=rack.site, hears=["specimen"])
    door = user_of("front", [EDGE], site=rack.site, hears=(), edge=True)
    supervisor = administrator()
    broker = Broker(tmp_path / "guarded", users=[teller, hearer, door, supervisor])
    await broker.start()
    own = Rack(broker, tmp_path)
    own.site, own.root = rack.site, rack.root
    try:
        above = await own.wire(manifest("rack"), supervisor)
        await make_stream(above.client, own.site)
        await own.node(specimen, store=tmp_path / "specimen", user=teller)
        listener = await own.node(ledger, store=tmp_path / "ledger", user=hearer)
        desk = await own.node(edge=True, user=door)
        await reached(desk, "specimen")
        kept: list[UUID] = []
        await keep(desk.runtime.client(Specimen, caller="front"), kept, 12)
        await until(lambda: len(heard(Process(own, "", "ledger"))) == 12, SECONDS)
        wire = cast("NatsWire", listener.wire)
        jetstream = wire.client.jetstream(timeout=0.5)
        before = (await above.client.jetstream().stream_info(stream_of(own.site))).state.messages
        await wire.client.publish(f"pw.{own.site}.fact.specimen", b"invented")
        await wire.client.flush()
        with pytest.raises((NatsError, JetStreamError, TimeoutError)):
            await jetstream.delete_stream(stream_of(own.site))
        with pytest.raises((NatsError, JetStreamError, TimeoutError)):
            await jetstream.delete_consumer(stream_of(own.site), "billing__specimen")
        after = (await above.client.jetstream().stream_info(stream_of(own.site))).state.messages
        assert (before, after) == (12, 12)
    finally:
        await own.stop()
        await broker.stop()

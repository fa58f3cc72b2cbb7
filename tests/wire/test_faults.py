"""Faults on the wire: an answer lost, late or doubled, a callee that dies, a caller that lies."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from plugward.kernel import Unavailable
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kernel.refusals import NotAllowed
from plugward.kit.ids import new_id
from plugward.rack.node import Node
from plugward.rack.wire.broker import Broker, administrator, user_of
from plugward.rack.wire.frames import HOLD
from plugward.rack.wire.nats import NatsWire
from plugward.rack.wire.passes import Credentials, Passes, PassRefused

from .rack import Rack, a_nurse, manifest, reached, until
from .specimen.board import board
from .specimen.contract import Specimen
from .specimen.service import SpecimenService

pytestmark = pytest.mark.wire
Publish = Callable[..., Awaitable[None]]


class Pair:
    """A caller and a callee on NATS; ``replies`` stands in the way of the answers."""

    def __init__(self, caller: Node, callee: Node) -> None:
        self.callee = callee
        self.client = caller.runtime.client(Specimen, caller="front")
        self.wire = cast("NatsWire", callee.wire)

    @property
    def service(self) -> SpecimenService:
        return cast("SpecimenService", self.callee.runtime.plugged["specimen"].service)

    def replies(self, patched: Callable[[Publish, tuple[Any, ...]], Awaitable[None]]) -> None:
        publish = self.wire.client.publish

        async def standing_in(subject: str, *rest: Any, **named: Any) -> None:
            if ".reply." not in subject or rest[:1] == (HOLD,):
                await publish(subject, *rest, **named)
            else:
                await patched(publish, (subject, *rest))

        self.wire.client.publish = standing_in  # type: ignore[method-assign,assignment]  # the fault


@pytest.fixture
async def pair(rack: Rack) -> Pair:
    callee = await rack.node(board)
    caller = await rack.node(edge=True)
    await reached(caller, "specimen")
    return Pair(caller, callee)


async def test_a_lost_answer_is_asked_for_again(pair: Pair) -> None:
    """答复丢失：同号重发，只生效一次。"""
    lost: list[str] = []

    async def lose_the_first(publish: Publish, message: tuple[Any, ...]) -> None:
        if lost:
            await publish(*message)
        lost.append(message[0])

    pair.replies(lose_the_first)
    with acting_as(a_nurse(), deadline_ms=8_000):
        assert await pair.client.keep(new_id(), "一") == 1
    assert len(lost) == 2
    assert pair.service.runs == 1


async def test_a_doubled_answer_is_heard_once(pair: Pair) -> None:
    async def double(publish: Publish, message: tuple[Any, ...]) -> None:
        await publish(*message)
        await publish(*message)

    pair.replies(double)
    with acting_as(a_nurse()):
        answers = await asyncio.gather(*(pair.client.wait(n) for n in range(20)))
    assert answers == list(range(20))


async def test_a_late_answer_never_reaches_the_next_question(pair: Pair) -> None:
    """迟到的答复不会被当成下一个问题的答案。"""
    held: list[tuple[Any, ...]] = []

    async def hold_the_first(publish: Publish, message: tuple[Any, ...]) -> None:
        held.append(message)
        if len(held) > 1:
            await publish(*message)

    pair.replies(hold_the_first)
    with acting_as(a_nurse(), deadline_ms=100), pytest.raises(Unavailable):
        await pair.client.wait(1)
    with acting_as(a_nurse()):
        asking = asyncio.ensure_future(pair.client.wait(2))
        await pair.wire.client.publish(f"x.{held[0][0]}", held[0][1])
        assert await asking == 2


async def test_a_slow_callee_that_lives_is_not_asked_twice(pair: Pair) -> None:
    """做得慢不等于没做：只要对方还活着就不重发。"""
    with acting_as(a_nurse(), deadline_ms=10_000):
        assert await pair.client.keep_slowly(new_id(), "慢", 1_700) == 1
    assert pair.service.runs == 1


async def test_a_callee_killed_between_commit_and_answer(rack: Rack, tmp_path: Path) -> None:
    """提交之后、答复之前断电：另一个副本用同一编号给出同一答复。"""
    first = await rack.node(board, store=tmp_path / "store")
    caller = await rack.node(edge=True)
    await reached(caller, "specimen")
    pair = Pair(caller, first)
    dead = asyncio.Event()

    async def die(publish: Publish, message: tuple[Any, ...]) -> None:
        del publish, message
        dead.set()
        await pair.wire.client._close(2)  # as its process would: no good-bye, no answer

    pair.replies(die)

    async def keep() -> int:
        with acting_as(a_nurse(), deadline_ms=15_000):
            return await pair.client.keep(new_id(), "一")

    asking = asyncio.create_task(keep())
    await dead.wait()
    second = await rack.node(board, store=tmp_path / "store", replica="1")
    assert await asking == 1
    service = cast("SpecimenService", second.runtime.plugged["specimen"].service)
    assert (pair.service.runs, service.runs) == (1, 0)


async def test_replicas_share_the_calls_and_one_may_leave(rack: Rack, tmp_path: Path) -> None:
    """两个副本分担；其中一个退出时，一个请求也不失败。"""
    nodes = [await rack.node(board, store=tmp_path / "store", replica=str(n)) for n in range(2)]
    caller = await rack.node(edge=True)
    await reached(caller, "specimen")
    client = caller.runtime.client(Specimen, caller="front")
    answered = 0

    async def ask() -> None:
        nonlocal answered
        with acting_as(a_nurse()):
            for n in range(60):
                assert await client.wait(n % 3) == n % 3
                answered += 1

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    await until(lambda: answered > 100)
    await nodes[0].unplug("specimen")
    await asyncio.gather(*asking)
    assert answered == 480


# ── who calls ───────────────────────────────────────────────────────────────────────────────
async def test_sec_authz_14_a_person_may_not_do_through_a_board_what_it_does_not_need(
    rack: Rack,
) -> None:
    """插板拿着管理员的身份，也只能做自己清单里需要的事。"""
    await rack.node(board)
    door = await rack.node(edge=True)
    meals = await rack.node(caller=manifest("meals", "orders"))
    await reached(meals, "specimen")
    somebody = a_nurse("specimen.read", "meals.order")
    statement = cast("NatsWire", door.wire).passes.issue(somebody, "front", "meals")
    admitted = cast("NatsWire", meals.wire).passes.admit(
        statement, caller="front", audience="meals"
    )
    client = meals.runtime.client(Specimen, caller="meals")
    with acting_as(admitted.actor), pytest.raises(NotAllowed):
        await client.nothing()


def test_a_pass_is_refused_when_anything_about_it_is_wrong(tmp_path: Path) -> None:
    rack = Rack(Broker(tmp_path), tmp_path)
    door = Passes(rack.credentials(manifest("front", "specimen"), edge=True), rack.clock)
    callee = Passes(rack.credentials(board.manifest), rack.clock)
    nurse = a_nurse()
    good = door.issue(nurse, "front", "specimen")
    assert callee.admit(good, caller="front", audience="specimen").actor == nurse
    with pytest.raises(PassRefused, match="for specimen"):
        callee.admit(good, caller="front", audience="billing")
    with pytest.raises(PassRefused, match="pass of front"):
        callee.admit(good, caller="meals", audience="specimen")
    for place in (20, len(good) // 3, len(good) // 2, len(good) - 20):
        forged = bytearray(good)
        forged[place] ^= 1
        with pytest.raises(PassRefused):
            callee.admit(bytes(forged), caller="front", audience="specimen")
    other = Rack(Broker(tmp_path), tmp_path)
    stranger = Passes(
        other.root.credentials([manifest("front", "specimen")], site=rack.site, edge=True),
        rack.clock,
    )
    with pytest.raises(PassRefused, match="forged"):
        callee.admit(
            stranger.issue(nurse, "front", "specimen"), caller="front", audience="specimen"
        )


def test_a_board_cannot_invent_a_person_nor_another_board(tmp_path: Path) -> None:
    rack = Rack(Broker(tmp_path), tmp_path)
    meals = Passes(rack.credentials(manifest("meals", "specimen")), rack.clock)
    with pytest.raises(PassRefused, match="may not speak for"):
        meals.issue(a_nurse(), "meals", "specimen")
    billing = Actor(id="board:billing", kind=ActorKind.BOARD)
    with pytest.raises(PassRefused, match="may not speak for"):
        meals.issue(billing, "meals", "specimen")
    callee = Passes(rack.credentials(board.manifest), rack.clock)
    itself = Actor(id="board:meals", kind=ActorKind.BOARD, permissions=frozenset({"x.y"}))
    passed = meals.issue(itself, "meals", "specimen")
    actor = callee.admit(passed, caller="meals", audience="specimen").actor
    assert "specimen.read" in actor.permissions
    assert "x.y" not in actor.permissions
    callee.revoked = frozenset({"meals"})
    with pytest.raises(PassRefused, match="unplugged"):
        callee.admit(passed, caller="meals", audience="specimen")


async def test_sec_board_04_the_broker_holds_a_process_to_its_manifests(
    rack: Rack, tmp_path: Path
) -> None:
    """越权的主题立即得到“无权”，而不是等到超时。"""
    meals = manifest("meals", "orders")
    specimen = user_of("specimen", [board.manifest], site=rack.site, hears=())
    evil = user_of("meals", [meals], site=rack.site, hears=())
    broker = Broker(tmp_path / "guarded", users=[specimen, evil, administrator()])
    await broker.start()

    async def connected(credentials: Credentials, user: Any) -> NatsWire:
        return await NatsWire.connect(
            broker.url, credentials, clock=rack.clock, user=user.name, password=user.password
        )

    wires: list[NatsWire] = []
    try:
        with pytest.raises(ConnectionError):
            await NatsWire.connect(broker.url, rack.credentials(meals), clock=rack.clock)
        wires.append(await connected(rack.credentials(board.manifest), specimen))
        callee = Node(rack.runtime(), wires[0])
        await callee.start([board])
        wires.append(await connected(rack.credentials(meals, edge=True), evil))
        runtime = rack.runtime()
        runtime.dispatcher.elsewhere = wires[1].endpoint
        with acting_as(a_nurse(), deadline_ms=20_000), pytest.raises(NotAllowed):
            async with asyncio.timeout(2):
                await runtime.client(Specimen, caller="meals").nothing()
        heard: list[bytes] = []

        async def hear(message: Any) -> None:
            heard.append(message.data)

        for subject in (">", f"pw.{rack.site}.reply.specimen.>", "$SYS.>", "$JS.API.>"):
            await wires[1].client.subscribe(subject, cb=hear)
        await wires[1].client.flush()
        await wires[0].client.publish(f"pw.{rack.site}.here.specimen", b"?")
        await wires[0].client.flush()
        await wires[1].client.flush()
        assert heard == []
        await callee.stop()
    finally:
        for wire in wires:
            await wire.close()
        await broker.stop()


async def test_sec_board_05_an_answer_goes_only_to_whoever_asked(pair: Pair, rack: Rack) -> None:
    """答复主题若指向别人，一律不答：否则我们就成了攻击别人的工具。"""
    wire = pair.wire
    target = f"pw.{rack.site}.call.billing.v1.refund.specimen"
    reached_by: list[Any] = []

    async def hear(message: Any) -> None:
        reached_by.append(message)

    await wire.client.subscribe(target, cb=hear)
    await wire.client.publish(f"pw.{rack.site}.call.specimen.v1.nothing.front", b"x", reply=target)
    await wire.client.flush()
    with acting_as(a_nurse()):
        await pair.client.nothing()
    assert reached_by == []

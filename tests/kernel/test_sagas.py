"""Sagas: what must go on after the answer, whoever dies in the middle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from plugward.kernel import Message, Unavailable, Work
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import current_call
from plugward.kernel.plugged import Plugged
from plugward.kernel.refusals import AlreadyThere
from plugward.kernel.sagas import Saga, Sagas, Then, Turn, begin, done, refused, unknown
from plugward.kit.ids import new_id
from tests.kernel.hospital import hospital

Step = Callable[[Turn], Awaitable[Then]]


class Errand(Message):
    to: str = "the outside"


class Desk:
    """A board's sagas with two steps that do what a test says."""

    def __init__(self, plugged: Plugged, clock: ManualClock) -> None:
        self.plugged, self.clock = plugged, clock
        self.ran: list[str] = []
        self.requests: list[UUID] = []
        self.turns: list[Turn] = []
        self.acts: dict[str, Step] = {}
        errand = Saga("errand", Errand)
        errand.step(self._first)
        errand.step(self._second)
        errand.steps = {"ask": errand.steps["_first"], "close": errand.steps["_second"]}
        self.errand = errand
        self.sagas = self.runner()

    def runner(self) -> Sagas:
        """Another process over the same rows."""
        return Sagas(
            self.plugged.store,
            (self.errand,),
            actor=self.plugged.actor,
            inject=dict,
            clock=self.clock,
        )

    async def _first(self, turn: Turn) -> Then:
        return await self._run("ask", turn, done("close"))

    async def _second(self, turn: Turn) -> Then:
        return await self._run("close", turn, done())

    async def _run(self, name: str, turn: Turn, usual: Then) -> Then:
        call = current_call()
        assert call is not None
        self.ran.append(name)
        self.turns.append(turn)
        self.requests.append(call.envelope.request)
        act = self.acts.get(name)
        return usual if act is None else await act(turn)

    async def begin(self, *, wait_s: float = 0.0) -> UUID:
        id = new_id()
        await self.plugged.store.work(_begin, id, wait_s)
        return id

    async def row(self, id: UUID) -> Any:
        table = self.plugged.store.engine.tables.system.saga
        return await self.plugged.store.engine.read(
            lambda c: c.execute(select(table).where(table.c.id == id)).first()
        )

    async def outcomes(self, id: UUID) -> list[tuple[str, str]]:
        table = self.plugged.store.engine.tables.system.saga_step
        rows = await self.plugged.store.engine.read(
            lambda c: c.execute(
                select(table.c.step, table.c.outcome).where(table.c.saga == id)
            ).all()
        )
        return [(str(row[0]), str(row[1])) for row in rows]


def _begin(work: Work, id: UUID, wait_s: float) -> None:
    begin(work, "errand", id, Errand(), wait_s=wait_s)


def _begin_and_refuse(work: Work, id: UUID) -> None:
    begin(work, "errand", id, Errand())
    raise AlreadyThere


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = ManualClock("2026-03-02 08:00")
    async with hospital(clock=clock) as runtime:
        yield Desk(runtime.plugged["parcels"], clock)


async def test_the_steps_run_one_after_the_other_to_the_end(desk: Desk) -> None:
    id = await desk.begin()
    await desk.sagas.push(id)
    assert desk.ran == ["ask", "close"]
    assert (await desk.row(id)).state == "done"
    assert sorted(await desk.outcomes(id)) == [("ask", "done"), ("close", "done")]
    await desk.sagas.push(id)
    assert len(desk.ran) == 2


async def test_a_refused_unit_of_work_begins_nothing(desk: Desk) -> None:
    id = new_id()
    with pytest.raises(AlreadyThere):
        await desk.plugged.store.work(_begin_and_refuse, id)
    assert await desk.row(id) is None


async def test_no_answer_waits_and_is_tried_again_when_it_is_due(desk: Desk) -> None:
    async def silent(turn: Turn) -> Then:
        return unknown("no answer", again_s=10) if turn.tries < 2 else done("close")

    desk.acts["ask"] = silent
    id = await desk.begin()
    await desk.sagas.push(id)
    assert (await desk.row(id)).state == "unknown"
    await desk.sagas.resume()
    assert desk.ran == ["ask"]
    for minute in ("08:00:09", "08:00:10", "08:00:19", "08:00:20"):
        desk.clock.set(f"2026-03-02 {minute}")
        await desk.sagas.resume()
    assert desk.ran == ["ask", "ask", "ask", "close"]
    assert [turn.tries for turn in desk.turns[:3]] == [0, 1, 2]
    assert desk.turns[2].age_s == 20


async def test_somebody_may_not_want_to_wait(desk: Desk) -> None:
    async def silent(turn: Turn) -> Then:
        return unknown("no answer", again_s=600) if not turn.tries else done()

    desk.acts["ask"] = silent
    id = await desk.begin()
    await desk.sagas.push(id)
    await desk.sagas.push(id)
    assert desk.ran == ["ask"]
    await desk.sagas.push(id, now=True)
    assert (await desk.row(id)).state == "done"


async def test_a_killed_step_is_repeated_under_the_same_request(desk: Desk) -> None:
    """kill -9 mid-step: nobody else takes it at once; after the lease it goes on by itself."""

    async def die(_: Turn) -> Then:
        desk.acts.clear()
        raise asyncio.CancelledError

    desk.acts["ask"] = die
    id = await desk.begin()
    with suppress(asyncio.CancelledError):
        await desk.sagas.push(id)
    after_restart = desk.runner()
    await after_restart.push(id, now=True)
    assert desk.ran == ["ask"]

    desk.clock.set("2026-03-02 08:00:30")
    await after_restart.resume()

    assert desk.ran == ["ask", "ask", "close"]
    assert desk.requests[0] == desk.requests[1] != desk.requests[2]
    assert desk.turns[1].tries == 1
    assert (await desk.row(id)).state == "done"


async def test_two_processes_run_a_step_once(desk: Desk) -> None:
    begun, waiting = asyncio.Event(), asyncio.Event()

    async def slow(_: Turn) -> Then:
        begun.set()
        await waiting.wait()
        return done("close")

    desk.acts["ask"] = slow
    id = await desk.begin()
    first = asyncio.ensure_future(desk.sagas.push(id))
    await begun.wait()
    await asyncio.gather(desk.sagas.push(id, now=True), desk.runner().push(id, now=True))
    waiting.set()
    await first
    assert desk.ran == ["ask", "close"]


async def test_who_comes_back_after_its_lease_records_nothing(desk: Desk) -> None:
    """A step that outlived its lease was taken over: its own end does not count any more."""

    async def stuck(_: Turn) -> Then:
        desk.acts.clear()
        desk.clock.set("2026-03-02 08:01")
        await desk.runner().push(id)
        return refused("too late")

    desk.acts["ask"] = stuck
    id = await desk.begin()
    await desk.sagas.push(id)
    assert (await desk.row(id)).state == "done"
    assert desk.ran == ["ask", "ask", "close"]


async def test_a_no_ends_it_and_an_outage_does_not(desk: Desk) -> None:
    async def away(_: Turn) -> Then:
        raise Unavailable("pharmacy", "unplugged")

    async def no(_: Turn) -> Then:
        raise AlreadyThere

    desk.acts["ask"] = away
    id = await desk.begin()
    await desk.sagas.push(id)
    row = await desk.row(id)
    assert (row.state, row.note) == ("unknown", "pharmacy: unplugged")
    desk.acts["ask"] = no
    await desk.sagas.push(id, now=True)
    row = await desk.row(id)
    assert (row.state, row.note) == ("refused", "AlreadyThere")


async def test_a_broken_saga_does_not_hold_up_the_others(desk: Desk) -> None:
    async def broken(turn: Turn) -> Then:
        if turn.saga == bad:
            raise ValueError("a bug")
        return done()

    desk.acts["ask"] = broken
    bad, good = await desk.begin(), await desk.begin()
    await desk.sagas.resume()
    assert (await desk.row(good)).state == "done"
    assert (await desk.row(bad)).state == "running"
    desk.acts.clear()
    desk.clock.set("2026-03-02 08:01")
    await desk.sagas.resume()
    assert (await desk.row(bad)).state == "done"


async def test_what_is_given_at_hand_is_kept_nowhere(desk: Desk) -> None:
    id = await desk.begin()
    await desk.sagas.push(id, given="payment code 2855")
    assert desk.turns[0].given == "payment code 2855"
    assert "2855" not in repr(await desk.row(id))


async def test_a_saga_may_begin_later(desk: Desk) -> None:
    id = await desk.begin(wait_s=60)
    await desk.sagas.resume()
    assert desk.ran == []
    desk.clock.set("2026-03-02 08:01")
    await desk.sagas.resume()
    assert (await desk.row(id)).state == "done"

"""Facts reach every board: in order per key, at least once, in effect once, and never lost."""

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from plugward.kernel import ChangedMeanwhile, Conflict, Event, Unavailable
from plugward.kernel.board import Board
from plugward.kernel.envelope import acting_as
from plugward.kernel.events import consumer as consumers
from plugward.kernel.events.feed import Feed
from plugward.kernel.events.parked import ParkedNotFound, StillFailing, WaitsBehind
from plugward.kernel.plugged import Plugged
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.frames import Frame
from plugward.kernel.testing import Bench, a_tester
from plugward.kit.ids import new_id

from .hospital import a_parcel, hospital, received, until
from .labels.board import board as labels_board
from .labels.contract import Label, Labels
from .parcels.board import board as parcels_board
from .parcels.contract import ParcelReceived, Parcels, StepTaken

BOTH = (parcels_board, labels_board)


@pytest.fixture(autouse=True)
def _quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries, without the pauses that a hospital can afford and a test cannot."""
    monkeypatch.setattr(consumers, "BACK_OFF_S", (0.001,) * 4)
    monkeypatch.setattr(consumers, "UNAVAILABLE_WAIT_S", 0.01)


async def walk(runtime: Runtime, ways: tuple[UUID, ...], steps: int) -> None:
    with acting_as(a_tester()):
        await runtime.client(Parcels).walk(ways, steps)


async def labels_of(runtime: Runtime, key: UUID) -> list[str]:
    with acting_as(a_tester()):
        return [label.text for label in await runtime.client(Labels).of(key)]


def service_of(runtime: Runtime) -> Any:
    return runtime.plugged["labels"].service


# ── order and once ───────────────────────────────────────────────────────────────────────────
async def test_facts_of_one_thing_are_handled_in_the_order_they_happened() -> None:
    async with hospital(*BOTH) as runtime:
        ways = tuple(new_id() for _ in range(7))
        await asyncio.gather(*(walk(runtime, ways, 70) for _ in range(5)))
        await runtime.quiet()
        for index, way in enumerate(ways):
            steps = [event.number for event in service_of(runtime).tried[way]]
            assert steps == list(range(index, 70, 7)) * 5


async def test_a_slow_thing_does_not_hold_up_the_others() -> None:
    async with hospital(*BOTH) as runtime:
        slow, quick, gate = new_id(), new_id(), asyncio.Event()
        service = service_of(runtime)
        hear = service.hear

        async def hear_slowly(key: UUID, event: Event, text: str) -> None:
            if key == slow:
                await gate.wait()
            await hear(key, event, text)

        service.hear = hear_slowly
        await walk(runtime, (slow, quick), 20)
        await until(lambda: len(service.tried[quick]) == 10)
        assert service.tried[slow] == []
        gate.set()
        await runtime.quiet()
        assert await labels_of(runtime, slow) == [f"step {n}" for n in range(0, 20, 2)]


async def test_a_fact_delivered_twice_takes_effect_once() -> None:
    bench = Bench(labels_board)
    parcel = a_parcel()
    await bench.receive(ParcelReceived(parcel=parcel), times=3)
    assert len(bench.service.tried[parcel.id]) == 3
    [label] = await bench.client(Labels).of(parcel.id)
    assert label.text == "received"


async def test_two_facts_alike_are_two() -> None:
    bench = Bench(labels_board)
    way = new_id()
    for _ in range(2):
        await bench.receive(StepTaken(way=way, number=1))
    assert [label.number for label in await bench.client(Labels).of(way)] == [1, 2]


async def test_a_reaction_that_fails_halfway_is_done_again_from_its_beginning() -> None:
    """The first unit took effect, then the reaction failed: its repeat changes nothing twice."""
    async with hospital(*BOTH) as runtime:
        service, failures = service_of(runtime), iter([ValueError("after the effect")])
        hear = service.hear

        async def hear_and_fail(key: UUID, event: Event, text: str) -> None:
            await hear(key, event, text)
            for failure in failures:
                raise failure

        service.hear = hear_and_fail
        parcel = await received(runtime)
        await runtime.quiet()
        assert len(service.tried[parcel.id]) == 2
        assert await labels_of(runtime, parcel.id) == ["received"]
        assert await runtime.parked() == ()


CRASH = """
import asyncio, os, sys
from pathlib import Path
from plugward.kernel.events import consumer
from tests.kernel.hospital import hospital
from tests.kernel.labels.board import board as labels
from tests.kernel.parcels.board import board as parcels
from tests.kernel.test_events import walk
from uuid import UUID

async def main() -> None:
    consumer.CURSOR_EVERY = 7
    async with hospital(parcels, labels, folder=Path(sys.argv[1])) as runtime:
        service = runtime.plugged["labels"].service
        hear = service.hear
        async def hear_and_die(*args):
            await hear(*args)                        # the effect is committed …
            if sum(map(len, service.tried.values())) >= 23:
                os._exit(9)                          # … and the power fails before the cursor is
        service.hear = hear_and_die
        await walk(runtime, tuple(UUID(int=n) for n in range(1, 4)), 60)
        await asyncio.sleep(30)

asyncio.run(main())
"""


async def test_after_a_crash_between_effect_and_cursor_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    """断电后重启：每条事实的效果恰好一次。"""
    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", CRASH, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert died.returncode == 9
    async with hospital(*BOTH, folder=tmp_path) as runtime:
        await runtime.quiet()
        for n in (1, 2, 3):
            texts = await labels_of(runtime, UUID(int=n))
            assert texts == [f"step {step}" for step in range(n - 1, 60, 3)]
        assert runtime.audit.count() >= 1


# ── outages ──────────────────────────────────────────────────────────────────────────────────
async def test_while_a_needed_board_is_away_events_wait_and_are_not_parked() -> None:
    async with hospital(*BOTH) as runtime:
        away = iter([Unavailable("printer", "unplugged")] * 3)

        def trouble(event: Event) -> None:
            del event
            for problem in away:
                raise problem

        service_of(runtime).trouble = trouble
        parcel = await received(runtime)
        await runtime.quiet()
        assert len(service_of(runtime).tried[parcel.id]) == 4
        assert await labels_of(runtime, parcel.id) == ["received"]
        assert await runtime.parked() == ()


async def test_somebody_who_was_quicker_is_no_reason_to_park() -> None:
    async with hospital(*BOTH) as runtime:
        races = iter([ChangedMeanwhile(), ChangedMeanwhile()])

        def trouble(event: Event) -> None:
            del event
            for race in races:
                raise race

        service_of(runtime).trouble = trouble
        parcel = await received(runtime)
        await runtime.quiet()
        assert await labels_of(runtime, parcel.id) == ["received"]
        assert await runtime.parked() == ()


async def test_a_board_can_be_unplugged_while_its_reaction_waits_for_another(
    tmp_path: Path,
) -> None:
    async with hospital(*BOTH, folder=tmp_path) as runtime:

        def trouble(event: Event) -> None:
            del event
            raise Unavailable("printer", "unplugged")

        service = service_of(runtime)
        service.trouble = trouble
        parcel = await received(runtime)
        await until(lambda: len(service.tried[parcel.id]) > 0)
        await asyncio.wait_for(runtime.unplug("labels"), 1)
        await runtime.plug(labels_board)  # and takes up where it was
        await runtime.quiet()
        assert await labels_of(runtime, parcel.id) == ["received"]


# ── parking ──────────────────────────────────────────────────────────────────────────────────
class Trouble:
    """Fails for one key until it is repaired; a refusal or a bug."""

    def __init__(self, key: UUID, problem: Exception) -> None:
        self.key, self.problem, self.repaired = key, problem, False

    def __call__(self, event: Event) -> None:
        if not self.repaired and getattr(event, "way", None) == self.key:
            raise self.problem


async def parked_walk(runtime: Runtime, problem: Exception, steps: int = 8) -> Trouble:
    """Two ways, one of which cannot be handled."""
    bad, good = new_id(), new_id()
    trouble = Trouble(bad, problem)
    service_of(runtime).trouble = trouble
    await walk(runtime, (bad, good), steps)
    await runtime.quiet()
    assert await labels_of(runtime, good) == [f"step {n}" for n in range(1, steps, 2)]
    return trouble


async def test_after_its_retries_a_fact_is_parked_visibly_and_its_followers_wait_behind() -> None:
    async with hospital(*BOTH) as runtime:
        trouble = await parked_walk(runtime, ZeroDivisionError("陈桂芳"))
        first, *rest = await runtime.parked()
        assert (first.board, first.source, first.tag) == (
            "labels",
            "parcels",
            "parcels.step.taken.v1",
        )
        assert (first.reaction, first.error, first.attempts) == (
            "label_the_step",
            "ZeroDivisionError",
            5,
        )
        assert {p.error for p in rest} == {consumers.BEHIND}
        assert len(service_of(runtime).tried[trouble.key]) == 5
        assert await labels_of(runtime, trouble.key) == []


async def test_a_refused_fact_is_parked_at_once() -> None:
    async with hospital(*BOTH) as runtime:
        trouble = await parked_walk(runtime, Conflict())
        assert len(service_of(runtime).tried[trouble.key]) == 1
        assert (await runtime.parked())[0].error == "Conflict"


async def test_replay_handles_the_oldest_and_what_waited_behind_follows() -> None:
    async with hospital(*BOTH) as runtime:
        trouble = await parked_walk(runtime, ZeroDivisionError())
        first, second, *_ = await runtime.parked()

        with pytest.raises(WaitsBehind):
            await runtime.replay_parked("labels", second.id, by="engineer")
        with pytest.raises(StillFailing):
            await runtime.replay_parked("labels", first.id, by="engineer")
        assert (await runtime.parked())[0].attempts == 6

        trouble.repaired = True
        await runtime.replay_parked("labels", first.id, by="engineer")
        assert await runtime.parked() == ()
        assert await labels_of(runtime, trouble.key) == ["step 0", "step 2", "step 4", "step 6"]
        with pytest.raises(ParkedNotFound):
            await runtime.replay_parked("labels", first.id, by="engineer")

        await walk(runtime, (trouble.key,), 1)  # what comes now needs nobody's hand
        await runtime.quiet()
        assert (await labels_of(runtime, trouble.key))[-1] == "step 0"


async def test_a_skipped_fact_is_left_out_for_good_and_the_rest_follows() -> None:
    async with hospital(*BOTH) as runtime:
        trouble = await parked_walk(runtime, ZeroDivisionError())
        first = (await runtime.parked())[0]
        trouble.repaired = True
        await runtime.skip_parked("labels", first.id, by="engineer", reason="打印机型号不支持")
        assert await runtime.parked() == ()
        assert await labels_of(runtime, trouble.key) == ["step 2", "step 4", "step 6"]


async def test_what_follows_stops_at_the_next_one_that_fails_itself() -> None:
    async with hospital(*BOTH) as runtime:
        trouble = await parked_walk(runtime, ZeroDivisionError())
        first, second, *_ = await runtime.parked()
        await runtime.skip_parked("labels", first.id, by="engineer", reason="…")
        left = await runtime.parked()
        assert left[0].id == second.id
        assert left[0].error == "ZeroDivisionError"
        assert await labels_of(runtime, trouble.key) == []


async def test_a_parked_fact_still_holds_its_followers_after_a_restart(tmp_path: Path) -> None:
    async with hospital(*BOTH, folder=tmp_path) as runtime:
        trouble = await parked_walk(runtime, ZeroDivisionError(), steps=2)
    async with hospital(*BOTH, folder=tmp_path) as runtime:
        await walk(runtime, (trouble.key,), 2)
        await runtime.quiet()
        assert len(await runtime.parked()) == 3
        await runtime.replay_parked("labels", (await runtime.parked())[0].id, by="engineer")
        assert await runtime.parked() == ()
        assert await labels_of(runtime, trouble.key) == ["step 0", "step 0", "step 1"]


async def test_facts_that_arrive_during_a_replay_do_not_overtake_it() -> None:
    async with hospital(*BOTH) as runtime:
        trouble = await parked_walk(runtime, ZeroDivisionError(), steps=40)
        trouble.repaired = True
        first = (await runtime.parked())[0]
        await asyncio.gather(
            runtime.replay_parked("labels", first.id, by="engineer"),
            *(walk(runtime, (trouble.key,), 30) for _ in range(3)),
        )
        await runtime.quiet()
        await until(lambda: runtime.lag() == 0)
        assert await runtime.parked() == ()
        before = [f"step {n}" for n in range(0, 40, 2)]
        assert (
            await labels_of(runtime, trouble.key) == before + [f"step {n}" for n in range(30)] * 3
        )


async def test_a_key_that_a_replay_has_just_emptied_holds_nothing_back() -> None:
    """The table decides, not what the consumer remembers from a moment ago."""
    async with hospital(*BOTH) as runtime:
        way = new_id()
        consumer = runtime.plugged["labels"].consumers["parcels"]
        consumer._blocked.add(way.hex)
        await walk(runtime, (way,), 3)
        await runtime.quiet()
        assert await runtime.parked() == ()
        assert await labels_of(runtime, way) == ["step 0", "step 1", "step 2"]


async def test_replaying_a_fact_of_a_board_that_is_away_says_so() -> None:
    async with hospital(*BOTH) as runtime:
        await parked_walk(runtime, ZeroDivisionError(), steps=2)
        [parked] = await runtime.parked()
        await runtime.unplug("parcels")
        with pytest.raises(Unavailable):
            await runtime.replay_parked("labels", parked.id, by="engineer")
        assert len(await runtime.parked()) == 1


# ── coming and going ─────────────────────────────────────────────────────────────────────────
async def test_a_board_plugged_in_later_hears_everything_from_the_beginning() -> None:
    async with hospital(parcels_board) as runtime:
        ways = (new_id(), new_id())
        for _ in range(3):
            await walk(runtime, ways, 400)  # more than one batch
        await runtime.plug(labels_board)
        await runtime.quiet()
        assert await labels_of(runtime, ways[0]) == [f"step {n}" for n in range(0, 400, 2)] * 3


async def test_a_new_board_hears_what_is_only_in_the_table_any_more(tmp_path: Path) -> None:
    async with hospital(parcels_board, folder=tmp_path) as runtime:
        way = new_id()
        await walk(runtime, (way,), 600)
    async with hospital(*BOTH, folder=tmp_path) as runtime:
        await runtime.quiet()
        assert await labels_of(runtime, way) == [f"step {n}" for n in range(600)]


async def test_boards_come_and_go_while_others_run(tmp_path: Path) -> None:
    """不停机插拔：一块板进出时，其他板照常服务，事实一条不少。"""
    async with hospital(parcels_board, folder=tmp_path) as runtime:
        way, walked, stop = new_id(), 0, asyncio.Event()

        async def keep_walking() -> None:
            nonlocal walked
            while not stop.is_set():
                await walk(runtime, (way,), 3)
                walked += 3
                await asyncio.sleep(0.004)

        walking = asyncio.create_task(keep_walking())
        for _ in range(5):
            await runtime.plug(labels_board)
            await asyncio.sleep(0.02)
            await runtime.unplug("labels")
        stop.set()
        await walking
        await runtime.plug(labels_board)
        await runtime.quiet()
        assert walked >= 30
        assert await labels_of(runtime, way) == ["step 0", "step 1", "step 2"] * (walked // 3)


async def test_a_board_hears_again_when_its_source_comes_back(tmp_path: Path) -> None:
    async with hospital(*BOTH, folder=tmp_path) as runtime:
        await received(runtime)
        await runtime.quiet()
        await runtime.unplug("parcels")
        await runtime.plug(parcels_board)
        parcel = await received(runtime)
        await runtime.quiet()
        assert await labels_of(runtime, parcel.id) == ["received"]


async def test_two_boards_of_one_name_are_not_plugged_in() -> None:
    async with hospital(parcels_board) as runtime:
        with pytest.raises(TypeError, match="plugged in already"):
            await runtime.plug(parcels_board)


# ── the outbox ───────────────────────────────────────────────────────────────────────────────
def frames_of(plugged: Plugged) -> list[Frame]:
    heard: list[Frame] = []
    committed = plugged.feed.committed

    def listen(frames: Any) -> None:
        heard.extend(frames)
        committed(frames)

    plugged.store.engine.listen(listen)
    return heard


async def test_positions_have_no_gaps_and_versions_follow_each_key() -> None:
    async with hospital(parcels_board) as runtime:
        heard = frames_of(runtime.plugged["parcels"])
        ways = (new_id(), new_id(), new_id())
        await asyncio.gather(
            *(walk(runtime, ways, 10) for _ in range(4)), walk(runtime, ways[:1], 5)
        )
        with acting_as(a_tester()), pytest.raises(Conflict):
            await runtime.client(Parcels).receive(await received(runtime))  # refused: leaves no gap
        await received(runtime)
        positions = [frame.position for frame in heard]
        assert positions == list(range(1, len(heard) + 1))
        versions: dict[str, list[int]] = defaultdict(list)
        for frame in heard:
            if frame.key_version:
                versions[frame.key].append(frame.key_version)
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
        assert len(versions[ways[0].hex]) == 4 * 4 + 5


async def test_an_event_without_a_key_is_not_published() -> None:
    class Loose(Event, tag="parcels.loose.thing.v1"):
        """Somebody forgot the key."""

    async with hospital(parcels_board) as runtime:
        store = runtime.plugged["parcels"].store
        with pytest.raises(TypeError, match="no ordering key"):
            await store.work(lambda work: work.publish(Loose()))


async def test_boards_that_need_each_other_are_refused_by_name() -> None:
    """Events may go both ways, calls may not."""
    first = _needing("first", "second")
    second = _needing("second", "first")
    with pytest.raises(TypeError, match="first → second → first"):
        async with hospital(first, second):
            pass


def _needing(name: str, other: str) -> Board:
    """A board that says it needs another one (a manifest without code)."""
    board = object.__new__(Board)
    manifest = labels_board.manifest
    board.manifest = msgspec.structs.replace(
        manifest, name=name, needs={other: next(iter(manifest.needs.values()))}
    )
    return board


async def test_what_a_reaction_prints_is_a_label() -> None:
    bench = Bench(labels_board)
    parcel = a_parcel()
    await bench.receive(ParcelReceived(parcel=parcel))
    [label] = await bench.client(Labels).of(parcel.id)
    assert isinstance(label, Label)


async def test_who_listens_before_a_feed_has_begun_hears_what_an_earlier_process_left(
    tmp_path: Path,
) -> None:
    """重启后，上次未处理完的事实立即继续处理，不等新的事实。"""
    async with hospital(parcels_board, folder=tmp_path) as runtime:
        await walk(runtime, (new_id(),), 3)
    async with hospital(parcels_board, folder=tmp_path) as runtime:
        feed = Feed(runtime.plugged["parcels"].store.engine)
        listening = asyncio.create_task(asyncio.wait_for(feed.after(0), 5))
        await asyncio.sleep(0)
        await feed.start()
        assert len(await listening) >= 3

"""Time is injected: it can stand still, run fast, and rings what falls due in its order."""

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugward.kernel import Unavailable
from plugward.kernel.clock import ManualClock, SystemClock
from plugward.kernel.testing import Bench
from plugward.kit.time import (
    HOSPITAL_ZONE,
    Period,
    age_years,
    hospital_date,
    hospital_midnight,
    hospital_time,
    milliseconds,
)

from .hospital import hospital, until
from .labels.board import board as labels_board
from .parcels.board import board as parcels_board

MORNING = "2026-03-02 08:00"


# ── the clock that is set by hand ────────────────────────────────────────────────────────────
async def test_what_falls_due_rings_in_order_at_its_own_time() -> None:
    clock, rung = ManualClock(MORNING), []

    def bell(name: str):  # type: ignore[no-untyped-def]  # an async closure
        async def ring() -> None:
            rung.append((name, clock.now() - hospital_time(MORNING)))

        return ring

    clock.every(90, bell("slow"))
    clock.every(60, bell("quick"))
    await clock.advance(timedelta(minutes=3))
    seconds = [(name, int(after.total_seconds())) for name, after in rung]
    assert seconds == [("quick", 60), ("slow", 90), ("quick", 120), ("slow", 180), ("quick", 180)]
    assert clock.now() == hospital_time("2026-03-02 08:03")


async def test_a_cancelled_timer_is_silent_and_never_the_next_one_due() -> None:
    clock, rung = ManualClock(MORNING), []

    async def ring() -> None:
        rung.append(clock.now())

    timer = clock.every(60, ring)
    later = clock.every(120, ring)
    timer.cancel()
    assert clock.next_due == hospital_time("2026-03-02 08:02")
    later.cancel()
    assert clock.next_due is None
    await clock.advance("2026-03-02 10:00")
    assert rung == []


async def test_sleepers_wake_when_their_time_comes_and_not_before() -> None:
    clock, woken = ManualClock(MORNING), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    sleepers = [asyncio.create_task(sleep(s)) for s in (30, 10)]
    await asyncio.sleep(0)
    await clock.advance(timedelta(seconds=20))
    await asyncio.sleep(0)
    assert woken == [10]
    await clock.advance(timedelta(seconds=20))
    await asyncio.gather(*sleepers)
    assert woken == [10, 30]


def test_time_never_runs_backwards() -> None:
    clock = ManualClock(MORNING)
    clock.set("2026-03-01 08:00")
    assert clock.now() == hospital_time(MORNING)


async def test_a_fast_clock_shows_and_sleeps_a_day_in_no_time() -> None:
    start = hospital_time(MORNING)
    clock = SystemClock(start=start, rate=36_000)
    assert timedelta() <= clock.now() - start < timedelta(hours=1)
    rung: list[datetime] = []

    async def ring() -> None:
        rung.append(clock.now())

    timer = clock.every(600, ring)
    await clock.sleep(3_600)
    assert clock.now() - start >= timedelta(hours=1)
    await until(lambda: len(rung) >= 3)
    timer.cancel()


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────
async def test_a_job_runs_every_so_often_of_the_hospitals_time() -> None:
    clock = ManualClock(MORNING)
    async with hospital(parcels_board, labels_board, clock=clock) as runtime:
        service = runtime.plugged["labels"].service
        await clock.advance("2026-03-02 08:05")
        assert service.turns == 5
        await runtime.unplug("labels")
        await clock.advance("2026-03-02 09:00")
        assert service.turns == 5


async def test_a_job_that_fails_is_told_and_runs_again_at_its_next_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock(MORNING)
    async with hospital(parcels_board, labels_board, clock=clock) as runtime:
        service = runtime.plugged["labels"].service
        problems = iter([ValueError("陈桂芳"), Unavailable("printer")])

        def turn() -> None:
            for problem in problems:
                raise problem

        service.turn = turn
        await clock.advance("2026-03-02 08:03")
        assert service.turns == 3
        assert "ValueError" in caplog.text
        assert "陈桂芳" not in caplog.text
        assert runtime.meters.by_operation["labels.every:sweep"].outcomes == {"fault": 1, "ok": 2}


async def test_a_real_timer_survives_a_job_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    async with hospital(parcels_board, labels_board, clock=SystemClock(rate=6_000)) as runtime:
        service = runtime.plugged["labels"].service

        def turn() -> None:
            raise ValueError

        service.turn = turn
        await until(lambda: service.turns >= 3)


async def test_on_the_bench_a_failing_job_fails_the_test() -> None:
    bench = Bench(labels_board)
    await bench.tick()

    def turn() -> None:
        raise ValueError

    bench.service.turn = turn
    with pytest.raises(ValueError):  # noqa: PT011 - exactly what the job raised
        await bench.tick()


# ── hospital days ────────────────────────────────────────────────────────────────────────────
instants = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds


@given(instants)
def test_every_instant_belongs_to_the_hospital_day_between_two_midnights(at: datetime) -> None:
    day = hospital_date(at)
    following = day + timedelta(days=1)
    assert at in Period(start=hospital_midnight(day), end=hospital_midnight(following))


@given(instants)
def test_milliseconds_are_those_of_the_epoch(at: datetime) -> None:
    assert milliseconds(at) == int(at.replace(microsecond=0).timestamp()) * 1000 + (
        at.microsecond // 1000
    )


def test_a_written_time_is_the_hospitals() -> None:
    assert hospital_time("2026-03-02 00:30") == datetime(2026, 3, 1, 16, 30, tzinfo=UTC)
    assert hospital_date(datetime(2026, 3, 1, 16, 30, tzinfo=UTC)) == date(2026, 3, 2)
    assert str(HOSPITAL_ZONE) == "Asia/Shanghai"


def test_the_end_of_a_period_does_not_belong_to_it() -> None:
    start, end = hospital_time(MORNING), hospital_time("2026-03-02 09:00")
    period = Period(start=start, end=end)
    assert start in period
    assert end not in period
    with pytest.raises(ValueError, match="before it starts"):
        Period(start=end, end=start)


@pytest.mark.parametrize(
    ("birth", "day", "years"),
    [
        (date(1960, 3, 3), date(2026, 3, 2), 65),
        (date(1960, 3, 2), date(2026, 3, 2), 66),
        (date(2024, 2, 29), date(2025, 2, 28), 0),
        (date(2024, 2, 29), date(2025, 3, 1), 1),
    ],
)
def test_age_is_in_completed_years(birth: date, day: date, years: int) -> None:
    assert age_years(birth, day) == years

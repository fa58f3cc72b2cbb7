"""The simulated world: time moves only when everybody sleeps, and in order."""

from datetime import timedelta
from typing import cast

from plugward.kernel.clock import ManualClock
from plugward.kernel.runtime import Runtime
from plugward.sim.day.world import World


class Still:
    """A runtime in which nothing waits."""

    async def settled(self, *, patience_s: float = 0) -> None:
        del patience_s


def a_world() -> tuple[World, ManualClock]:
    clock = ManualClock("2026-03-02 07:00")
    return World(cast("Runtime", Still()), clock, seed=1), clock


async def test_actors_wake_in_the_order_of_their_time() -> None:
    world, clock = a_world()
    start, heard = clock.now(), []

    async def actor(name: str, *waits: float) -> None:
        for wait in waits:
            await world.sleep(wait)
            heard.append((name, (world.now() - start).total_seconds()))

    world.begin(actor("slow", 200, 1_000))
    world.begin(actor("quick", 80, 80, 80))
    await world.run_to(start + timedelta(hours=1))
    assert [name for name, _ in heard] == ["quick", "quick", "slow", "quick", "slow"]
    assert all(at >= due for (_, at), due in zip(heard, (80, 160, 200, 240, 1_200), strict=True))


async def test_an_actor_that_fails_is_told_not_hidden() -> None:
    world, clock = a_world()

    async def actor() -> None:
        await world.sleep(5)
        raise ValueError("a bug")

    world.begin(actor())
    await world.run_to(clock.now() + timedelta(minutes=5))
    assert [type(p) for p in world.problems] == [ValueError]


async def test_the_evening_sends_everybody_home() -> None:
    world, clock = a_world()

    async def for_ever() -> None:
        while True:
            await world.sleep(60)

    end = clock.now() + timedelta(hours=2)
    world.begin(for_ever())
    await world.run_to(end)
    assert clock.now() == end

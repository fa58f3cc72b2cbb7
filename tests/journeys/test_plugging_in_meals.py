"""A board of another distribution is plugged into a running hospital, and nobody else notices.

膳食插板装进正在运行的医院：听到装入前的禁食医嘱，送达的餐由物价计费，拔出后其余照常。
"""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from plugward.boards.orders.board import board as orders_board
from plugward.boards.orders.contract import Orders
from plugward.boards.pricing.board import board as pricing_board
from plugward.boards.pricing.contract import Pricing
from plugward.commons.masterdata.board import board as masterdata_board
from plugward.kernel import Unavailable
from plugward.kernel.audit import audit_runtime
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, EncounterId, WardId
from plugward_meals.board import board as meals_board
from plugward_meals.contract import (
    MealOrder,
    MealOrderId,
    Meals,
    MealState,
    MealTime,
    OrderMeal,
    PatientFasting,
)

MRS_CHEN, MR_LI = EncounterId(new_id()), EncounterId(new_id())
WARD_3 = WardId(new_id())
TUESDAY = date(2026, 3, 3)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    clock = ManualClock("2026-03-02 17:00")
    made = Runtime(Databases(tmp_path, durable=False), clock, AuditLog(None, clock))
    await made.start([masterdata_board, orders_board, pricing_board])
    yield made
    await made.stop()


async def order_breakfast(runtime: Runtime, encounter: EncounterId) -> MealOrder:
    with acting_as(a_tester()):
        return await runtime.client(Meals).order(
            OrderMeal(
                id=MealOrderId(new_id()),
                encounter=encounter,
                campus=CampusCode("C1"),
                ward=WARD_3,
                day=TUESDAY,
                time=MealTime.BREAKFAST,
                dish="MEAL-CONGEE",
            )
        )


async def order_fasting(runtime: Runtime, encounter: EncounterId) -> None:
    with acting_as(a_tester()):
        await runtime.client(Orders).order_fasting(encounter, on=TUESDAY)
    await runtime.quiet()


async def minutes_pass(runtime: Runtime, minutes: int = 2) -> None:
    clock = runtime.clock
    assert isinstance(clock, ManualClock)
    await clock.advance(timedelta(minutes=minutes))
    await runtime.quiet()


async def test_a_board_plugged_in_at_noon_works_with_what_was_there_in_the_morning(
    runtime: Runtime,
) -> None:
    await order_fasting(runtime, MR_LI)
    await runtime.plug(meals_board)
    await runtime.quiet()

    with pytest.raises(PatientFasting):
        await order_breakfast(runtime, MR_LI)
    stopped = await order_breakfast(runtime, MRS_CHEN)
    eaten = await order_breakfast(runtime, MRS_CHEN)
    with acting_as(a_tester()):
        await runtime.client(Meals).deliver(eaten.id)
    await order_fasting(runtime, MRS_CHEN)

    with acting_as(a_tester()):
        found = {m.id: m.state for m in await runtime.client(Meals).for_ward(WARD_3, TUESDAY)}
    assert found == {stopped.id: MealState.CANCELLED, eaten.id: MealState.DELIVERED}


async def test_what_was_delivered_is_priced_once_although_nobody_told_pricing_about_meals(
    runtime: Runtime,
) -> None:
    """物价不认识膳食：凭事实中的计费请求和主数据中的价格计费。"""
    await runtime.plug(meals_board)
    meal = await order_breakfast(runtime, MRS_CHEN)
    with acting_as(a_tester()):
        await runtime.client(Meals).deliver(meal.id)
    await runtime.quiet()
    with acting_as(a_tester()):
        assert await runtime.client(Pricing).for_encounter(MRS_CHEN) == ()  # the price is unknown

    await minutes_pass(runtime)  # the board makes its dishes known
    with acting_as(a_tester()):
        [charge] = await runtime.client(Pricing).for_encounter(MRS_CHEN)
    assert (charge.item, str(charge.amount)) == ("MEAL-CONGEE", "8.00")


async def test_pulled_out_it_leaves_the_others_alone_and_takes_up_where_it_was(
    runtime: Runtime,
) -> None:
    await runtime.plug(meals_board)
    await minutes_pass(runtime)
    meal = await order_breakfast(runtime, MRS_CHEN)
    await runtime.unplug("meals")

    with pytest.raises(Unavailable):
        await order_breakfast(runtime, MRS_CHEN)
    await order_fasting(runtime, MRS_CHEN)  # ordering goes on, and is heard afterwards

    await runtime.plug(meals_board)
    await runtime.quiet()
    with acting_as(a_tester()):
        [found] = await runtime.client(Meals).for_ward(WARD_3, TUESDAY)
        assert (found.id, found.state) == (meal.id, MealState.CANCELLED)
        assert await runtime.client(Pricing).for_encounter(MRS_CHEN) == ()
    assert (await audit_runtime(runtime)).holds

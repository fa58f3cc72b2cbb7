"""A day of meals on one ward, told as the ward would tell it.

Every scenario runs twice: calls made directly, and calls encoded as they would be between two
processes. Only the orders board and master data are faked, with the fakes their owners publish.
"""

from contextlib import suppress
from datetime import date
from itertools import product

import pytest

from plugward.boards.orders.contract import FastingOrdered
from plugward.boards.orders.fakes import FakeOrders
from plugward.commons.masterdata.contract import Domain
from plugward.commons.masterdata.fakes import FakeMasterData
from plugward.kernel import Conflict, Unavailable
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, EncounterId, WardId
from plugward_meals.board import board
from plugward_meals.contract import (
    CancelReason,
    DishUnknown,
    KitchenClosed,
    MealCancelled,
    MealDelivered,
    MealOrder,
    MealOrdered,
    MealOrderId,
    MealOrderNotFound,
    Meals,
    MealState,
    MealTime,
    OrderMeal,
    PatientFasting,
)

MRS_CHEN = EncounterId(new_id())
WARD_3 = WardId(new_id())
C1 = CampusCode("C1")
TUESDAY = date(2026, 3, 3)


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    fakes = [FakeOrders(), FakeMasterData()]
    return Bench(board, fakes=fakes, transport=request.param, now="2026-03-02 18:00")


def breakfast(dish: str = "MEAL-CONGEE") -> OrderMeal:
    return OrderMeal(
        id=MealOrderId(new_id()),
        encounter=MRS_CHEN,
        campus=C1,
        ward=WARD_3,
        day=TUESDAY,
        time=MealTime.BREAKFAST,
        dish=dish,
    )


async def order_breakfast(bench: Bench) -> MealOrder:
    return await bench.client(Meals).order(breakfast())


async def test_a_delivered_breakfast_asks_to_be_charged_once(bench: Bench) -> None:
    """订餐 → 送达 → 产生一条计费请求。"""
    meal = await order_breakfast(bench)
    assert bench.published(MealDelivered) == []

    await bench.client(Meals).deliver(meal.id)

    [delivered] = bench.published(MealDelivered)
    assert (delivered.charge.encounter, delivered.charge.item) == (MRS_CHEN, "MEAL-CONGEE")


async def test_a_fasting_order_in_the_evening_stops_the_breakfast(bench: Bench) -> None:
    """晚间下达禁食医嘱 → 次日早餐自动取消 → 不产生费用。"""
    await order_breakfast(bench)

    await bench.receive(FastingOrdered(encounter=MRS_CHEN, day=TUESDAY), times=2)

    [cancelled] = bench.published(MealCancelled)
    assert cancelled.reason is CancelReason.FASTING
    assert bench.published(MealDelivered) == []


async def test_a_fasting_patient_cannot_order(bench: Bench) -> None:
    bench.fake(FakeOrders).fasting.add((MRS_CHEN, TUESDAY))
    with pytest.raises(PatientFasting):
        await order_breakfast(bench)


async def test_the_kitchen_closes_at_eight_the_evening_before(bench: Bench) -> None:
    bench.clock.set("2026-03-02 19:59:59")
    await order_breakfast(bench)
    bench.clock.set("2026-03-02 20:00:00")
    with pytest.raises(KitchenClosed):
        await order_breakfast(bench)


async def test_what_is_not_on_the_menu_cannot_be_ordered(bench: Bench) -> None:
    with pytest.raises(DishUnknown) as refused:
        await bench.client(Meals).order(breakfast(dish="MEAL-LOBSTER"))
    assert refused.value.dish == "MEAL-LOBSTER"


async def test_a_double_click_orders_one_breakfast(bench: Bench) -> None:
    request, meal = new_id(), breakfast()
    for _ in range(2):
        with bench.request(request):
            await bench.client(Meals).order(meal)
    assert len(bench.published(MealOrdered)) == 1


async def test_while_orders_is_away_nobody_is_fed_by_accident(bench: Bench) -> None:
    """医嘱不可用：不能订餐（以免给禁食患者送餐），送餐照常。"""
    meal = await order_breakfast(bench)
    bench.detach(FakeOrders)
    with pytest.raises(Unavailable):
        await order_breakfast(bench)
    await bench.client(Meals).deliver(meal.id)
    with bench.queries(at_most=1):
        [delivered] = await bench.client(Meals).for_ward(WARD_3, TUESDAY)
    assert delivered.state is MealState.DELIVERED


async def test_the_dishes_become_charge_items_as_soon_as_master_data_answers(bench: Bench) -> None:
    """菜品随插板进入主数据；之后价格由主数据维护，插板不再改动。"""
    await bench.ready()
    bench.detach(FakeMasterData)
    await bench.tick()
    catalogue = bench.fake(FakeMasterData)
    assert catalogue.log[Domain.CHARGE_ITEM] == []

    bench.attach(catalogue)
    await bench.tick()
    await bench.tick()
    entries = catalogue.log[Domain.CHARGE_ITEM]
    congee = entries[0]
    assert (congee.code, str(congee.price), congee.version) == ("MEAL-CONGEE", "8.00", 1)
    assert len({e.code for e in entries}) == len(entries)


async def test_another_campus_neither_sees_nor_touches_the_meal(bench: Bench) -> None:
    meal = await order_breakfast(bench)
    with bench.acting(campuses=("C2",)):
        assert await bench.client(Meals).for_ward(WARD_3, TUESDAY) == ()
        with pytest.raises(MealOrderNotFound):
            await bench.client(Meals).deliver(meal.id)


@pytest.mark.parametrize("steps", list(product(["deliver", "cancel", "fast"], repeat=3)))
async def test_whatever_happens_a_meal_is_charged_exactly_when_delivered(
    bench: Bench, steps: tuple[str, ...]
) -> None:
    """The board's invariant, over every sequence of three steps."""
    meals = bench.client(Meals)
    meal = await order_breakfast(bench)
    for step in steps:
        if step == "fast":  # a fact is never refused
            await bench.receive(FastingOrdered(encounter=MRS_CHEN, day=TUESDAY))
        else:
            with suppress(Conflict):  # a refused request must change nothing
                if step == "deliver":
                    await meals.deliver(meal.id)
                else:
                    await meals.cancel(meal.id, CancelReason.PATIENT_WISH)

    [final] = await meals.for_ward(WARD_3, TUESDAY)
    assert len(bench.published(MealDelivered)) == (final.state is MealState.DELIVERED)
    assert len(bench.published(MealCancelled)) == (final.state is MealState.CANCELLED)
    await bench.prove()

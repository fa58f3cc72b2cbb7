"""What this board does when something happens elsewhere in the hospital, and by the clock."""

from plugward.boards.orders.contract import FastingOrdered
from plugward.kernel import every, on

from .contract import CancelReason
from .service import MealService


@on(FastingOrdered)
async def stop_meals_of_a_fasting_patient(event: FastingOrdered, meals: MealService) -> None:
    """医生开出禁食医嘱后，当日未送出的餐全部取消。"""
    await meals.cancel_undelivered(event.encounter, event.day, CancelReason.FASTING)


@every(60)
async def make_the_dishes_known(meals: MealService) -> None:
    """菜品作为收费项目进入主数据；主数据不在线时，下一分钟再试。"""
    await meals.offer_dishes()

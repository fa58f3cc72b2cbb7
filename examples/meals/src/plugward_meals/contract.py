"""Meals 膳食: the words and promises that other boards may rely on.

A meal is ordered for one encounter 就诊, may be cancelled until it leaves the kitchen, and ends
delivered. Prices never appear: a delivered meal carries a ``ChargeRequest``, and pricing 物价 and
billing 收费 decide what it costs.
"""

from datetime import date
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import (
    Conflict,
    Event,
    Invalid,
    Message,
    NotFound,
    Plain,
    command,
    contract,
    query,
)
from plugward.vocabulary import CampusCode, ChargeRequest, EncounterId, WardId

MealOrderId = NewType("MealOrderId", UUID)


class MealTime(StrEnum):
    BREAKFAST = "breakfast"  # 早餐
    LUNCH = "lunch"  # 午餐
    SUPPER = "supper"  # 晚餐


class MealState(StrEnum):
    ORDERED = "ordered"  # 已订
    DELIVERED = "delivered"  # 已送达
    CANCELLED = "cancelled"  # 已取消


class CancelReason(StrEnum):
    PATIENT_WISH = "patient-wish"  # 患者退餐
    FASTING = "fasting"  # 禁食医嘱


class OrderMeal(Message, kw_only=True):
    """One meal for one patient. The caller picks ``id``, so a retry orders nothing twice."""

    id: MealOrderId
    encounter: EncounterId
    campus: CampusCode
    ward: WardId
    day: date
    time: MealTime
    dish: Plain  # code in the dish catalogue 菜品编码


class MealOrder(OrderMeal, kw_only=True):
    """A meal as the kitchen knows it."""

    state: MealState


class MealOrdered(Event, tag="meals.meal.ordered.v1", key="meal.encounter"):
    """The kitchen knows of it."""

    meal: MealOrder


class MealCancelled(Event, tag="meals.meal.cancelled.v1", key="meal.encounter"):
    """It will not be cooked, and nothing is charged."""

    meal: MealOrder
    reason: CancelReason


class MealDelivered(Event, tag="meals.meal.delivered.v1", key="meal.encounter"):
    """The patient has the meal. Charging starts from this fact and no earlier."""

    meal: MealOrder
    charge: ChargeRequest


class MealOrderNotFound(NotFound):
    """没有这份订餐。"""


class DishUnknown(Invalid):
    """菜单上没有编码为 {dish} 的菜品。"""

    dish: Plain


class KitchenClosed(Conflict):
    """{day} 的该餐次（{time}）已截止订餐，请联系营养科。"""

    day: date
    time: MealTime


class PatientFasting(Conflict):
    """患者 {day} 有禁食医嘱，不能订餐。"""

    encounter: EncounterId
    day: date


@contract("meals")
class Meals(Protocol):
    """Ordering a patient's meals and bringing them to the bedside."""

    @command(permission="meals.order")
    async def order(self, request: OrderMeal) -> MealOrder:
        """Order one meal. Refuses with ``DishUnknown``, ``KitchenClosed`` or
        ``PatientFasting``."""
        ...

    @command(permission="meals.order")
    async def cancel(self, meal: MealOrderId, reason: CancelReason) -> MealOrder:
        """Cancel a meal that has not been delivered. Refuses with ``MealOrderNotFound``, or
        ``WrongState`` if it is too late."""
        ...

    @command(permission="meals.deliver")
    async def deliver(self, meal: MealOrderId) -> MealOrder:
        """Record that the patient has the meal, and ask for it to be charged. Refuses like
        ``cancel``."""
        ...

    @query(permission="meals.read")
    async def for_ward(self, ward: WardId, day: date) -> tuple[MealOrder, ...]:
        """The ward's meals of one day (at most 200), in the order the trolley serves them."""
        ...

"""What the data centre learns from this board: how events become rows of facts."""

from datetime import date

from plugward.kernel import Message, Plain
from plugward.kernel.facts import fact
from plugward.vocabulary import CampusCode, EncounterId, WardId

from .contract import MealDelivered, MealTime


class DeliveredMeal(Message):
    """One delivered meal 一份已送达的餐, on the day it was eaten."""

    day: date
    time: MealTime
    campus: CampusCode
    ward: WardId
    encounter: EncounterId
    dish: Plain


@fact(MealDelivered, table="meals_delivered", key=("encounter", "day", "time", "dish"))
def delivered_meal(event: MealDelivered) -> DeliveredMeal:
    meal = event.meal
    return DeliveredMeal(
        day=meal.day,
        time=meal.time,
        campus=meal.campus,
        ward=meal.ward,
        encounter=meal.encounter,
        dish=meal.dish,
    )

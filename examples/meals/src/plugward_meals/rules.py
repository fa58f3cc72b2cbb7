"""The rules of ordering meals: pure functions, no database, no clock."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from plugward.commons.masterdata.contract import Draft
from plugward.kernel import Lifecycle, Message, Plain
from plugward.kit.money import UnitPrice
from plugward.kit.time import hospital_midnight

from .contract import MealState, MealTime

LIFECYCLE = Lifecycle(
    {
        MealState.ORDERED: {MealState.DELIVERED, MealState.CANCELLED},
        MealState.DELIVERED: set(),
        MealState.CANCELLED: set(),
    }
)

# The kitchen buys at night for breakfast, and needs half a shift for the others.
_CUT_OFF = {
    MealTime.BREAKFAST: timedelta(hours=-4),  # 前一日 20:00
    MealTime.LUNCH: timedelta(hours=9, minutes=30),
    MealTime.SUPPER: timedelta(hours=15),
}


def cut_off(day: date, time: MealTime) -> datetime:
    """The instant from which the kitchen takes no more orders for this meal."""
    return hospital_midnight(day) + _CUT_OFF[time]


class Dish(Message):
    """A dish of the menu. Its price is the first one; from then on master data's steward rules."""

    code: Plain
    name_zh: Plain
    name_en: Plain
    first_price: UnitPrice


def _dish(code: str, name_zh: str, name_en: str, yuan: str) -> Dish:
    return Dish(
        code=code, name_zh=name_zh, name_en=name_en, first_price=UnitPrice(yuan=Decimal(yuan))
    )


MENU = {
    dish.code: dish
    for dish in (
        _dish("MEAL-CONGEE", "小米粥套餐", "Millet congee", "8.00"),
        _dish("MEAL-NOODLES", "清汤面套餐", "Noodle soup", "12.00"),
        _dish("MEAL-SOFT", "软食套餐", "Soft diet", "18.00"),
        _dish("MEAL-LOW-SALT", "低盐套餐", "Low-salt diet", "18.00"),
        _dish("MEAL-DIABETIC", "糖尿病套餐", "Diabetic diet", "20.00"),
    )
}


# A meal may be delivered before master data has heard of its dish; its price held already then.
MENU_SINCE = hospital_midnight(date(2020, 1, 1))


def draft_of(dish: Dish) -> Draft:
    """The dish as a charge item 收费项目 of the hospital's catalogue."""
    return Draft(
        code=dish.code,
        name_zh=dish.name_zh,
        name_en=dish.name_en,
        unit="份",
        price=dish.first_price,
        valid_from=MENU_SINCE,
    )

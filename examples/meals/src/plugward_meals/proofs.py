"""What must hold at any moment, on any deployment."""

from plugward.kernel import Finding, Reading, proof

from .rules import MENU
from .tables import meal_orders


@proof("F1", "每份订餐都在菜单上")
def every_meal_is_on_the_menu(read: Reading) -> Finding:
    strange = read.count(meal_orders, meal_orders.c.dish.not_in(list(MENU)))
    breaches = (f"{strange} meals are of dishes that are not on the menu",) if strange else ()
    return Finding(examined=read.count(meal_orders), breaches=breaches)

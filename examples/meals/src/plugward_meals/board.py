"""Meals 膳食, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, pages, proofs, reactions
from .contract import Meals
from .service import MealService
from .tables import tables

board = Board(
    contract=Meals,
    service=MealService,
    tables=tables,
    reactions=[reactions.stop_meals_of_a_fasting_patient],
    jobs=[reactions.make_the_dishes_known],
    pages=[pages.ward_meals],
    facts=[facts.delivered_meal],
    proofs=[proofs.every_meal_is_on_the_menu],
)

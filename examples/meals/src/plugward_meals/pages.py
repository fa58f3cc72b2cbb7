"""The pages this board adds to the portal."""

from datetime import date

from plugward.kernel.pages import Action, Column, Grid, page
from plugward.vocabulary import WardId

from .contract import Meals, MealState


@page(
    "/meals/wards/{ward}",
    title="病区订餐",
    title_en="Ward meals",
    permission="meals.read",
    icon="utensils",
)
async def ward_meals(ward: WardId, day: date, meals: Meals) -> Grid:
    """The trolley list: what to carry to which bed, and a button for each delivery."""
    return Grid(
        rows=await meals.for_ward(ward, day),
        columns=[
            Column("餐次", "time"),
            Column("就诊号", "encounter"),
            Column("菜品", "dish"),
            Column("状态", "state"),
        ],
        actions=[Action("送达", meals.deliver, when={MealState.ORDERED})],
    )

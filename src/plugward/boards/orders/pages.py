"""The page orders adds to the portal: what was ordered in a visit, and what became of it."""

from plugward.kernel.pages import View, page, view
from plugward.vocabulary import EncounterId

from .contract import Orders


@page("/orders/encounters/{encounter}", title="医嘱", title_en="Orders", permission="orders.read")
async def encounter_orders(encounter: EncounterId, orders: Orders) -> View:
    """The groups of a visit with every line's state, withdrawn ones too."""
    names = {usage.usage: usage for usage in await orders.usages()}
    return view(
        "encounter.html",
        encounter=encounter,
        groups=await orders.for_encounter(encounter),
        names=names,
    )

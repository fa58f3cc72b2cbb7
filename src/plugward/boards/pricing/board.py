"""Pricing 物价, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, proofs, reactions
from .contract import Pricing
from .service import PricingService
from .tables import tables

board = Board(
    contract=Pricing,
    service=PricingService,
    tables=tables,
    reactions=[
        reactions.learn_the_price,
        reactions.price_what_happened,
        reactions.cancel_a_withdrawn_line,
        reactions.cancel_a_cancelled_appointment,
        reactions.charge_a_reinstated_appointment,
    ],
    facts=[facts.charged, facts.cancelled],
    proofs=[
        proofs.every_charge_is_its_price_times_its_quantity,
        proofs.a_fact_is_charged_once,
    ],
)

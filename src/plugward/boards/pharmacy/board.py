"""Pharmacy 药房, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, pages, proofs, reactions
from .contract import Pharmacy
from .service import PharmacyService
from .tables import tables

board = Board(
    contract=Pharmacy,
    service=PharmacyService,
    tables=tables,
    reactions=[
        reactions.take_in_a_prescription,
        reactions.stop_a_withdrawn_line,
        reactions.queue_what_is_paid,
        reactions.let_go_of_an_unpaid_bill,
        reactions.note_an_expired_reservation,
        reactions.know_a_new_patient,
        reactions.know_a_patient_better,
        reactions.keep_the_catalogue,
    ],
    pages=[
        pages.window,
        pages.call_next,
        pages.call,
        pages.scan,
        pages.pick,
        pages.dispense,
        pages.miss,
        pages.suspend,
        pages.cannot_supply,
        pages.counselling,
        pages.returns,
        pages.take_back,
    ],
    home=[pages.pharmacy_home],
    facts=[facts.dispensed_drug, facts.returned_drug, facts.unsupplied_drug],
    proofs=[proofs.nothing_is_handed_out_unpaid, proofs.every_paid_line_has_a_task],
)

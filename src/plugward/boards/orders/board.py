"""Orders 医嘱, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, interop, pages, proofs, reactions
from .contract import Orders
from .service import OrderService
from .tables import tables

board = Board(
    contract=Orders,
    service=OrderService,
    tables=tables,
    reactions=[
        reactions.learn_what_can_be_ordered,
        reactions.note_what_is_paid,
        reactions.note_what_is_dispensed,
        reactions.note_what_came_back,
        reactions.note_what_cannot_be_supplied,
        reactions.note_what_is_sampled,
        reactions.note_what_is_reported,
        reactions.note_a_withdrawn_report,
    ],
    pages=[pages.encounter_orders],
    facts=[facts.ordered_lines, facts.withdrawn_line],
    proofs=[proofs.lines_belong_where_their_group_does, proofs.groups_are_whole],
    interop=[
        interop.request_tests,
        interop.request_examinations,
        interop.cancel_test,
        interop.cancel_examination,
        interop.prescription,
    ],
)

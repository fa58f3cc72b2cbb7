"""Orders 医嘱, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, proofs, reactions
from .contract import Orders
from .service import OrderService
from .tables import tables

board = Board(
    contract=Orders,
    service=OrderService,
    tables=tables,
    reactions=[reactions.learn_what_can_be_ordered],
    facts=[facts.ordered_lines, facts.withdrawn_line],
    proofs=[proofs.lines_belong_where_their_group_does, proofs.groups_are_whole],
)

"""Drug store 药库, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, pages, proofs, reactions
from .contract import DrugStore
from .service import DrugStoreService
from .tables import tables

board = Board(
    contract=DrugStore,
    service=DrugStoreService,
    tables=tables,
    reactions=[
        reactions.keep_the_catalogue,
        reactions.issue_what_was_dispensed,
        reactions.take_back_what_was_returned,
        reactions.free_what_is_not_needed,
    ],
    jobs=[reactions.end_unpaid_reservations],
    pages=[
        pages.stock,
        pages.receive,
        pages.transfer,
        pages.document,
    ],
    home=[pages.drug_store_home],
    facts=[facts.stock_move],
    proofs=[proofs.balances, proofs.periods_add_up, proofs.transfers_balance],
)

"""Identity 身份, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import pages, proofs, reactions
from .contract import Identity
from .service import IdentityService
from .tables import tables

board = Board(
    contract=Identity,
    service=IdentityService,
    tables=tables,
    reactions=[reactions.know_the_places],
    jobs=[reactions.save_when_people_were_last_there, reactions.forget_old_sessions],
    pages=[
        pages.open_record,
        pages.open_now,
        pages.openings,
        pages.review,
        pages.accounts,
        pages.disable,
        pages.enable,
    ],
    home=[pages.at_home],
    proofs=[proofs.passwords_are_hashed, proofs.nobody_disabled_is_signed_in],
)

"""Portal 统一门户, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import pages
from .contract import Portal
from .service import PortalService
from .tables import tables

board = Board(
    contract=Portal,
    service=PortalService,
    tables=tables,
    pages=[
        pages.home_page,
        pages.rack_page,
        pages.parked_page,
        pages.replay_parked,
        pages.skip_parked,
        pages.states_page,
        pages.broken_panel,
        pages.kept_draft,
    ],
)

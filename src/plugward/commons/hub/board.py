"""Integration hub 集成平台, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import pages
from .contract import Hub
from .service import HubService
from .tables import tables

board = Board(
    contract=Hub,
    service=HubService,
    tables=tables,
    pages=[
        pages.console,
        pages.find,
        pages.systems,
        pages.open_text,
        pages.replay,
        pages.replay_all,
    ],
    home=[pages.at_home],
)
"""The hub calls no board by import: what boards declare in ``interop.py`` it finds at start-up."""

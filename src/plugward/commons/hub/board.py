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
    pages=[pages.systems, pages.replay],
    home=[pages.at_home],
)
"""The hub calls no board by import: what boards declare in ``interop.py`` it finds at start-up."""

"""Data centre 数据中心, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import pages
from .contract import DataCentre
from .service import DataCentreService

board = Board(
    contract=DataCentre,
    service=DataCentreService,
    pages=[
        pages.reports_page,
        pages.report_page,
        pages.export_page,
        pages.details_page,
        pages.cockpit_page,
    ],
    home=[pages.at_home],
)

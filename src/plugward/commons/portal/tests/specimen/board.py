"""Specimen, plugged together."""

from plugward.kernel import Board

from . import pages, reactions
from .contract import Specimen
from .service import SpecimenService
from .tables import tables

board = Board(
    contract=Specimen,
    service=SpecimenService,
    tables=tables,
    reactions=[reactions.file_it],
    pages=[
        pages.notes,
        pages.one_note,
        pages.plain_list,
        pages.write,
        pages.as_file,
        pages.secret,
        pages.broken,
        pages.wrong_template,
        pages.slow,
    ],
    home=[pages.at_home],
)

"""Specimen, plugged together."""

from plugward.kernel import Board

from .contract import Specimen
from .service import SpecimenService
from .tables import tables

board = Board(contract=Specimen, service=SpecimenService, tables=tables)

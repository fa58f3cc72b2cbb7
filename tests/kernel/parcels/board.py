"""Parcels, plugged together."""

from plugward.kernel import Board

from .contract import Parcels
from .service import ParcelService
from .tables import tables

board = Board(contract=Parcels, service=ParcelService, tables=tables)

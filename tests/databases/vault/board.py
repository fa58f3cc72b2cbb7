"""The vault, plugged together."""

from plugward.kernel import Board

from .contract import Vault
from .service import VaultService
from .tables import tables

board = Board(contract=Vault, service=VaultService, tables=tables)

"""Master data 主数据, plugged together. This is the board's front door."""

from plugward.kernel import Board

from . import facts, proofs
from .contract import MasterData
from .service import MasterDataService
from .tables import tables

board = Board(
    contract=MasterData,
    service=MasterDataService,
    tables=tables,
    facts=[facts.entry_version],
    proofs=[proofs.versions_follow_each_other, proofs.log_is_whole],
)

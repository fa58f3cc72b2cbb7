"""What the data centre learns from the drug store: every move, with its document."""

from uuid import UUID

from plugward.kernel import Message, Plain, fact
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode

from .contract import DocumentKind, StockMoved


class StockMove(Message):
    """One move of one batch 出入库明细."""

    document: UUID
    number: int
    kind: DocumentKind
    campus: CampusCode
    store: Plain
    item: Plain
    batch_no: Plain
    quantity: int
    at: Instant


@fact(StockMoved, table="drug_store_moves", key=("document", "number"))
def stock_move(event: StockMoved) -> tuple[StockMove, ...]:
    document = event.document
    return tuple(
        StockMove(
            document=document.id,
            number=move.number,
            kind=document.kind,
            campus=move.campus,
            store=move.store,
            item=move.item,
            batch_no=move.batch_no,
            quantity=move.quantity,
            at=move.at,
        )
        for move in document.moves
    )

"""Stock 库存: the demonstration hospital's stores with an opening stock of every drug."""

from datetime import date, timedelta
from uuid import UUID

from plugward.boards.drug_store.contract import (
    DocumentId,
    DrugStore,
    DrugStoreLocation,
    Receipt,
    ReceivedLine,
    StoreCode,
    StoreKind,
)
from plugward.kit.ids import seeded_id
from plugward.vocabulary import CampusCode

OPENING_PACKS = 4_000
LINES_A_RECEIPT = 60
_BEGINNING = 1_577_808_000_000  # 2020-01-01, in milliseconds: opening documents are old requests


async def open_stores(drug_store: DrugStore, campus: CampusCode, name: str) -> StoreCode:
    """A warehouse and an outpatient pharmacy; the pharmacy's code is the answer."""
    pharmacy = StoreCode(f"{campus}-OP")
    for code, kind, title in (
        (StoreCode(f"{campus}-WH"), StoreKind.WAREHOUSE, f"{name}药库"),
        (pharmacy, StoreKind.OUTPATIENT, f"{name}门诊药房"),
    ):
        await drug_store.open_store(
            DrugStoreLocation(store=code, campus=campus, kind=kind, name=title)
        )
    return pharmacy


def receipts(
    store: StoreCode, items: tuple[str, ...], today: date, packs: int = OPENING_PACKS
) -> tuple[Receipt, ...]:
    """Two batches of every drug, the older one near its end."""
    batches = ((90, packs // 8), (700, packs - packs // 8))
    return tuple(
        Receipt(
            id=DocumentId(_id(today, f"{store}:{start}")),
            store=store,
            reason="期初库存",
            lines=tuple(
                ReceivedLine(
                    item=item,
                    batch_no=f"{today:%y%m}{item}{'AB'[index]}",
                    expires_on=today + timedelta(days=days),
                    quantity=quantity,
                )
                for item in items[start : start + LINES_A_RECEIPT]
                for index, (days, quantity) in enumerate(batches)
            ),
        )
        for start in range(0, len(items), LINES_A_RECEIPT)
    )


def _id(today: date, text: str) -> UUID:
    return seeded_id(_BEGINNING, f"opening:{today.year}:{text}".encode())

"""The pages of the drug store: what lies where, what expires, and the papers that moved it."""

from datetime import date

from plugward.kernel import Message, Plain
from plugward.kernel.pages import Go, Home, Key, Place, View, Viewer, action, home, page, view
from plugward.kit.time import hospital_date
from plugward.vocabulary import CampusCode

from .contract import (
    Batch,
    BatchQuantity,
    DocumentId,
    Drug,
    DrugStore,
    Receipt,
    ReceivedLine,
    StoreCode,
    Transfer,
)

STOCK = "/drug_store/stock"
EXPIRING_MAX, MOVES_MAX = 30, 30


class ReceiptForm(Message):
    """One delivered batch."""

    id: DocumentId
    store: StoreCode
    item: Plain
    batch_no: Plain
    expires_on: date
    quantity: int
    reason: Plain = ""


class TransferForm(Message):
    """One batch that goes to another store."""

    id: DocumentId
    source: StoreCode
    target: StoreCode
    item: Plain
    batch_no: Plain
    quantity: int


@page(
    STOCK,
    title="药库",
    title_en="Drug store",
    permission="drug_store.keep",
    place=Place.RAIL,
    icon="package",
    order=260,
    keys=(
        Key("F2", "药品编码", "Drug code", "#item"),
        Key("F8", "入库", "Receive", "#receive-item"),
        Key("F9", "确认入库", "Post", "#post-receipt"),
    ),
)
async def stock(
    viewer: Viewer,
    drug_store: DrugStore,
    store: StoreCode | None = None,
    item: Plain = "",
    after: Plain = "",
) -> View:
    """The stores of the campus, the chosen one's batches, what expires soon."""
    campus = CampusCode(viewer.campus)
    stores = await drug_store.stores(campus)
    chosen = next((s for s in stores if s.store == store), next(iter(stores), None))
    batches: tuple[Batch, ...] = ()
    if chosen is not None:
        batches = await drug_store.batches(chosen.store, item.strip(), after)
    expiring = await drug_store.expiring(campus, EXPIRING_MAX)
    return view(
        "stock.html",
        stores=stores,
        chosen=chosen,
        item=item,
        batches=batches,
        expiring=expiring,
        moves=await drug_store.moves(chosen.store, item.strip(), MOVES_MAX) if chosen else (),
        names=await _names(drug_store, (*batches, *expiring)),
        today=hospital_date(viewer.now),
    )


async def _names(drug_store: DrugStore, batches: tuple[Batch, ...]) -> dict[str, Drug]:
    items = tuple(dict.fromkeys(batch.item for batch in batches))[:200]
    return {drug.item: drug for drug in await drug_store.drugs(items)} if items else {}


@action("/drug_store/receive", title="入库", permission="drug_store.keep")
async def receive(viewer: Viewer, form: ReceiptForm, drug_store: DrugStore) -> Go:
    line = ReceivedLine(
        item=form.item.strip(),
        batch_no=form.batch_no.strip(),
        expires_on=form.expires_on,
        quantity=form.quantity,
    )
    posted = await drug_store.receive(
        Receipt(id=form.id, store=form.store, lines=(line,), reason=form.reason)
    )
    return Go(
        f"{STOCK}?store={form.store}&item={line.item}",
        said=viewer.say(f"入库单 {posted.number}", f"Receipt {posted.number} posted"),
    )


@action("/drug_store/transfer", title="调拨", permission="drug_store.keep")
async def transfer(viewer: Viewer, form: TransferForm, drug_store: DrugStore) -> Go:
    line = BatchQuantity(item=form.item, batch_no=form.batch_no, quantity=form.quantity)
    posted = await drug_store.transfer(
        Transfer(id=form.id, source=form.source, target=form.target, lines=(line,))
    )
    return Go(
        f"{STOCK}?store={form.source}&item={form.item}",
        said=viewer.say(f"调拨单 {posted.number}", f"Transfer {posted.number} posted"),
    )


@page(
    "/drug_store/documents/{document}",
    title="库存单据",
    title_en="Stock document",
    permission="drug_store.read",
)
async def document(document: DocumentId, drug_store: DrugStore) -> View:
    """One document with its moves."""
    return view("document.html", document=await drug_store.document(document))


@home("drug_store.keep")
async def drug_store_home(viewer: Viewer, drug_store: DrugStore) -> Home:
    """The tile: how many batches expire soon."""
    expiring = await drug_store.expiring(CampusCode(viewer.campus), EXPIRING_MAX)
    count = f"{len(expiring)}+" if len(expiring) == EXPIRING_MAX else str(len(expiring))
    line = viewer.say(f"近效期 {count} 批", f"{count} batches expire soon")
    return Home(tile=line, tone="warn" if expiring else "ok", badge=len(expiring))

"""The counter 收费窗口: a patient's papers, what is due, and taking it."""

from decimal import InvalidOperation

from plugward.boards.patients.contract import Patients, PatientSummary, SearchTooShort
from plugward.kernel import Invalid, Message, Plain, Secret, Unavailable
from plugward.kernel.pages import (
    Go,
    Key,
    Place,
    View,
    Viewer,
    action,
    page,
    view,
)
from plugward.kit.message import Identifying
from plugward.kit.money import Money
from plugward.vocabulary import BillId, CampusCode, ChargeId, EncounterId, PatientId

from ..contract import (
    Account,
    AccountLine,
    Bill,
    Billing,
    BillSheet,
    BillState,
    Channel,
    LegId,
    LineState,
    OpenBill,
    Pay,
)

COUNTER = "/billing/cashier"
WAITING_MAX = 30


class Document(Message):
    """Lines that were ordered together: what the patient calls one paper."""

    id: Plain
    lines: tuple[AccountLine, ...]
    amount: Money
    is_chosen: bool

    @property
    def first(self) -> AccountLine:
        return self.lines[0]


class Due(Message):
    """The figures of the panel on the right."""

    total: Money
    fund: Money
    supplement: Money
    self_pay: Money
    outstanding: Money


class CounterQuery(Message):
    """What the address of the counter may say. ``doc`` counts once somebody chose by hand."""

    encounter: EncounterId | None = None
    patient: PatientId | None = None
    q: Identifying = ""
    doc: tuple[Plain, ...] = ()
    by_hand: bool = False


class PayForm(Message):
    """What the counter's form holds. Without charges the bill is open already."""

    encounter: EncounterId
    bill: BillId
    leg: LegId
    channel: Channel
    charge: tuple[ChargeId, ...] = ()
    code: Secret = ""
    amount: Plain = ""


class AmountUnreadable(Invalid):
    """金额不是有效数字，请以元填写，最多两位小数。"""


# ── the counter ─────────────────────────────────────────────────────────────────────────────
@page(
    COUNTER,
    title="门诊收费",
    title_en="Cashier",
    permission="billing.settle",
    place=Place.RAIL,
    icon="banknote",
    order=200,
    keys=(
        Key("F2", "读卡 / 找患者", "Card or patient", "#who"),
        Key("Space", "选中单据", "Choose", "#documents input:not([type=hidden])"),
        Key("Ctrl+A", "全选", "Choose all", "#choose-all"),
        Key("F7", "医保预结算", "Insurance preview", "#presettle"),
        Key("F3", "扫码付", "Scan to pay", "#pay-phone"),
        Key("F4", "现金", "Cash", "#pay-cash"),
        Key("F8", "银行卡", "Card", "#pay-card"),
        Key("F9", "确认收款", "Settle", "#take"),
        Key("F10", "补打票据", "Receipt", "#receipt"),
    ),
)
async def cashier(
    asked: CounterQuery, viewer: Viewer, billing: Billing, patients: Patients
) -> View:
    """One patient's papers on the left, their lines in the middle, the money on the right."""
    campus = CampusCode(viewer.campus)
    hits, note = await _find(viewer, patients, asked.q)
    patient = hits[0].id if len(hits) == 1 else asked.patient
    accounts = await _accounts(billing, patients, asked.encounter, patient)
    account = _chosen(accounts, asked.encounter)
    if account is None:
        waiting = await billing.waiting(campus, WAITING_MAX)
        return view("cashier.html", account=None, waiting=waiting, hits=hits, note=note, q=asked.q)
    return await _counter(billing, account, accounts, asked.doc if asked.by_hand else None)


async def _counter(
    billing: Billing, account: Account, accounts: tuple[Account, ...], doc: tuple[str, ...] | None
) -> View:
    opened = next((b for b in account.bills if b.state is BillState.OPEN), None)
    sheet = await billing.bill(opened.id) if opened else None
    documents = () if sheet else documents_of(account.lines, doc)
    chosen = (
        sheet.lines
        if sheet
        else tuple(line for document in documents if document.is_chosen for line in document.lines)
    )
    settled = [bill for bill in account.bills if bill.state is BillState.SETTLED]
    undecided = (
        next((leg for leg in sheet.legs if leg.id == sheet.bill.undecided), None) if sheet else None
    )
    return view(
        "cashier.html",
        account=account,
        others=[other for other in accounts if other.encounter != account.encounter],
        documents=documents,
        is_by_hand=doc is not None,
        sheet=sheet,
        undecided=undecided,
        chosen=chosen,
        due=due_of(chosen, sheet),
        settled=settled,
        last=max(settled, key=_settled_at, default=None),
    )


def _settled_at(bill: Bill) -> float:
    return bill.settled_at.timestamp() if bill.settled_at else 0.0


def documents_of(
    lines: tuple[AccountLine, ...], chosen: tuple[str, ...] | None
) -> tuple[Document, ...]:
    """Pending lines by what was ordered together; all are chosen until somebody chooses."""
    groups: dict[tuple[str, object], list[AccountLine]] = {}
    for line in lines:
        if line.state is LineState.PENDING and line.bill is None and not line.is_withdrawn:
            groups.setdefault((line.category.value, line.performed_at), []).append(line)
    return tuple(
        Document(
            id=str(group[0].id),
            lines=tuple(group),
            amount=Money.total(line.amount for line in group),
            is_chosen=chosen is None or str(group[0].id) in chosen,
        )
        for group in groups.values()
    )


def due_of(lines: tuple[AccountLine, ...], sheet: BillSheet | None) -> Due:
    self_pay = Money.total(line.self_pay for line in lines)
    return Due(
        total=Money.total(line.amount for line in lines),
        fund=Money.total(line.fund for line in lines),
        supplement=Money.total(line.supplement for line in lines),
        self_pay=self_pay,
        outstanding=sheet.outstanding if sheet else self_pay,
    )


async def _find(
    viewer: Viewer, patients: Patients, text: str
) -> tuple[tuple[PatientSummary, ...], str]:
    """Who is meant, or a word why nobody was found."""
    if not text.strip():
        return (), ""
    try:
        hits = await patients.find(text.strip())
    except SearchTooShort as short:
        least = short.places_min
        return (), viewer.say(f"请至少输入 {least} 个字符", f"Type at least {least} characters")
    except Unavailable:
        return (), viewer.say(
            "患者主索引暂不可用，请从待缴列表选择",
            "The patient index is away; use the waiting list",
        )
    return hits, "" if hits else viewer.say("没有找到该患者", "Nobody was found")


async def _accounts(
    billing: Billing,
    patients: Patients,
    encounter: EncounterId | None,
    patient: PatientId | None,
) -> tuple[Account, ...]:
    """The visits of the person at the counter; of every number they are known by."""
    if patient is not None:
        try:
            ids = await patients.person_of(patient)
        except Unavailable:
            ids = (patient,)
        return tuple([a for id in ids for a in await billing.accounts_of(id)])
    return (await billing.account(encounter),) if encounter is not None else ()


def _chosen(accounts: tuple[Account, ...], encounter: EncounterId | None) -> Account | None:
    """The visit that is asked for, else the first with something to pay."""
    by_id = next((a for a in accounts if a.encounter == encounter), None)
    owing = next((a for a in accounts if _owes(a)), None)
    return by_id or owing or next(iter(accounts), None)


def _owes(account: Account) -> bool:
    return bool(account.awaited) or any(line.state is LineState.PENDING for line in account.lines)


@action("/billing/pay", title="收款", permission="billing.settle")
async def pay(form: PayForm, viewer: Viewer, billing: Billing) -> Go:
    """Put the charges on the bill, and take the money."""
    amount = _money(form.amount)
    if form.charge:
        await billing.open_bill(
            OpenBill(
                id=form.bill,
                encounter=form.encounter,
                campus=CampusCode(viewer.campus),
                charges=form.charge,
                cashier=viewer.name,
            )
        )
    before = await billing.bill(form.bill)
    if before.bill.state is BillState.OPEN:
        request = Pay(
            id=form.leg, bill=form.bill, channel=form.channel, amount=amount, code=form.code
        )
        await billing.pay(request)
    return Go(f"{COUNTER}?encounter={form.encounter}", said=await _said(viewer, billing, form.bill))


def _money(text: str) -> Money | None:
    if not text.strip():
        return None
    try:
        return Money.of_yuan(text.strip())
    except (InvalidOperation, ValueError):
        raise AmountUnreadable from None


async def _said(viewer: Viewer, billing: Billing, bill: BillId) -> str:
    sheet = await billing.bill(bill)
    if sheet.bill.state is BillState.SETTLED:
        paid, receipt = sheet.bill.paid, sheet.bill.receipt
        return viewer.say(f"已收款 {paid}，票据 {receipt}", f"Took {paid}, receipt {receipt}")
    if sheet.bill.undecided is not None:
        return viewer.say("正在确认收款", "Asking the channel")
    return viewer.say(f"还需收 {sheet.outstanding}", f"{sheet.outstanding} still to pay")


@action("/billing/void", title="作废账单", permission="billing.settle")
async def void(viewer: Viewer, encounter: EncounterId, bill: BillId, billing: Billing) -> Go:
    await billing.void_bill(bill, "收款员作废")
    return Go(
        f"{COUNTER}?encounter={encounter}",
        said=viewer.say("账单已作废，费用仍待缴", "Bill voided; the charges still wait"),
    )


@page("/billing/receipts/{bill}", title="票据", title_en="Receipt", permission="billing.read")
async def receipt(bill: BillId, billing: Billing) -> View:
    """The receipt as it is printed, with what became of earlier numbers."""
    return view(
        "receipt.html",
        sheet=await billing.bill(bill),
        receipts=await billing.receipts(bill),
        refunds=await billing.refunds(bill),
    )


@action("/billing/replace-receipt", title="换票", permission="billing.settle")
async def replace_receipt(viewer: Viewer, bill: BillId, reason: Plain, billing: Billing) -> Go:
    fresh = await billing.replace_receipt(bill, reason)
    return Go(
        f"/billing/receipts/{bill}",
        said=viewer.say(
            f"原号作废，新票据 {fresh.text}", f"Old number void, new receipt {fresh.text}"
        ),
    )

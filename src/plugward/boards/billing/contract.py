"""Billing 收费: what a patient owes, what was paid, by which channel, and under which number.

Priced facts arrive on the account 费用账户 of a visit and wait. The cashier puts chosen ones on a
bill 账单, which holds the drugs first, and takes the money in one or several legs: cash, or a
channel outside the hospital. A channel that does not answer leaves the leg *unknown*: it is asked
by its own serial number until it is paid, declined or reversed, and nobody is charged again before
that. A settled bill has a receipt number without gaps. Money goes back by the leg it came from,
never more than is left of the item and of the leg. Nothing is ever edited: corrections are added.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import (
    Conflict,
    Event,
    Identifying,
    Invalid,
    Message,
    NotFound,
    Plain,
    Secret,
    command,
    contract,
    query,
)
from plugward.kit.money import ZERO, Money, UnitPrice
from plugward.kit.time import Instant
from plugward.vocabulary import (
    BillId,
    CampusCode,
    ChargeId,
    EncounterId,
    InsuranceClass,
    PatientId,
    Sex,
)

LegId = NewType("LegId", UUID)
RefundId = NewType("RefundId", UUID)
CloseId = NewType("CloseId", UUID)


class Category(StrEnum):
    """费用类别."""

    DRUG = "drug"  # 药品
    LAB = "lab"  # 检验
    EXAM = "exam"  # 检查
    TREATMENT = "treatment"  # 治疗
    CONSUMABLE = "consumable"  # 耗材
    REGISTRATION = "registration"  # 挂号诊查
    OTHER = "other"  # 其他


class LineState(StrEnum):
    """Every charge is in exactly one of these."""

    PENDING = "pending"  # 待结算
    SETTLED = "settled"  # 已结算
    REFUNDING = "refunding"  # 退费中
    REFUNDED = "refunded"  # 已退费
    WRITTEN_OFF = "written-off"  # 已核销（付款前撤回）


class BillState(StrEnum):
    OPEN = "open"  # 收款中
    SETTLED = "settled"  # 已结算
    VOIDED = "voided"  # 已作废


class Channel(StrEnum):
    """How money comes and goes."""

    CASH = "cash"  # 现金
    PHONE = "phone"  # 扫码付
    CARD = "card"  # 银行卡
    ACCOUNT = "account"  # 医保个人账户
    FUND = "fund"  # 统筹基金（模拟）


class LegState(StrEnum):
    """What is known of one movement of money."""

    ASKED = "asked"  # 已发往渠道
    UNKNOWN = "unknown"  # 渠道未应答
    PAID = "paid"  # 成功
    DECLINED = "declined"  # 渠道拒绝
    REVERSED = "reversed"  # 已冲正，未收款


class RefundState(StrEnum):
    REFUNDING = "refunding"  # 退费中
    STUCK = "stuck"  # 渠道拒绝退款，待人工
    DONE = "done"  # 已退


class DueReason(StrEnum):
    """Why money is owed to the patient."""

    RETURNED = "returned"  # 退药
    UNSUPPLIED = "unsupplied"  # 缺药
    WITHDRAWN = "withdrawn"  # 医嘱撤回、退号


class ReceiptState(StrEnum):
    VALID = "valid"  # 有效
    VOIDED = "voided"  # 已作废，号码保留


class AccountLine(Message):
    """One charge on a visit's account. ``amount = fund + supplement + self_pay``, as pricing split
    it. It can be refunded in ``units`` equal parts; ``refundable`` of them are left."""

    id: ChargeId
    encounter: EncounterId
    campus: CampusCode
    line: UUID | None  # the order line or appointment it comes from
    category: Category
    item: Plain
    name_zh: Plain
    name_en: Plain
    unit: Plain
    quantity: Decimal
    unit_price: UnitPrice
    price_version: int
    amount: Money
    insurance_class: InsuranceClass
    self_ratio: Decimal
    fund: Money
    supplement: Money
    self_pay: Money
    units: int
    state: LineState
    performed_at: Instant
    bill: BillId | None = None
    refundable: int = 0
    refunded: int = 0
    freed: int = 0  # units that came back or were never supplied: may go back without asking
    given_up: int = 0  # units the pharmacy will never hand out
    is_withdrawn: bool = False  # the order is withdrawn: the money is owed, or never asked for
    is_performed: bool = False  # done already: the money stays
    moves: int = 1  # how often its state has moved; the history has as many rows


class Party(Message):
    """Whose visit it is, as the cashier sees it."""

    encounter: EncounterId
    campus: CampusCode
    patient: PatientId | None = None
    name: Identifying = ""
    department: Plain = ""
    doctor_name: Plain = ""
    sex: Sex = Sex.UNKNOWN
    birth_date: date | None = None


class Leg(Message):
    """One movement of money: positive to the hospital, negative back to the patient.

    ``serial`` is our own number for it at the channel; ``refundable`` is what is left of it.
    """

    id: LegId
    bill: BillId
    encounter: EncounterId
    campus: CampusCode
    channel: Channel
    amount: Money
    serial: Plain
    state: LegState
    asked_at: Instant
    asked_by: Plain
    refund: RefundId | None = None
    original: LegId | None = None  # the leg a refund goes back by
    decided_at: Instant | None = None
    channel_no: Plain = ""  # the channel's own number for it
    note: Plain = ""
    tries: int = 0
    refundable: Money = ZERO
    is_to_reverse: bool = False  # a person wants it undone
    closed_in: CloseId | None = None


class Bill(Message):
    """Chosen charges that are paid together.

    ``total + rounding = fund + supplement + what the patient paid``; rounding is cash's only.
    """

    id: BillId
    encounter: EncounterId
    campus: CampusCode
    state: BillState
    total: Money
    fund: Money
    supplement: Money
    self_pay: Money
    opened_at: Instant
    opened_by: Plain
    expires_at: Instant
    cashier: Plain = ""  # the name of who opened it, for those who find it taken
    paid: Money = ZERO  # by the patient, as far as it is certain
    undecided: LegId | None = None  # the leg we wait for; nothing else is asked for meanwhile
    rounding: Money = ZERO
    settled_at: Instant | None = None
    settled_by: Plain = ""
    receipt: Plain = ""
    reason: Plain = ""  # why it was voided


class BillSheet(Message):
    """A bill with its lines and legs. ``outstanding`` is what is still to be asked for."""

    bill: Bill
    lines: tuple[AccountLine, ...]
    legs: tuple[Leg, ...]
    outstanding: Money


class Account(Message):
    """What a visit owes. While ``awaited`` facts have no price yet, the sum is not final
    (费用生成中) and must not be shown as zero."""

    encounter: EncounterId
    lines: tuple[AccountLine, ...]
    awaited: int
    bills: tuple[Bill, ...]
    party: Party | None = None


class OpenBill(Message):
    """A request to put these charges on one bill. The caller picks ``id``."""

    id: BillId
    encounter: EncounterId
    campus: CampusCode
    charges: tuple[ChargeId, ...]
    cashier: Plain = ""


class Pay(Message):
    """A request to take money. Without an amount: everything that is outstanding.

    ``code`` is what the payer showed (payment code, card); it is passed on and never kept.
    """

    id: LegId
    bill: BillId
    channel: Channel
    amount: Money | None = None
    code: Secret = ""


class Asked(Message):
    """The leg was taken (cash) or is on its way (channels). What became of it is in ``bill``."""

    leg: LegId
    bill: BillId
    channel: Channel
    amount: Money
    serial: Plain


class RefundPart(Message):
    charge: ChargeId
    units: int


class AskRefund(Message):
    """A request to pay back parts of a settled bill. The caller picks ``id``."""

    id: RefundId
    bill: BillId
    parts: tuple[RefundPart, ...]
    reason: Plain


class RefundLine(Message):
    """What goes back for one charge: the item's own shares."""

    charge: ChargeId
    line: UUID | None
    category: Category
    item: Plain
    units: int
    amount: Money
    fund: Money
    supplement: Money
    self_pay: Money


class Refund(Message):
    """Money on its way back. ``self_pay + rounding`` is the sum of its legs to the patient."""

    id: RefundId
    bill: BillId
    encounter: EncounterId
    campus: CampusCode
    number: Plain
    state: RefundState
    amount: Money
    fund: Money
    supplement: Money
    self_pay: Money
    rounding: Money
    lines: tuple[RefundLine, ...]
    reason: Plain
    asked_by: Plain
    asked_at: Instant
    done_at: Instant | None = None


class RefundDue(Message):
    """Money owed to a patient, and why: work for the cashier until ``left`` is zero."""

    id: UUID
    charge: ChargeId
    bill: BillId
    encounter: EncounterId
    campus: CampusCode
    name_zh: Plain
    reason: DueReason
    units: int
    left: int
    since: Instant


class Receipt(Message):
    """A numbered receipt. Numbers of one campus and series have no gaps; a spoilt one keeps its."""

    campus: CampusCode
    series: Plain  # S settlement 收费, R refund 退费
    number: int
    text: Plain
    bill: BillId
    encounter: EncounterId
    amount: Money
    state: ReceiptState
    issued_at: Instant
    issued_by: Plain
    refund: RefundId | None = None
    reason: Plain = ""
    replaced_by: Plain = ""


class CloseLine(Message):
    """What one channel took and gave back."""

    channel: Channel
    taken: Money
    taken_count: int
    returned: Money
    returned_count: int


class DayClose(Message):
    """A cashier's closing 日结: everything decided since the last one, once."""

    id: CloseId
    campus: CampusCode
    number: Plain
    cashier: Plain
    closed_at: Instant
    lines: tuple[CloseLine, ...]
    cash_due: Money  # to be handed in
    undecided: int  # legs that stay open for a later closing


class ChannelAction(StrEnum):
    CHARGE = "charge"  # 收款
    QUERY = "query"  # 按商户流水号查询
    REVERSE = "reverse"  # 冲正：收款从未发生
    REFUND = "refund"  # 原路退款


class ChannelOutcome(StrEnum):
    PAID = "paid"  # 已收款
    DECLINED = "declined"  # 未收款，且不会再收
    PENDING = "pending"  # 付款人确认中
    NOT_FOUND = "not-found"  # 渠道没有这笔流水
    REVERSED = "reversed"  # 已冲正
    REFUNDED = "refunded"  # 已退款


class ChannelRequest(Message):
    """What is sent to the payment channel (outside service ``payment-channel``).

    ``serial`` names the movement and makes asking twice asking once.
    """

    action: ChannelAction
    serial: Plain
    channel: Channel
    amount: Money
    code: Secret = ""
    original: Plain = ""  # of a refund: the serial of the charge


class ChannelAnswer(Message):
    serial: Plain
    outcome: ChannelOutcome
    channel_no: Plain = ""
    note: Plain = ""


class ChannelNotice(Message):
    """What the channel tells by itself: perhaps early, late or five times."""

    serial: Plain
    outcome: ChannelOutcome
    amount: Money
    channel_no: Plain = ""


class PaidLine(Message):
    """A settled line as others need it: ``line`` is their own order line or appointment."""

    charge: ChargeId
    line: UUID | None
    category: Category
    item: Plain
    quantity: Decimal
    amount: Money


class BillSettled(Event, tag="billing.bill.settled.v1", key="bill.encounter"):
    """The bill is paid. Paid lines may be dispensed and performed."""

    bill: Bill
    lines: tuple[PaidLine, ...]
    legs: tuple[Leg, ...]


class BillVoided(Event, tag="billing.bill.voided.v1", key="bill.encounter"):
    """The bill ended unpaid; its lines are pending again and nothing needs to be held for them."""

    bill: Bill
    lines: tuple[PaidLine, ...]


class PaymentDecided(Event, tag="billing.payment.decided.v1", key="leg.encounter"):
    """A leg got its definite answer: paid, declined or reversed."""

    leg: Leg


class PaymentUnknown(Event, tag="billing.payment.unknown.v1", key="leg.encounter"):
    """The channel does not answer. It is asked again by its serial until it does."""

    leg: Leg


class RefundOwed(Event, tag="billing.refund.owed.v1", key="due.encounter"):
    """Money is owed to the patient; a cashier has it on the list."""

    due: RefundDue


class RefundMade(Event, tag="billing.refund.made.v1", key="refund.encounter"):
    """The money is back where it came from."""

    refund: Refund
    legs: tuple[Leg, ...]


class DayClosed(Event, tag="billing.day.closed.v1", key="close.campus"):
    close: DayClose


class BillNotFound(NotFound):
    """没有这张账单。"""


class LegNotFound(NotFound):
    """没有这笔款项。"""


class ChargeNotFound(NotFound):
    """所选费用不存在，或不属于本次就诊。"""


class NothingChosen(Invalid):
    """没有选择费用，或数量不是正数。"""


class ChargeNotPayable(Conflict):
    """{name} 当前状态为“{state}”，不能再次收费。"""

    name: Plain
    state: LineState


class ChargeTaken(Conflict):
    """{name} 已由 {by} 于 {at} 放入另一张账单收款。"""

    name: Plain
    by: Plain
    at: Instant
    bill: BillId


class AlreadySettled(Conflict):
    """该账单已由 {by} 于 {at} 收款，票据号 {receipt}。"""

    by: Plain
    at: Instant
    receipt: Plain


class BillVoid(Conflict):
    """该账单已作废，请重新选择费用。"""


class MoneyOnBill(Conflict):
    """该账单正在收取款项，渠道答复之前不能作废。"""


class PaymentUndecided(Conflict):
    """上一笔 {amount} 尚未得到渠道答复，系统正在按流水号 {serial} 查询，请勿重复收款。"""

    amount: Plain
    serial: Plain
    leg: LegId


class WrongAmount(Conflict):
    """金额 {amount} 不正确，待收 {outstanding}。"""

    amount: Plain
    outstanding: Plain


class CashStep(Invalid):
    """现金金额须为 {step_fen} 分的整数倍，或为全部待收金额。"""

    step_fen: int


class WrongChannel(Invalid):
    """该渠道不能用于收款。"""


class NotSettled(Conflict):
    """该账单尚未结算，不能退费。"""


class NothingLeft(Conflict):
    """{name} 已无可退：可退 {left}，要求退 {asked}。"""

    charge: ChargeId
    name: Plain
    left: int
    asked: int


class LegSpent(Conflict):
    """原支付渠道可退余额不足，不能退费。"""


class AlreadyPerformed(Conflict):
    """{name} 已执行，不能退费。"""

    charge: ChargeId
    name: Plain


class LegDecided(Conflict):
    """该款项已有结果（{state}），无需处理。"""

    state: LegState


class NoticeMismatch(Conflict):
    """渠道通知的金额 {told} 与流水 {serial} 的金额不符。"""

    serial: Plain
    told: Plain


class NothingToClose(Conflict):
    """没有可日结的款项。"""


class ReceiptNotFound(NotFound):
    """没有这张票据。"""


@contract("billing")
class Billing(Protocol):
    """Taking money for what was priced, and giving it back."""

    @query(permission="billing.read")
    async def account(self, encounter: EncounterId) -> Account:
        """A visit's charges (at most 500), oldest first, its bills, and how many facts still wait
        for a price. An unknown visit has an empty account."""
        ...

    @query(permission="billing.read")
    async def accounts_of(self, patient: PatientId, limit: int = 10) -> tuple[Account, ...]:
        """The accounts of a patient's visits, the newest first, at most 20."""
        ...

    @query(permission="billing.read")
    async def waiting(self, campus: CampusCode, limit: int = 50) -> tuple[Party, ...]:
        """Visits of a campus with charges to be paid, who waited longest first, at most 200."""
        ...

    @command(permission="billing.settle")
    async def open_bill(self, request: OpenBill) -> Bill:
        """Put charges on a bill and hold its drugs. If the patient owes nothing of it, it is
        settled at once. Refuses with ``NothingChosen``, ``ChargeNotFound``, ``ChargeNotPayable``,
        ``ChargeTaken`` (who and when), or with the pharmacy's ``OutOfStock``."""
        ...

    @command(permission="billing.settle")
    async def pay(self, request: Pay) -> Asked:
        """Take money for a bill. When all of it is in, the bill is settled and has its receipt.

        Refuses with ``BillNotFound``, ``BillVoid``, ``AlreadySettled`` (who and when),
        ``PaymentUndecided``, ``WrongAmount``, ``CashStep`` or ``WrongChannel``."""
        ...

    @command(permission="billing.settle")
    async def void_bill(self, bill: BillId, reason: Plain) -> Bill:
        """End an unpaid bill. What came in already goes back the way it came. Refuses with
        ``BillNotFound``, ``AlreadySettled``, or ``MoneyOnBill`` while a leg is undecided."""
        ...

    @query(permission="billing.read")
    async def bill(self, bill: BillId) -> BillSheet:
        """A bill with its lines and legs. Refuses with ``BillNotFound``."""
        ...

    @command(permission="billing.refund")
    async def refund(self, request: AskRefund) -> Refund:
        """Pay back parts of a settled bill, each by the leg it came from. Drugs that were not
        handed out are stopped first; those that were must come back first.

        Refuses with ``BillNotFound``, ``NotSettled``, ``NothingChosen``, ``ChargeNotFound``,
        ``NothingLeft``, ``LegSpent``, ``AlreadyPerformed`` or the pharmacy's
        ``AlreadyDispensed``."""
        ...

    @query(permission="billing.read")
    async def refunds(self, bill: BillId) -> tuple[Refund, ...]:
        """What was paid back of a bill, oldest first, at most 100."""
        ...

    @query(permission="billing.refund")
    async def refunds_due(self, campus: CampusCode, limit: int = 50) -> tuple[RefundDue, ...]:
        """Money owed to patients of a campus, the oldest first, at most 200."""
        ...

    @query(permission="billing.resolve")
    async def unresolved(self, campus: CampusCode, limit: int = 50) -> tuple[Leg, ...]:
        """Legs without a definite answer, and refunds the channel declined, the oldest first, at
        most 200: each with its owner, age and serial."""
        ...

    @command(permission="billing.resolve")
    async def ask_again(self, leg: LegId) -> Asked:
        """Ask the channel about an undecided leg now. Refuses with ``LegNotFound`` or
        ``LegDecided``."""
        ...

    @command(permission="billing.resolve")
    async def reverse(self, leg: LegId) -> Asked:
        """Have the channel undo an undecided charge, so that it never happened. Refuses with
        ``LegNotFound`` or ``LegDecided``."""
        ...

    @command(permission="billing.notify")
    async def notice(self, notice: ChannelNotice) -> Asked:
        """The channel says what became of a leg. Told twice or late it changes nothing more.

        Refuses with ``LegNotFound`` or ``NoticeMismatch``."""
        ...

    @command(permission="billing.settle")
    async def replace_receipt(self, bill: BillId, reason: Plain) -> Receipt:
        """A spoilt receipt is voided and keeps its number; a new one is issued. Refuses with
        ``ReceiptNotFound``."""
        ...

    @query(permission="billing.read")
    async def receipts(self, bill: BillId) -> tuple[Receipt, ...]:
        """The receipts of a bill, voided ones too, at most 50."""
        ...

    @query(permission="billing.settle")
    async def day_so_far(self, campus: CampusCode) -> DayClose:
        """What the caller would close now."""
        ...

    @command(permission="billing.settle")
    async def close_day(self, close: CloseId, campus: CampusCode) -> DayClose:
        """Close what the caller took and gave back since the last closing. Refuses with
        ``NothingToClose``."""
        ...

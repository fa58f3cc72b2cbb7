"""What billing does. Each public method is one step of taking money or giving it back."""

from datetime import timedelta

from plugward.boards.pharmacy import contract as pharmacy
from plugward.boards.pharmacy.contract import Pharmacy
from plugward.kernel import (
    ChangedMeanwhile,
    Plain,
    Reading,
    Refusal,
    Sagas,
    Settings,
    Store,
    Work,
    in_work,
    reading,
)
from plugward.kit.ids import derive
from plugward.vocabulary import (
    BillId,
    CampusCode,
    ChargeId,
    ChargeRequest,
    EncounterId,
    OrderLineId,
    PatientId,
)

from ..contract import (
    Account,
    AccountLine,
    Asked,
    AskRefund,
    Bill,
    Billing,
    BillSheet,
    BillState,
    Category,
    Channel,
    ChannelNotice,
    CloseId,
    DayClose,
    DueReason,
    Leg,
    LegId,
    LegState,
    LineState,
    OpenBill,
    Party,
    Pay,
    Receipt,
    Refund,
    RefundDue,
    RefundId,
    RefundPart,
)
from ..rules import UNDECIDED, needs_stopping
from ..tables import bills, dues, legs, lines, parties, persons
from . import accounts, billing, money, numbers, refunding
from .accounts import Human, Visit

EXPIRED_AT_ONCE_MAX = 100
REFUNDED_AT_ONCE_MAX = 50
REINSTATED_WITHIN = timedelta(seconds=20)
NOBODY_PAID = "超时未付款"
WITHDRAWN = "医嘱撤回"


class BillingService(Billing):
    def __init__(self, store: Store, settings: Settings, sagas: Sagas, pharmacy: Pharmacy) -> None:
        self.store = store
        self._sagas = sagas
        self._pharmacy = pharmacy
        self._hold = timedelta(minutes=settings["bill_minutes"])
        self._cash_step_fen = settings["cash_step_fen"]
        self._refunds_by_itself = settings["refund_by_itself"]

    # ── the account ─────────────────────────────────────────────────────────────────────────
    @in_work
    def await_price(self, work: Work, wanted: tuple[ChargeRequest, ...]) -> None:
        """Facts wait for a price: until then the account says so."""
        accounts.await_price(work, wanted)

    @in_work
    def stop_awaiting(self, work: Work, line: OrderLineId) -> None:
        accounts.stop_awaiting(work, line)

    @in_work
    def add_charge(self, work: Work, charge: AccountLine) -> None:
        accounts.add(work, charge)

    @in_work
    def withdraw_charge(self, work: Work, charge: ChargeId) -> None:
        """The order behind a charge is withdrawn. An unpaid bill it stands on ends."""
        line = accounts.charge_of(work, charge)
        if line.is_withdrawn:
            return
        if line.bill is not None:
            bill = billing.bill_of(work, line.bill)
            if bill.state is BillState.OPEN and not bill.paid and bill.undecided is None:
                billing.void(work, bill, WITHDRAWN)
                line = accounts.charge_of(work, charge)
        accounts.withdraw(work, line)

    @in_work
    def withdraw_line(self, work: Work, order_line: OrderLineId) -> None:
        """The money for this line belongs to the patient, whatever pricing says of it."""
        for line in work.find(lines, AccountLine, limit=10, line=order_line):
            if not line.is_withdrawn and line.state is LineState.SETTLED:
                accounts.withdraw(work, line)

    @in_work
    def free_units(
        self, work: Work, parts: tuple[tuple[OrderLineId, int], ...], reason: DueReason
    ) -> None:
        for line, units in parts:
            accounts.free_units(work, line, units, reason)

    @in_work
    def note_seen(self, work: Work, encounter: EncounterId) -> None:
        """The doctor has seen the patient: the registration fee stays."""
        fees = work.find(
            lines, AccountLine, limit=20, encounter=encounter, category=Category.REGISTRATION
        )
        for fee in fees:
            work.update(lines, before=fee, after=fee.replace(is_performed=True))

    @in_work
    def note_performed(self, work: Work, order_lines: tuple[OrderLineId, ...]) -> None:
        """These orders are being carried out: their money stays."""
        for line in work.find(lines, AccountLine, limit=200, line=order_lines):
            work.update(lines, before=line, after=line.replace(is_performed=True))

    @in_work
    def note_visit(self, work: Work, visit: Visit) -> None:
        work.save_copy(parties, visit)

    @in_work
    def note_human(self, work: Work, human: Human) -> None:
        work.save_copy(persons, human)

    @reading
    def account(self, read: Reading, encounter: EncounterId) -> Account:
        return accounts.account(read, encounter)

    @reading
    def accounts_of(
        self, read: Reading, patient: PatientId, limit: int = 10
    ) -> tuple[Account, ...]:
        return accounts.accounts_of(read, patient, max(1, min(limit, 20)))

    @reading
    def waiting(self, read: Reading, campus: CampusCode, limit: int = 50) -> tuple[Party, ...]:
        return accounts.waiting(read, campus, max(1, min(limit, 200)))

    # ── bills ───────────────────────────────────────────────────────────────────────────────
    async def open_bill(self, request: OpenBill) -> Bill:
        drugs = await self._drugs_of(request)
        if drugs:
            await self._pharmacy.reserve(
                pharmacy.ReserveLines(
                    bill=request.id,
                    encounter=request.encounter,
                    campus=request.campus,
                    lines=drugs,
                )
            )
        try:
            return await self._open(request)
        except ChangedMeanwhile:
            await self._drugs_of(request)  # says who was quicker
            raise

    @reading
    def _drugs_of(self, read: Reading, request: OpenBill) -> tuple[OrderLineId, ...]:
        if read.get_or_none(bills, Bill, request.id) is not None:
            return ()
        found = billing.drugs_of(billing.chosen(read, request))
        return tuple(OrderLineId(line.line) for line in found if line.line is not None)

    @in_work
    def _open(self, work: Work, request: OpenBill) -> Bill:
        return billing.open_bill(work, request, hold=self._hold)

    async def pay(self, request: Pay) -> Asked:
        try:
            asked = await self._take(request)
        except ChangedMeanwhile:
            await self._check_payable(request.bill)  # says who was quicker
            raise
        if asked.channel is not Channel.CASH:
            await self._sagas.push(asked.leg, given=request)
        return asked

    @in_work
    def _take(self, work: Work, request: Pay) -> Asked:
        return money.take(work, request, cash_step_fen=self._cash_step_fen)

    @reading
    def _check_payable(self, read: Reading, bill: BillId) -> None:
        found = billing.bill_of(read, bill)
        billing.check_open(found)
        money.check_decided(read, found)

    @in_work
    def void_bill(self, work: Work, bill: BillId, reason: Plain) -> Bill:
        found = billing.bill_of(work, bill)
        if found.paid and found.state is BillState.OPEN:
            return refunding.void_and_return(work, found, reason)
        return billing.void(work, found, reason)

    @reading
    def bill(self, read: Reading, bill: BillId) -> BillSheet:
        return billing.sheet(read, bill)

    async def end_unpaid(self) -> None:
        """Bills nobody pays end by themselves; cash on them waits for a cashier."""
        for bill in await self._unpaid():
            await self._end(bill)

    @reading
    def _unpaid(self, read: Reading) -> tuple[BillId, ...]:
        found = read.find(
            bills,
            Bill,
            bills.c.expires_at <= read.now,
            limit=EXPIRED_AT_ONCE_MAX,
            order_by="expires_at",
            state=BillState.OPEN,
            undecided=None,
        )
        return tuple(bill.id for bill in found)

    @in_work
    def _end(self, work: Work, bill: BillId) -> None:
        found = billing.bill_of(work, bill)
        if found.state is not BillState.OPEN or found.undecided is not None:
            return
        if not found.paid:
            billing.void(work, found, NOBODY_PAID)
        elif not work.count(legs, bill=bill, channel=Channel.CASH):
            refunding.void_and_return(work, found, NOBODY_PAID)

    # ── legs ────────────────────────────────────────────────────────────────────────────────
    @reading
    def leg(self, read: Reading, leg: LegId) -> Leg:
        """One leg (for the sagas)."""
        return money.leg_of(read, leg)

    @in_work
    def decide(self, work: Work, leg: LegId, state: LegState, channel_no: str, note: str) -> None:
        money.decide(work, leg, state, channel_no=channel_no, note=note)

    @in_work
    def mark_unknown(self, work: Work, leg: LegId, tries: int, note: str) -> None:
        money.mark_unknown(work, leg, tries, note)

    @reading
    def unresolved(self, read: Reading, campus: CampusCode, limit: int = 50) -> tuple[Leg, ...]:
        return numbers.undecided_legs(read, campus, max(1, min(limit, 200)))

    async def ask_again(self, leg: LegId) -> Asked:
        asked = await self._ask_again(leg)
        await self._sagas.push(leg, now=True)
        return asked

    @in_work
    def _ask_again(self, work: Work, leg: LegId) -> Asked:
        return money.ask_again(work, leg)

    async def reverse(self, leg: LegId) -> Asked:
        asked = await self._reverse(leg)
        await self._sagas.push(leg, now=True)
        return asked

    @in_work
    def _reverse(self, work: Work, leg: LegId) -> Asked:
        return money.reverse(work, leg)

    @in_work
    def notice(self, work: Work, notice: ChannelNotice) -> Asked:
        return money.notice(work, notice)

    # ── refunds ─────────────────────────────────────────────────────────────────────────────
    async def refund(self, request: AskRefund) -> Refund:
        planned = await self._plan(request)
        stops = tuple(
            pharmacy.LineQuantity(line=OrderLineId(line.line), quantity=line.given_up + more)
            for line, units in planned
            if billing.drugs_of((line,))
            and line.line is not None
            and (more := needs_stopping(line, units))
        )
        if stops:
            encounter = planned[0][0].encounter
            await self._pharmacy.give_up(pharmacy.GiveUp(encounter=encounter, lines=stops))
        refund = await self._refund(request)
        for leg in await self._on_their_way(refund.id):
            await self._sagas.push(leg)
        return refund

    @reading
    def _plan(self, read: Reading, request: AskRefund) -> tuple[tuple[AccountLine, int], ...]:
        return refunding.plan(read, request)

    @in_work
    def _refund(self, work: Work, request: AskRefund) -> Refund:
        return refunding.make(work, request, cash_step_fen=self._cash_step_fen)

    @reading
    def _on_their_way(self, read: Reading, refund: RefundId) -> tuple[LegId, ...]:
        found = read.find(legs, Leg, limit=100, refund=refund, state=UNDECIDED)
        return tuple(leg.id for leg in found)

    @reading
    def refunds(self, read: Reading, bill: BillId) -> tuple[Refund, ...]:
        return refunding.of_bill(read, bill)

    @reading
    def refunds_due(
        self, read: Reading, campus: CampusCode, limit: int = 50
    ) -> tuple[RefundDue, ...]:
        size = max(1, min(limit, 200))
        return read.find(
            dues, RefundDue, dues.c.left > 0, limit=size, order_by="since", campus=campus
        )

    async def refund_what_is_owed(self) -> None:
        """What was paid by channels only goes back by itself; cash waits for the patient."""
        if not self._refunds_by_itself:
            return
        for due in await self._payable_dues():
            part = RefundPart(charge=due.charge, units=due.left)
            request = AskRefund(
                id=RefundId(derive(due.id, "by itself", due.left)),
                bill=due.bill,
                parts=(part,),
                reason=due.reason.value,
            )
            try:
                await self.refund(request)
            except Refusal:
                continue  # stays on the cashier's list, with its reason

    @reading
    def _payable_dues(self, read: Reading) -> tuple[RefundDue, ...]:
        # An appointment that was paid late may be reinstated in the next moment.
        found = read.find(
            dues,
            RefundDue,
            dues.c.left > 0,
            dues.c.since <= read.now - REINSTATED_WITHIN,
            limit=REFUNDED_AT_ONCE_MAX,
            order_by="since",
        )
        return tuple(
            due for due in found if not read.count(legs, bill=due.bill, channel=Channel.CASH)
        )

    # ── numbers ─────────────────────────────────────────────────────────────────────────────
    @in_work
    def replace_receipt(self, work: Work, bill: BillId, reason: Plain) -> Receipt:
        found = billing.bill_of(work, bill)
        fresh = numbers.replace(work, found, reason)
        work.update(bills, before=found, after=found.replace(receipt=fresh.text))
        return fresh

    @reading
    def receipts(self, read: Reading, bill: BillId) -> tuple[Receipt, ...]:
        return numbers.of_bill(read, bill)

    @reading
    def day_so_far(self, read: Reading, campus: CampusCode) -> DayClose:
        return numbers.so_far(read, campus)

    @in_work
    def close_day(self, work: Work, close: CloseId, campus: CampusCode) -> DayClose:
        return numbers.close(work, close, campus)

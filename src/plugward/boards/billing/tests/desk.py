"""The cashier's desk for tests: a patient's account, a payment channel with moods, a bench."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from plugward.boards.billing.board import board
from plugward.boards.billing.contract import (
    AskRefund,
    Billing,
    BillSheet,
    Channel,
    ChannelAction,
    ChannelAnswer,
    ChannelOutcome,
    ChannelRequest,
    LegId,
    OpenBill,
    Pay,
    Refund,
    RefundId,
    RefundPart,
)
from plugward.boards.pharmacy.fakes import FakePharmacy
from plugward.boards.pricing.contract import (
    CancelReason,
    Charge,
    ChargeCancelled,
    ChargeCategory,
    ChargeCreated,
    ChargeState,
)
from plugward.kernel import Unavailable
from plugward.kernel.testing import Bench, Transport
from plugward.kit.ids import new_id
from plugward.kit.money import Money, UnitPrice
from plugward.vocabulary import (
    BillId,
    CampusCode,
    ChargeId,
    EncounterId,
    InsuranceClass,
    OrderLineId,
)

C1 = CampusCode("C1")
PERFORMED_AT = datetime(2026, 3, 2, 2, 26, tzinfo=UTC)


class FakeChannel:
    """A payment channel that keeps its own books, whatever it answers.

    ``silent`` actions are carried out and not answered; ``deaf`` ones never arrive.
    """

    def __init__(self) -> None:
        self.books: dict[str, ChannelOutcome] = {}
        self.amounts: dict[str, Money] = {}
        self.seen: list[ChannelRequest] = []
        self.silent: set[ChannelAction] = set()
        self.deaf: set[ChannelAction] = set()
        self.declines: set[ChannelAction] = set()
        self.pending = False
        self.before_answer: Callable[[ChannelRequest], Awaitable[None]] | None = None

    @property
    def balance(self) -> int:
        """What the channel owes the hospital, in fen."""
        signs = {ChannelOutcome.PAID: 1, ChannelOutcome.REFUNDED: -1}
        return sum(
            signs.get(state, 0) * self.amounts[serial].fen for serial, state in self.books.items()
        )

    def asked(self, action: ChannelAction) -> int:
        return sum(request.action is action for request in self.seen)

    async def send(self, service: str, body: Any, answer: type[Any]) -> Any:
        assert service == "payment-channel"
        assert answer is ChannelAnswer
        self.seen.append(body)
        if body.action in self.deaf:
            raise Unavailable(service, "time-out")
        outcome = self._carry_out(body)
        if self.before_answer is not None:
            await self.before_answer(body)
        if body.action in self.silent:
            raise Unavailable(service, "time-out")
        return ChannelAnswer(serial=body.serial, outcome=outcome, channel_no=f"CH{body.serial[:8]}")

    def _carry_out(self, body: ChannelRequest) -> ChannelOutcome:
        known = self.books.get(body.serial)
        if body.action is ChannelAction.QUERY:
            return known or ChannelOutcome.NOT_FOUND
        if body.action is ChannelAction.REVERSE:
            self.books[body.serial] = ChannelOutcome.REVERSED
            self.amounts[body.serial] = body.amount
            return ChannelOutcome.REVERSED
        if known is not None:
            return known
        self.amounts[body.serial] = body.amount
        self.books[body.serial] = self._new(body)
        return self.books[body.serial]

    def _new(self, body: ChannelRequest) -> ChannelOutcome:
        if body.action in self.declines:
            return ChannelOutcome.DECLINED
        if body.action is ChannelAction.REFUND:
            return ChannelOutcome.REFUNDED
        return ChannelOutcome.PENDING if self.pending else ChannelOutcome.PAID


def desk_bench(transport: Transport, channel: FakeChannel | None = None) -> Bench:
    pharmacy = FakePharmacy()  # type: ignore[abstract]  # it has what billing calls
    bench = Bench(board, fakes=[pharmacy], transport=transport, now="2026-03-02 10:30")
    bench.runtime.outside = channel or FakeChannel()
    return bench


class Account:
    """MR ZHOU's visit: what was priced for him."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.encounter = EncounterId(new_id())
        self.charges: dict[str, Charge] = {}

    @property
    def billing(self) -> Billing:
        return self.bench.client(Billing)

    @property
    def channel(self) -> FakeChannel:
        found = self.bench.runtime.outside
        assert isinstance(found, FakeChannel)
        return found

    def id(self, item: str) -> ChargeId:
        return self.charges[item].id

    def line(self, item: str) -> OrderLineId:
        line = self.charges[item].line
        assert line is not None
        return OrderLineId(line)

    async def price(
        self,
        item: str,
        fen: int,
        *,
        category: ChargeCategory = ChargeCategory.EXAM,
        quantity: int = 1,
        fund: int = 0,
        supplement: int = 0,
        times: int = 1,
    ) -> "Account":
        """Pricing has priced a fact of this visit."""
        charge = Charge(
            id=ChargeId(new_id()),
            campus=C1,
            encounter=self.encounter,
            line=new_id(),
            category=category,
            item=item,
            name_zh=item,
            name_en=item,
            unit="次",
            quantity=Decimal(quantity),
            unit_price=UnitPrice(yuan=round(Decimal(fen) / 100 / quantity, 4)),
            price_version=1,
            amount=Money(fen=fen),
            insurance_class=InsuranceClass.A,
            self_ratio=Decimal(0),
            fund=Money(fen=fund),
            supplement=Money(fen=supplement),
            self_pay=Money(fen=fen - fund - supplement),
            state=ChargeState.PENDING,
            performed_at=PERFORMED_AT,
            priced_at=PERFORMED_AT,
        )
        self.charges[item] = charge
        await self.bench.receive(ChargeCreated(charge=charge), times=times)
        return self

    async def cancel(self, item: str) -> None:
        await self.bench.receive(
            ChargeCancelled(charge=self.charges[item], reason=CancelReason.ORDER_WITHDRAWN)
        )

    async def reinstate(self, item: str) -> None:
        await self.bench.receive(ChargeCreated(charge=self.charges[item]))

    async def open_bill(self, *items: str, id: UUID | None = None, cashier: str = "") -> BillId:
        charges = tuple(self.id(item) for item in items or self.charges)
        bill = await self.billing.open_bill(
            OpenBill(
                id=BillId(id or new_id()),
                encounter=self.encounter,
                campus=C1,
                charges=charges,
                cashier=cashier,
            )
        )
        return bill.id

    async def pay(self, bill: BillId, channel: Channel, fen: int | None = None) -> LegId:
        amount = None if fen is None else Money(fen=fen)
        asked = await self.billing.pay(
            Pay(id=LegId(new_id()), bill=bill, channel=channel, amount=amount, code="2855")
        )
        return asked.leg

    async def settled(self, *items: str, channel: Channel = Channel.CASH) -> BillId:
        """A bill over these charges, paid."""
        bill = await self.open_bill(*items)
        await self.pay(bill, channel)
        return bill

    async def sheet(self, bill: BillId) -> BillSheet:
        return await self.billing.bill(bill)

    async def refund(self, bill: BillId, **units: int) -> Refund:
        parts = tuple(
            RefundPart(charge=self.id(item), units=count) for item, count in units.items()
        )
        return await self.billing.refund(
            AskRefund(id=RefundId(new_id()), bill=bill, parts=parts, reason="患者要求")
        )

    async def wait(self, until: str) -> None:
        """Time passes, second by second enough for every timer."""
        clock = self.bench.clock
        clock.set(until)
        await self.bench.tick()
        await self.bench.tick()

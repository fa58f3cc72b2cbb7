"""What the pharmacy does. Each public method is one step of a prescription's way."""

from datetime import timedelta

from plugward.boards.drug_store import contract as drug_store
from plugward.boards.drug_store.contract import DrugStore
from plugward.kernel import Plain, Reading, Settings, Store, Work, in_work, reading
from plugward.kit.ids import derive
from plugward.vocabulary import BillId, CampusCode, EncounterId, OrderLineId, PatientId

from ..contract import (
    DispenseTask,
    DrugReturn,
    GiveUp,
    OutOfStock,
    Person,
    Pharmacy,
    Prescription,
    PrescriptionLine,
    ReservedLines,
    ReserveLines,
    Scan,
    TakeBack,
    TaskId,
    TaskSheet,
    TaskState,
)
from ..rules import TASKS
from ..tables import drug_returns, lines, persons, prescriptions, scans, tasks
from . import dispensing, prescribing, returning
from .dispensing import Payment
from .prescribing import Drug, Holding

WAITING = (TaskState.TO_PICK, TaskState.PICKED, TaskState.CALLED)


class PharmacyService(Pharmacy):
    def __init__(self, store: Store, settings: Settings, drug_store: DrugStore) -> None:
        self.store = store
        self._drug_store = drug_store
        self._history = timedelta(days=settings["history_days"])

    # ── prescriptions arrive ────────────────────────────────────────────────────────────────
    @in_work
    def take_in(
        self, work: Work, prescription: Prescription, drugs: tuple[PrescriptionLine, ...]
    ) -> None:
        """A doctor has signed drugs."""
        prescribing.take_in(work, prescription, drugs)

    @in_work
    def withdraw(self, work: Work, line: OrderLineId) -> None:
        """The doctor takes a line back; what was not handed out never will be."""
        prescribing.withdraw(work, line)

    @in_work
    def note_drug(self, work: Work, drug: Drug) -> None:
        prescribing.note_drug(work, drug)

    @in_work
    def note_person(self, work: Work, person: Person) -> None:
        work.save_copy(persons, person)

    # ── before the money ────────────────────────────────────────────────────────────────────
    async def reserve(self, request: ReserveLines) -> ReservedLines:
        wanted = await self._wanted(request)
        holdings: tuple[Holding, ...] = ()
        if wanted:
            holdings = await self._held_for(request, wanted)
        return await self._hold(request, holdings)

    @reading
    def _wanted(self, read: Reading, request: ReserveLines) -> tuple[PrescriptionLine, ...]:
        return prescribing.lines_to_hold(read, request)

    async def _held_for(
        self, request: ReserveLines, wanted: tuple[PrescriptionLine, ...]
    ) -> tuple[Holding, ...]:
        try:
            reservation = await self._drug_store.reserve(
                drug_store.Reserve(
                    id=drug_store.ReservationId(request.bill),
                    campus=request.campus,
                    lines=tuple(prescribing.wanted(line) for line in wanted),
                )
            )
        except drug_store.OutOfStock as short:
            name = next(line.name_zh for line in wanted if line.item == short.item)
            raise OutOfStock(
                item=short.item, name=name, wanted=short.wanted, available=short.available
            ) from None
        return prescribing.holdings_of(reservation)

    @in_work
    def _hold(
        self, work: Work, request: ReserveLines, holdings: tuple[Holding, ...]
    ) -> ReservedLines:
        return prescribing.hold(work, request, holdings)

    @in_work
    def let_go(self, work: Work, bill: BillId) -> None:
        """The bill ended unpaid, or its reservation ran out."""
        prescribing.let_go(work, bill)

    # ── after the money ─────────────────────────────────────────────────────────────────────
    async def note_paid(self, payment: Payment) -> None:
        """Make sure the paid drugs are still held, then open a task for each prescription."""
        paid = await self._paid_lines(payment)
        holdings: list[Holding] = []
        for reservation in dict.fromkeys(line.reservation for line in paid):
            own = tuple(line for line in paid if line.reservation == reservation)
            holdings += await self._still_held(payment, own)
        await self._open_tasks(payment, tuple(holdings))

    @reading
    def _paid_lines(self, read: Reading, payment: Payment) -> tuple[PrescriptionLine, ...]:
        found = read.find(lines, PrescriptionLine, limit=200, id=payment.lines)
        return tuple(line for line in found if not line.paid)

    async def _still_held(
        self, payment: Payment, own: tuple[PrescriptionLine, ...]
    ) -> tuple[Holding, ...]:
        """Confirm the reservation; if it ran out meanwhile, hold again what is still there."""
        reservation = own[0].reservation
        if reservation is not None:
            try:
                confirmed = await self._drug_store.confirm(drug_store.ReservationId(reservation))
            except (drug_store.ReservationOver, drug_store.ReservationNotFound):
                pass  # ran out while the channel kept us waiting
            else:
                return prescribing.holdings_of(confirmed)
        return tuple([h for line in own for h in await self._hold_again(payment, line)])

    async def _hold_again(self, payment: Payment, line: PrescriptionLine) -> tuple[Holding, ...]:
        again = drug_store.ReservationId(derive(payment.bill, "again", line.id))
        request = drug_store.Reserve(
            id=again, campus=line.campus, lines=(prescribing.wanted(line),)
        )
        try:
            await self._drug_store.reserve(request)
        except drug_store.OutOfStock:
            return ()  # paid and not there: the task will say so, and a refund is owed
        return prescribing.holdings_of(await self._drug_store.confirm(again))

    @in_work
    def _open_tasks(self, work: Work, payment: Payment, holdings: tuple[Holding, ...]) -> None:
        dispensing.open_tasks(work, payment, holdings)

    @in_work
    def give_up(self, work: Work, request: GiveUp) -> tuple[PrescriptionLine, ...]:
        return dispensing.give_up(work, request)

    @in_work
    def pick(self, work: Work, task: TaskId) -> DispenseTask:
        return dispensing.move(
            work, dispensing.task_of(work, task), TaskState.PICKED, picked_by=work.actor.id
        )

    @in_work
    def call_next(self, work: Work, campus: CampusCode, window: Plain) -> DispenseTask:
        return dispensing.call_next(work, campus, window)

    @in_work
    def call(self, work: Work, task: TaskId, window: Plain) -> DispenseTask:
        return dispensing.call(work, dispensing.task_of(work, task), window)

    @in_work
    def miss(self, work: Work, task: TaskId) -> DispenseTask:
        return dispensing.move(work, dispensing.task_of(work, task), TaskState.MISSED)

    @in_work
    def suspend(self, work: Work, task: TaskId, reason: Plain) -> DispenseTask:
        found = dispensing.task_of(work, task)
        return dispensing.move(work, found, TaskState.SUSPENDED, reason=reason)

    @in_work
    def scan(self, work: Work, task: TaskId, code: Plain) -> Scan:
        return dispensing.scan(work, dispensing.task_of(work, task), code.strip())

    @in_work
    def dispense(self, work: Work, task: TaskId) -> DispenseTask:
        return dispensing.dispense(work, dispensing.task_of(work, task))

    @in_work
    def cannot_supply(
        self, work: Work, line: OrderLineId, quantity: int, reason: Plain
    ) -> PrescriptionLine:
        return dispensing.cannot_supply(work, line, quantity, reason)

    @in_work
    def take_back(self, work: Work, request: TakeBack) -> DrugReturn:
        return returning.take_back(work, request)

    # ── looking ─────────────────────────────────────────────────────────────────────────────
    @reading
    def queue(
        self,
        read: Reading,
        campus: CampusCode,
        states: tuple[TaskState, ...] = WAITING,
        limit: int = 50,
    ) -> tuple[DispenseTask, ...]:
        size = max(1, min(limit, 200))
        order = "-paid_at" if all(map(TASKS.final, states)) else "paid_at"
        return read.find(
            tasks, DispenseTask, limit=size, order_by=order, campus=campus, state=states
        )

    @reading
    def task(self, read: Reading, task: TaskId) -> TaskSheet:
        return dispensing.sheets(read, (dispensing.task_of(read, task),))[0]

    @reading
    def prescriptions(self, read: Reading, encounter: EncounterId) -> tuple[Prescription, ...]:
        return read.find(
            prescriptions, Prescription, limit=50, order_by="signed_at", encounter=encounter
        )

    @reading
    def lines(self, read: Reading, encounter: EncounterId) -> tuple[PrescriptionLine, ...]:
        return read.find(lines, PrescriptionLine, limit=200, encounter=encounter)

    @reading
    def history(self, read: Reading, patient: PatientId, limit: int = 10) -> tuple[TaskSheet, ...]:
        found = read.find(
            tasks,
            DispenseTask,
            tasks.c.dispensed_at >= read.now - self._history,
            limit=max(1, min(limit, 20)),
            order_by="-dispensed_at",
            patient=patient,
        )
        return dispensing.sheets(read, found)

    @reading
    def returns(self, read: Reading, task: TaskId) -> tuple[DrugReturn, ...]:
        return read.find(drug_returns, DrugReturn, limit=50, order_by="at", task=task)

    @reading
    def scans(self, read: Reading, task: TaskId, limit: int = 20) -> tuple[Scan, ...]:
        size = max(1, min(limit, 100))
        return read.find(scans, Scan, limit=size, order_by="-at", task=task)

    @reading
    def counts(self, read: Reading, campus: CampusCode) -> dict[str, int]:
        """How many tasks stand in each state (for the board's own pages)."""
        return dispensing.counts(read, campus)

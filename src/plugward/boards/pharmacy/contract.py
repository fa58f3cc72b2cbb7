"""Pharmacy 药房: a prescription's way from the doctor's signature into the patient's hand.

The drugs of a signed group are a prescription. Before the cashier asks for money the lines are
reserved in the drug store 药库, all or none. Payment opens a task with a number: the drugs are
picked 配药, every pack is scanned 扫码核对, the patient is called and gets them 发药. What cannot
be supplied, is given up before it was handed out, or comes back unopened 退药 is a fact of its own,
so that money and stock follow.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import (
    Clinical,
    Conflict,
    Event,
    Identifying,
    Invalid,
    Message,
    NotFound,
    Plain,
    command,
    contract,
    query,
)
from plugward.kit.time import Instant
from plugward.vocabulary import (
    BillId,
    CampusCode,
    EncounterId,
    OrderLineId,
    PatientId,
    PrescriptionId,
    Sex,
)

TaskId = NewType("TaskId", UUID)
ReturnId = NewType("ReturnId", UUID)


class LineState(StrEnum):
    """Where a line of a prescription stands."""

    SIGNED = "signed"  # 已开立，待缴费
    RESERVED = "reserved"  # 已锁库存，缴费中
    PAID = "paid"  # 已缴费，待发药
    DISPENSED = "dispensed"  # 已发药
    RETURNED = "returned"  # 已全部退药
    UNSUPPLIED = "unsupplied"  # 未供应（缺药、停发）
    WITHDRAWN = "withdrawn"  # 医生已撤回


class TaskState(StrEnum):
    """Where a paid prescription stands in the pharmacy."""

    TO_PICK = "to-pick"  # 待配药
    PICKED = "picked"  # 已配
    CALLED = "called"  # 已叫号，发药中
    DISPENSED = "dispensed"  # 已发药
    MISSED = "missed"  # 过号
    SUSPENDED = "suspended"  # 挂起
    CLOSED = "closed"  # 已关闭（无药可发）


class ScanOutcome(StrEnum):
    """What a scanned pack turned out to be. Everything but ``right`` is blocked 拦截."""

    RIGHT = "right"  # 本方药品
    WRONG_DRUG = "wrong-drug"  # 不是本方药品
    ONE_TOO_MANY = "one-too-many"  # 已扫够
    WRONG_BATCH = "wrong-batch"  # 不是预留的批号
    EXPIRED = "expired"  # 已过效期


class HeldBatch(Message):
    """A batch that holds packs for a line."""

    batch_no: Plain
    expires_on: date
    quantity: int


class PrescriptionLine(Message):
    """One drug of a prescription. ``open`` is what is paid for and still to be handed out.

    ``paid = open + dispensed + given_up``; what is dispensed less what came back never exceeds
    what was paid.
    """

    id: OrderLineId
    prescription: PrescriptionId
    encounter: EncounterId
    campus: CampusCode
    item: Plain
    name_zh: Plain
    name_en: Plain
    spec: Plain
    unit: Plain
    dose: Decimal | None
    dose_unit: Plain
    route: Plain
    frequency: Plain
    days: int | None
    note: Clinical
    quantity: int
    state: LineState
    reservation: UUID | None = None
    batches: tuple[HeldBatch, ...] = ()
    is_controlled: bool = False  # 麻醉、精神药品: two persons
    task: TaskId | None = None
    paid: int = 0
    open: int = 0
    scanned: int = 0
    dispensed: int = 0
    returned: int = 0
    returnable: int = 0  # dispensed and not come back
    given_up: int = 0  # paid for, never to be handed out


class Prescription(Message):
    """The drugs of one signed group."""

    id: PrescriptionId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: Plain
    prescriber: Plain
    indication: Clinical
    signed_at: Instant


class DispenseTask(Message):
    """What one payment asks the pharmacy to hand out. ``number`` is the patient's, such as Y118."""

    id: TaskId
    number: Plain
    day: date
    campus: CampusCode
    prescription: PrescriptionId
    bill: BillId
    encounter: EncounterId
    patient: PatientId
    patient_name: Identifying
    state: TaskState
    paid_at: Instant
    packs: int  # how many packs, when it was opened
    window: Plain = ""
    calls: int = 0
    called_at: Instant | None = None
    picked_by: Plain = ""
    dispensed_by: Plain = ""
    dispensed_at: Instant | None = None
    reason: Plain = ""  # why it is suspended or closed


class Person(Message):
    """What the window needs to know to hand drugs to the right person."""

    patient: PatientId
    name: Identifying
    sex: Sex = Sex.UNKNOWN
    birth_date: date | None = None


class TaskSheet(Message):
    """A task with everything the window shows."""

    task: DispenseTask
    prescription: Prescription
    lines: tuple[PrescriptionLine, ...]
    person: Person | None = None


class Scan(Message):
    """A pack that was held under the scanner. Blocked scans are kept too."""

    id: UUID
    task: TaskId
    campus: CampusCode
    code: Plain
    outcome: ScanOutcome
    line: OrderLineId | None  # the line it counted for, or the row it is blocked in
    name: Plain  # what was scanned, as master data calls it
    by: Plain
    at: Instant


class LineQuantity(Message):
    line: OrderLineId
    quantity: int


class ReserveLines(Message):
    """A request to hold the drugs of a bill before anybody is asked for money."""

    bill: BillId
    encounter: EncounterId
    campus: CampusCode
    lines: tuple[OrderLineId, ...]


class ReservedLines(Message):
    """These lines are held. ``until`` is when they are free again unless they are paid."""

    bill: BillId
    lines: tuple[LineQuantity, ...]
    until: Instant | None


class GiveUp(Message):
    """A request never to hand out so much of these lines: in total, not once more.

    ``quantity`` is the whole amount of the line that is given up, so asking twice is asking once.
    """

    encounter: EncounterId
    lines: tuple[LineQuantity, ...]


class TakeBack(Message):
    """Unopened packs that came back. The caller picks ``id``."""

    id: ReturnId
    task: TaskId
    lines: tuple[LineQuantity, ...]
    reason: Plain
    approved_by: Plain  # the doctor who agreed


class ReturnedLine(Message):
    line: OrderLineId
    item: Plain
    name_zh: Plain
    quantity: int
    reservation: UUID | None


class DrugReturn(Message):
    """A return 退药单: a document of its own, the dispensing it belongs to stays as it was."""

    id: ReturnId
    task: TaskId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    lines: tuple[ReturnedLine, ...]
    reason: Plain
    approved_by: Plain
    taken_by: Plain
    at: Instant


class DispensedLine(Message):
    line: OrderLineId
    item: Plain
    name_zh: Plain
    quantity: int
    reservation: UUID | None
    batches: tuple[HeldBatch, ...] = ()


class TaskOpened(Event, tag="pharmacy.task.opened.v1", key="task.encounter"):
    """A payment reached the pharmacy; the patient has a number."""

    task: DispenseTask
    lines: tuple[LineQuantity, ...]


class TaskCalled(Event, tag="pharmacy.task.called.v1", key="task.campus"):
    """The patient was called to a window."""

    task: DispenseTask


class PrescriptionDispensed(Event, tag="pharmacy.prescription.dispensed.v1", key="task.encounter"):
    """The patient has the drugs."""

    task: DispenseTask
    lines: tuple[DispensedLine, ...]


class PrescriptionReturned(
    Event, tag="pharmacy.prescription.returned.v1", key="document.encounter"
):
    """Dispensed drugs came back: stock takes them in, billing owes the money for them only."""

    document: DrugReturn


class LineUnsupplied(Event, tag="pharmacy.line.unsupplied.v1", key="encounter"):
    """A paid line cannot be supplied, in whole or in part; the money for it is owed."""

    encounter: EncounterId
    campus: CampusCode
    line: OrderLineId
    item: Plain
    name_zh: Plain
    quantity: int
    reason: Plain


class LinesReleased(Event, tag="pharmacy.reservation.released.v1", key="encounter"):
    """What was held for these lines is not needed any more."""

    encounter: EncounterId
    reservation: UUID
    lines: tuple[LineQuantity, ...]


class TaskNotFound(NotFound):
    """没有这个发药任务。"""


class LineNotReady(Conflict):
    """处方尚未到达药房，请稍候再试。"""

    line: OrderLineId


class LineNotPayable(Conflict):
    """{name} 当前状态为“{state}”，不能缴费。"""

    name: Plain
    state: LineState


class OutOfStock(Conflict):
    """{name} 库存不足：需要 {wanted}，可用 {available}。请改选其他药房，或由医生调整。"""

    item: Plain
    name: Plain
    wanted: int
    available: int


class AlreadyDispensed(Conflict):
    """{name} 已发出，尚未发出的只有 {left}；已发出的请先到药房退药。"""

    line: OrderLineId
    name: Plain
    left: int


class NotAllScanned(Conflict):
    """还差 {missing} 件未扫码核对，不能发药。"""

    missing: int


class SecondPersonNeeded(Conflict):
    """本方含麻醉或精神药品，配药与发药须为两人。"""


class BatchExpired(Conflict):
    """{name} 批号 {batch_no} 已过效期，不能发出。"""

    name: Plain
    batch_no: Plain


class NobodyWaiting(NotFound):
    """没有等待取药的患者。"""


class NothingToReturn(Conflict):
    """{name} 可退数量只有 {left}。"""

    line: OrderLineId
    name: Plain
    left: int


class NothingChosen(Invalid):
    """没有选择药品，或数量不是正数。"""


class NothingOpen(Conflict):
    """该药品没有待发数量。"""

    line: OrderLineId


@contract("pharmacy")
class Pharmacy(Protocol):
    """Handing out what was prescribed and paid for, and nothing else."""

    @command(permission="pharmacy.reserve")
    async def reserve(self, request: ReserveLines) -> ReservedLines:
        """Hold the drugs of these lines, all or none; lines that are held for this bill stay so.

        Refuses with ``LineNotReady``, ``LineNotPayable`` or ``OutOfStock`` (naming the drug)."""
        ...

    @command(permission="pharmacy.reserve")
    async def give_up(self, request: GiveUp) -> tuple[PrescriptionLine, ...]:
        """Stop handing out so much of these lines, because the money goes back.

        Refuses with ``LineNotReady`` or ``AlreadyDispensed``."""
        ...

    @command(permission="pharmacy.dispense")
    async def pick(self, task: TaskId) -> DispenseTask:
        """The drugs lie in the basket. Refuses with ``TaskNotFound`` or ``WrongState``."""
        ...

    @command(permission="pharmacy.dispense")
    async def call_next(self, campus: CampusCode, window: Plain) -> DispenseTask:
        """Call the next patient to a window: whose basket is ready first, then the others in turn.
        Two windows never call the same one. Refuses with ``NobodyWaiting``."""
        ...

    @command(permission="pharmacy.dispense")
    async def call(self, task: TaskId, window: Plain) -> DispenseTask:
        """Call this patient (again). Refuses with ``TaskNotFound`` or ``WrongState``."""
        ...

    @command(permission="pharmacy.dispense")
    async def miss(self, task: TaskId) -> DispenseTask:
        """Nobody came. Refuses with ``TaskNotFound`` or ``WrongState``."""
        ...

    @command(permission="pharmacy.dispense")
    async def suspend(self, task: TaskId, reason: Plain) -> DispenseTask:
        """Lay the task aside. Calling the patient takes it up again. Refuses with
        ``TaskNotFound`` or ``WrongState``."""
        ...

    @command(permission="pharmacy.dispense")
    async def scan(self, task: TaskId, code: Plain) -> Scan:
        """Hold one pack under the scanner: ``item`` or ``item/batch``. A wrong one is blocked and
        kept, not refused. Refuses with ``TaskNotFound`` or ``WrongState``."""
        ...

    @command(permission="pharmacy.dispense")
    async def dispense(self, task: TaskId) -> DispenseTask:
        """Hand out everything that is open on the task. Works while the drug store is away.

        Refuses with ``TaskNotFound``, ``WrongState``, ``NotAllScanned``, ``BatchExpired`` or
        ``SecondPersonNeeded``."""
        ...

    @command(permission="pharmacy.dispense")
    async def cannot_supply(
        self, line: OrderLineId, quantity: int, reason: Plain
    ) -> PrescriptionLine:
        """So much of a paid line cannot be handed out; a refund is owed at once.

        Refuses with ``LineNotReady``, ``NothingOpen`` or ``NothingChosen``."""
        ...

    @command(permission="pharmacy.take-back")
    async def take_back(self, request: TakeBack) -> DrugReturn:
        """Take unopened packs back. Refuses with ``TaskNotFound``, ``NothingToReturn`` or
        ``NothingChosen``."""
        ...

    @query(permission="pharmacy.read")
    async def queue(
        self,
        campus: CampusCode,
        states: tuple[TaskState, ...] = (TaskState.TO_PICK, TaskState.PICKED, TaskState.CALLED),
        limit: int = 50,
    ) -> tuple[DispenseTask, ...]:
        """The tasks of a campus in these states, in the order they were paid, at most 200; of
        finished ones the latest first."""
        ...

    @query(permission="pharmacy.read")
    async def task(self, task: TaskId) -> TaskSheet:
        """One task with its lines. Refuses with ``TaskNotFound``."""
        ...

    @query(permission="pharmacy.read")
    async def prescriptions(self, encounter: EncounterId) -> tuple[Prescription, ...]:
        """The prescriptions of a visit, oldest first, at most 50."""
        ...

    @query(permission="pharmacy.read")
    async def lines(self, encounter: EncounterId) -> tuple[PrescriptionLine, ...]:
        """The lines of a visit's prescriptions, at most 200."""
        ...

    @query(permission="pharmacy.read")
    async def history(self, patient: PatientId, limit: int = 10) -> tuple[TaskSheet, ...]:
        """What the patient was handed out lately, the newest first, at most 20."""
        ...

    @query(permission="pharmacy.read")
    async def returns(self, task: TaskId) -> tuple[DrugReturn, ...]:
        """What came back of one dispensing, oldest first, at most 50."""
        ...

    @query(permission="pharmacy.read")
    async def scans(self, task: TaskId, limit: int = 20) -> tuple[Scan, ...]:
        """The latest scans of a task, the newest first, at most 100."""
        ...

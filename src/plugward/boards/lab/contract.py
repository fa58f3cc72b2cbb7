"""Laboratory 检验: from a signed request to a report that a doctor may act on.

A request comes from a signed order line. Its tube is collected under a barcode, received, and gets
results by hand or from an analyser; a person verifies them, and version 1 of the report is issued.
A report never changes: it is withdrawn 撤回 and, if need be, a new version takes its place, and
whoever has seen the old one is told. A critical value 危急值 is raised with the report, must be
acknowledged by a clinician, and is escalated by the clock until it is.
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
    Merge,
    Message,
    NotFound,
    Plain,
    Route,
    command,
    contract,
    query,
)
from plugward.kit.time import Instant
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderLineId,
    PatientId,
    ReportId,
    Sex,
    SpecimenId,
)

CriticalId = NewType("CriticalId", UUID)


class RequestState(StrEnum):
    REQUESTED = "requested"  # 待采集
    COLLECTED = "collected"  # 已采集
    REPORTED = "reported"  # 已报告
    CANCELLED = "cancelled"  # 已取消


class SpecimenState(StrEnum):
    COLLECTED = "collected"  # 已采集，待接收
    RECEIVED = "received"  # 已接收，待结果
    RESULTED = "resulted"  # 有结果，待审核
    REPORTED = "reported"  # 已报告
    REJECTED = "rejected"  # 不合格，须重采


class ReportState(StrEnum):
    ISSUED = "issued"  # 有效
    WITHDRAWN = "withdrawn"  # 已撤回


class CriticalState(StrEnum):
    RAISED = "raised"  # 待确认
    ESCALATED = "escalated"  # 已升级，待确认
    ACKNOWLEDGED = "acknowledged"  # 已确认
    CLEARED = "cleared"  # 报告撤回，已作废


class Flag(StrEnum):
    """How a result stands to its reference range (HL7 table 0078)."""

    NORMAL = "N"  # 正常
    LOW = "L"  # 偏低
    HIGH = "H"  # 偏高
    CRITICAL_LOW = "LL"  # 危急低
    CRITICAL_HIGH = "HH"  # 危急高
    ABNORMAL = "A"  # 异常（定性）
    NOT_JUDGED = ""  # 无参考范围


class RejectReason(StrEnum):
    HAEMOLYSED = "haemolysed"  # 溶血
    CLOTTED = "clotted"  # 凝块
    TOO_LITTLE = "too-little"  # 量不足
    WRONG_TUBE = "wrong-tube"  # 容器错误
    LABEL = "label"  # 标签不符
    LATE = "late"  # 送检超时


class WithdrawReason(StrEnum):
    WRONG_TUBE = "wrong-tube"  # 标本错管
    WRONG_RESULT = "wrong-result"  # 结果错误
    WRONG_PATIENT = "wrong-patient"  # 患者错误
    CORRECTED_BY_ANALYSER = "corrected-by-analyser"  # 仪器或外部系统更正


class LabRequest(Message):
    """One signed order line as the laboratory knows it; ``id`` is the order line's."""

    id: OrderLineId
    group: OrderGroupId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    author: Plain
    item: Plain
    name_zh: Plain
    name_en: Plain
    is_urgent: bool
    indication: Clinical
    signed_at: Instant
    state: RequestState
    is_paid: bool = False
    is_credited: bool = False  # 绿色通道: may start without payment
    specimen: SpecimenId | None = None


class Subject(Message):
    """Whom a label or report is about, as the patient index says now."""

    id: PatientId
    name: Identifying
    sex: Sex
    birth_date: date | None


class WaitingRequest(Message):
    """A request on the collection list."""

    request: LabRequest
    subject: Subject | None
    container: Plain
    may_start: bool


class Collect(Message):
    """A tube is drawn for these requests of one encounter. The caller picks ``id``."""

    id: SpecimenId
    requests: tuple[OrderLineId, ...]


class Specimen(Message):
    """One tube with its barcode 条码, which is unique in the hospital."""

    id: SpecimenId
    barcode: Plain
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    author: Plain  # who ordered
    requests: tuple[OrderLineId, ...]
    title_zh: Plain
    title_en: Plain
    container: Plain
    is_urgent: bool
    state: SpecimenState
    collected_by: Plain
    collected_at: Instant
    received_by: Plain = ""
    received_at: Instant | None = None
    rejected_because: RejectReason | None = None


class Test(Message):
    """What can be measured, from master data: ranges by sex, critical limits."""

    item: Plain
    short_code: Plain
    name_zh: Plain
    name_en: Plain
    loinc: Plain
    specimen: Plain
    unit: Plain
    low_m: Decimal | None
    high_m: Decimal | None
    low_f: Decimal | None
    high_f: Decimal | None
    critical_low: Decimal | None
    critical_high: Decimal | None
    panel: Plain

    @property
    def is_numeric(self) -> bool:
        return self.unit not in ("qual", "text", "type", "")


class NewResult(Message):
    """A measured value as it was typed or sent: ``7.1``, ``<0.5``, ``阴性``."""

    item: Plain
    value: Clinical


class Result(NewResult):
    """A value with what it is judged by: the names, unit and limits of the moment it was judged."""

    name_zh: Plain
    name_en: Plain
    loinc: Plain
    unit: Plain
    low: Decimal | None
    high: Decimal | None
    flag: Flag


class EnterResults(Message):
    """Results typed by a person. For a reported specimen it is a correction and needs a reason."""

    specimen: SpecimenId
    results: tuple[NewResult, ...]
    reason: WithdrawReason | None = None


class OutsideResults(Message):
    """Results from an analyser or another laboratory system, by barcode or by order line.

    ``id`` is the message, so that a repeat changes nothing. ``is_final`` says that somebody
    there has verified them: then the report is issued at once, unless one stands already.
    """

    id: UUID
    source: Plain
    results: tuple[NewResult, ...]
    barcode: Plain = ""
    line: OrderLineId | None = None
    is_final: bool = False
    verified_by: Plain = ""
    measured_at: Instant | None = None


class Draft(Message):
    """Results that nobody has verified yet."""

    specimen: SpecimenId
    results: tuple[Result, ...]
    source: Plain  # a person's or a system's actor
    entered_at: Instant
    reason: WithdrawReason | None = None


class BenchView(Message):
    """A specimen on the technician's bench: what is asked, what is there."""

    specimen: Specimen
    subject: Subject | None
    tests: tuple[Test, ...]
    draft: Draft | None
    report: ReportId | None


class Counts(Message):
    """How much waits: tubes to draw, to receive, to measure, to verify."""

    requested: int
    collected: int
    received: int
    resulted: int


class Report(Message):
    """One version of a report. Its results never change; only its state and its successor do."""

    id: ReportId
    number: Plain  # the same for all versions
    version: int
    specimen: SpecimenId
    barcode: Plain
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    author: Plain
    requests: tuple[OrderLineId, ...]
    title_zh: Plain
    title_en: Plain
    indication: Clinical
    results: tuple[Result, ...]
    state: ReportState
    collected_at: Instant
    received_at: Instant | None
    entered_by: Plain
    verified_by: Plain
    issued_at: Instant
    content_hash: Plain
    replaces: ReportId | None = None
    replaced_by: ReportId | None = None
    withdrawn_at: Instant | None = None
    withdrawn_by: Plain = ""
    withdrawn_because: WithdrawReason | None = None

    @property
    def is_current(self) -> bool:
        return self.state is ReportState.ISSUED


class ReportLine(Message):
    """A report in a list: no values. Opening it is ``report``, and is remembered."""

    id: ReportId
    number: Plain
    version: int
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    title_zh: Plain
    title_en: Plain
    state: ReportState
    issued_at: Instant
    abnormal: int
    critical: int


class SwapTubes(Message):
    """Two tubes had each other's labels: both reports are wrong in the same way 错管.

    The ids of the new versions are made by the caller: ``new_first`` replaces ``first``.
    """

    first: ReportId
    second: ReportId
    new_first: ReportId
    new_second: ReportId
    words: Clinical = ""


class Withdrawal(Message):
    """A withdrawn report that somebody has seen and may have acted on."""

    report: ReportId
    title_zh: Plain
    patient: PatientId
    encounter: EncounterId
    campus: CampusCode
    reader: Plain
    because: WithdrawReason
    replaced_by: ReportId | None
    withdrawn_at: Instant


class CriticalValue(Message):
    """A value that threatens life until somebody acts on it."""

    id: CriticalId
    report: ReportId
    specimen: SpecimenId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    author: Plain
    item: Plain
    name_zh: Plain
    name_en: Plain
    value: Clinical
    unit: Plain
    flag: Flag
    state: CriticalState
    raised_at: Instant
    due_at: Instant  # when it is escalated (next) unless acknowledged
    level: int = 0  # how often it was escalated
    escalated_at: Instant | None = None
    acknowledged_by: Plain = ""
    acknowledged_at: Instant | None = None
    words: Clinical = ""  # what was done

    @property
    def is_open(self) -> bool:
        return self.state in (CriticalState.RAISED, CriticalState.ESCALATED)


# ── facts ────────────────────────────────────────────────────────────────────────────────────


class SpecimenCollected(Event, tag="lab.specimen.collected.v1", key="specimen.patient"):
    """The order lines ``specimen.requests`` are being carried out."""

    specimen: Specimen


class SpecimenRejected(Event, tag="lab.specimen.rejected.v1", key="specimen.patient"):
    """The tube is no good; its requests wait for another one."""

    specimen: Specimen


class ReportIssued(Event, tag="lab.report.issued.v1", key="report.patient"):
    report: Report


class ReportWithdrawn(Event, tag="lab.report.withdrawn.v1", key="report.patient"):
    """Nobody may act on this version any more. ``readers`` are the actors who have seen it."""

    report: Report
    readers: tuple[Plain, ...]


class CriticalRaised(Event, tag="lab.critical_value.raised.v1", key="critical.patient"):
    critical: CriticalValue


class CriticalAcknowledged(Event, tag="lab.critical_value.acknowledged.v1", key="critical.patient"):
    critical: CriticalValue


class CriticalEscalated(Event, tag="lab.critical_value.escalated.v1", key="critical.patient"):
    """Nobody has acknowledged it in time; the next one up is told."""

    critical: CriticalValue


class CriticalCleared(Event, tag="lab.critical_value.cleared.v1", key="critical.patient"):
    """Its report was withdrawn."""

    critical: CriticalValue


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


class RequestNotFound(NotFound):
    """没有该检验申请。"""


class SpecimenNotFound(NotFound):
    """没有该标本。"""


class ReportNotFound(NotFound):
    """没有该检验报告。"""


class CriticalNotFound(NotFound):
    """没有该危急值。"""


class NothingToCollect(Invalid):
    """请选择要采集的检验申请。"""


class NotOnePatient(Conflict):
    """所选申请不属于同一次就诊，不能合管。"""


class NotOneContainer(Conflict):
    """所选申请需要不同的容器，不能合管：{containers}。"""

    containers: Plain


class NotPaid(Conflict):
    """“{name}”尚未缴费，不能开始；急诊或绿色通道除外。"""

    name: Plain


class ItemUnknown(Conflict):
    """检验项目 {item} 不在目录中，请先维护主数据。"""

    item: Plain


class ResultNotAsked(Invalid):
    """该标本没有申请项目 {item}。"""

    item: Plain


class ResultNotANumber(Invalid):
    """{name} 的结果须为数值：{item}。"""

    item: Plain
    name: Plain


class ResultTwice(Invalid):
    """项目 {item} 的结果重复。"""

    item: Plain


class ResultsMissing(Conflict):
    """还有项目没有结果：{items}。"""

    items: Plain


class NoResults(Conflict):
    """没有待审核的结果。"""


class OwnResults(Conflict):
    """录入与审核不能是同一人。"""


class ReasonNeeded(Invalid):
    """报告已发出，更正须说明原因。"""


class ReportNotCurrent(Conflict):
    """该报告已撤回，不能再次撤回或更正。"""


class SameTube(Invalid):
    """错管须为两份不同标本的报告。"""


class TubesDiffer(Conflict):
    """两份报告的项目不同，不能互换，请分别撤回并重新检测。"""


class NotCritical(Conflict):
    """该危急值已确认或已作废。"""


@contract("lab")
class Lab(Protocol):
    """Tubes, results, reports and the values that cannot wait."""

    # ── drawing ─────────────────────────────────────────────────────────────────────────────
    @query(permission="lab.collect")
    async def waiting(
        self, campus: CampusCode, encounter: EncounterId | None = None, limit: int = 100
    ) -> tuple[WaitingRequest, ...]:
        """Requests without a tube, urgent ones first, then in the order they were signed."""
        ...

    @command(permission="lab.collect", route=Route.OWNER)
    async def collect(self, request: Collect) -> Specimen:
        """Draw one tube and give it a barcode. Refuses with ``NothingToCollect``,
        ``RequestNotFound``, ``NotOnePatient``, ``NotOneContainer``, ``NotPaid``, ``ItemUnknown``
        or ``WrongState``."""
        ...

    @command(permission="lab.credit")
    async def credit(self, encounter: EncounterId, reason: Clinical) -> tuple[LabRequest, ...]:
        """Green channel 绿色通道: the requests of this encounter may start without payment."""
        ...

    # ── the bench ───────────────────────────────────────────────────────────────────────────
    @command(permission="lab.receive", route=Route.OWNER)
    async def receive(self, barcode: Plain) -> Specimen:
        """The tube has arrived. Refuses with ``SpecimenNotFound`` or ``WrongState``."""
        ...

    @command(permission="lab.receive", route=Route.OWNER)
    async def reject(self, specimen: SpecimenId, because: RejectReason) -> Specimen:
        """The tube is no good; another one is to be drawn."""
        ...

    @query(permission="lab.result")
    async def worklist(
        self, campus: CampusCode, state: SpecimenState, limit: int = 100
    ) -> tuple[BenchView, ...]:
        """Specimens in one state, urgent ones first, then the oldest; at most 200."""
        ...

    @query(permission="lab.result", audited=False)
    async def counts(self, campus: CampusCode) -> Counts:
        """How much waits at a campus."""
        ...

    @query(permission="lab.result", route=Route.OWNER)
    async def bench(self, barcode: Plain) -> BenchView:
        """One specimen by its barcode. Refuses with ``SpecimenNotFound``."""
        ...

    @command(permission="lab.result", route=Route.OWNER)
    async def enter(self, request: EnterResults) -> Draft:
        """Write results down, to be verified. The same test again replaces its former result.

        Refuses with ``ResultNotAsked``, ``ResultNotANumber``, ``ResultTwice``, ``ReasonNeeded``
        or ``WrongState``.
        """
        ...

    @command(permission="lab.interface")
    async def outside(self, request: OutsideResults) -> Specimen:
        """Results by message. A correction of a report that stands waits for a person. Refuses
        like ``enter``, and with ``SpecimenNotFound``."""
        ...

    @command(permission="lab.verify", route=Route.OWNER)
    async def verify(self, specimen: SpecimenId, report: ReportId) -> Report:
        """Issue the report, or a new version of it; raise critical values. Refuses with
        ``NoResults``, ``ResultsMissing`` or ``OwnResults``."""
        ...

    # ── putting right ───────────────────────────────────────────────────────────────────────
    @command(permission="lab.withdraw", route=Route.OWNER)
    async def withdraw(self, report: ReportId, because: WithdrawReason) -> Report:
        """Withdraw a report; the specimen waits for results again. Refuses with
        ``ReportNotFound`` or ``ReportNotCurrent``."""
        ...

    @command(permission="lab.withdraw", route=Route.OWNER)
    async def swap(self, request: SwapTubes) -> tuple[Report, ...]:
        """Withdraw both reports and issue both anew with each other's results. Refuses with
        ``ReportNotFound``, ``ReportNotCurrent``, ``SameTube`` or ``TubesDiffer``."""
        ...

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    @query(permission="lab.read", route=Route.ALL, merge=Merge("-issued_at"))
    async def reports_of(
        self, patients: tuple[PatientId, ...], current_only: bool = True, limit: int = 50
    ) -> tuple[ReportLine, ...]:
        """A person's reports, newest first; all numbers of a merged person given. At most 100."""
        ...

    @query(permission="lab.read", route=Route.ALL, merge=Merge("signed_at"))
    async def requests_of(self, encounter: EncounterId) -> tuple[LabRequest, ...]:
        """What was asked for in one encounter and how far it is, at most 200."""
        ...

    @query(permission="lab.read", route=Route.OWNER)
    async def report(self, id: ReportId) -> Report:
        """Open a report, whatever its state. Who opened it will be told if it is withdrawn."""
        ...

    @query(permission="lab.read", route=Route.OWNER)
    async def versions(self, id: ReportId) -> tuple[ReportLine, ...]:
        """All versions that share this report's number, oldest first."""
        ...

    @query(permission="lab.read", route=Route.ALL, merge=Merge("-withdrawn_at", same="report"))
    async def withdrawals_for_me(self, limit: int = 20) -> tuple[Withdrawal, ...]:
        """Withdrawn reports the caller has opened and not yet confirmed to have noticed."""
        ...

    @command(permission="lab.read", route=Route.OWNER)
    async def notice_withdrawal(self, report: ReportId) -> None:
        """The caller has noticed that this report is void."""
        ...

    @query(permission="lab.read", route=Route.ALL, merge=Merge("id"))
    async def subjects(self, patients: tuple[PatientId, ...]) -> tuple[Subject, ...]:
        """Names for a list (at most 200), as the laboratory knows them."""
        ...

    # ── critical values ─────────────────────────────────────────────────────────────────────
    @query(permission="lab.read")
    async def critical_values(
        self, campus: CampusCode, open_only: bool = True, limit: int = 100
    ) -> tuple[CriticalValue, ...]:
        """Critical values of a campus, the longest waiting first (open ones) or newest first."""
        ...

    @query(permission="lab.read", route=Route.OWNER)
    async def critical_value(self, id: CriticalId) -> CriticalValue:
        """One critical value. Refuses with ``CriticalNotFound``."""
        ...

    @command(permission="lab.acknowledge", route=Route.OWNER)
    async def acknowledge(self, id: CriticalId, words: Clinical = "") -> CriticalValue:
        """A clinician takes it over. Refuses with ``CriticalNotFound`` or ``NotCritical``."""
        ...

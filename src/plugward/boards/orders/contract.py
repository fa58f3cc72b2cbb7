"""Orders 医嘱: what doctors ask for, and what became of it.

A doctor collects lines in a draft basket 草稿, signs the whole group at once 整组签名, and may
withdraw 撤回 a line until it is carried out. Signing states what shall be done; it knows no
price and waits for no payment. What happens to a line later (paid, dispensed, sampled,
reported) this board learns from the facts of the boards that do it.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from plugward.kernel import (
    Clinical,
    Conflict,
    Event,
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
    CampusCode,
    ChargeRequest,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
)


class LineState(StrEnum):
    SIGNED = "signed"  # 已签名
    PAID = "paid"  # 已缴费
    DISPENSED = "dispensed"  # 已发药
    PERFORMED = "performed"  # 已执行（已采样、已检查、已治疗）
    REPORTED = "reported"  # 已报告
    RETURNED = "returned"  # 已退药
    UNSUPPLIED = "unsupplied"  # 未供应（缺药退费）
    WITHDRAWN = "withdrawn"  # 已撤回


class WithdrawReason(StrEnum):
    ENTERED_BY_MISTAKE = "entered-by-mistake"  # 开错
    PATIENT_DECLINES = "patient-declines"  # 患者不接受
    CONDITION_CHANGED = "condition-changed"  # 病情变化
    CANNOT_BE_DONE = "cannot-be-done"  # 无法执行
    RETURNED_BY_REVIEW = "returned-by-review"  # 审方退回


class NewLine(Message, kw_only=True):
    """One thing to do for the patient. The caller picks ``id``.

    ``quantity`` counts what is handed out or done: packs of a drug, times of anything else.
    Dose, route, frequency and days belong to drugs and are codes of master data.
    """

    id: OrderLineId
    kind: OrderKind
    item: Plain
    quantity: int = 1
    dose: Decimal | None = None
    dose_unit: Plain = ""
    route: Plain = ""
    frequency: Plain = ""
    days: int | None = None
    is_urgent: bool = False
    note: Clinical = ""


class OrderLine(NewLine, kw_only=True):
    """A signed line. The names are as they were when it was signed and never change."""

    group: OrderGroupId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    name_zh: Plain
    name_en: Plain
    spec: Plain  # 规格, such as 5mg*28片
    unit: Plain  # what ``quantity`` counts: 盒, 支, 次
    state: LineState = LineState.SIGNED


class SignGroup(Message):
    """A request to sign these lines together. The same ``id`` again is the same group."""

    id: OrderGroupId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    lines: tuple[NewLine, ...]
    indication: Clinical = ""  # 临床诊断, as the pharmacy and the laboratory shall read it


class OrderGroup(Message):
    """What one signature covers. ``author`` is the actor who signed, such as ``staff:…``."""

    id: OrderGroupId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    author: Plain
    signed_at: Instant
    indication: Clinical
    lines: tuple[OrderLine, ...]


class SaveDraft(Message):
    """The author's whole basket for one encounter; it replaces what was there."""

    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    lines: tuple[NewLine, ...]


class Draft(SaveDraft):
    """A basket nobody has signed. It belongs to one author and one encounter."""

    author: Plain
    saved_at: Instant


class OrderableItem(Message):
    """Something that can be ordered, as master data describes it today. It has no price here."""

    kind: OrderKind
    item: Plain
    name_zh: Plain
    name_en: Plain
    pinyin: Plain
    spec: Plain
    unit: Plain
    dose: Decimal | None = None  # the usual single dose
    dose_unit: Plain = ""
    route: Plain = ""
    frequency: Plain = ""
    detail: Plain = ""  # 标本, 检查部位 or 剂型
    doses_per_pack: Decimal | None = None  # usual doses in one pack, to propose a quantity
    is_high_alert: bool = False  # 高警示药品


class UsageKind(StrEnum):
    ROUTE = "route"  # 给药途径
    FREQUENCY = "frequency"  # 频次


class Usage(Message):
    """A route or frequency that a drug line may name."""

    kind: UsageKind
    usage: Plain
    name_zh: Plain
    name_en: Plain
    times_per_day: Decimal | None = None


class GroupSigned(Event, tag="orders.group.signed.v1", key="group.encounter"):
    """A doctor has signed a group. Who carries out a line, and who prices it, finds it here."""

    group: OrderGroup
    charges: tuple[ChargeRequest, ...]


class LineWithdrawn(Event, tag="orders.line.withdrawn.v1", key="line.encounter"):
    """A line shall not be carried out. What was charged for it is cancelled or refunded."""

    line: OrderLine
    reason: WithdrawReason
    withdrawn_by: Plain
    withdrawn_at: Instant
    was: LineState = LineState.SIGNED  # the state it was withdrawn from


class FastingOrdered(Event, tag="orders.fasting.ordered.v1", key="encounter"):
    """The patient shall not eat on this hospital day 禁食."""

    encounter: EncounterId
    day: date


class GroupNotFound(NotFound):
    """没有这组医嘱。"""


class LineNotFound(NotFound):
    """没有这条医嘱。"""


class EmptyGroup(Invalid):
    """没有可签名的医嘱，请先添加项目。"""


class TooManyLines(Invalid):
    """一组医嘱最多 {lines_max} 条。"""

    lines_max: int


class ItemNotOrderable(Invalid):
    """项目 {item} 不存在、已停用或类别不符，不能开立。"""

    item: Plain


class DuplicateItem(Invalid):
    """项目 {item} 在本组中重复，请合并后再签名。"""

    item: Plain


class AbsurdQuantity(Invalid):
    """项目 {item} 的数量 {quantity} 不合理（应为 1 至 {quantity_max}）。"""

    item: Plain
    quantity: int
    quantity_max: int


class AbsurdDays(Invalid):
    """项目 {item} 的天数 {days} 不合理（应为 1 至 {days_max}）。"""

    item: Plain
    days: int
    days_max: int


class AbsurdDose(Invalid):
    """药品 {item} 的单次剂量 {dose} 不合理，请核对数值与单位（常用 {usual}）。"""

    item: Plain
    dose: Plain
    usual: Plain


class DosageIncomplete(Invalid):
    """药品 {item} 的单次剂量、用法或频次未填写完整。"""

    item: Plain


class UsageUnknown(Invalid):
    """药品 {item} 的用法或频次“{usage}”不在字典中。"""

    item: Plain
    usage: Plain


class EncounterEnded(Conflict):
    """本次就诊已结束或已取消，不能再开医嘱。"""

    encounter: EncounterId


class WrongPatient(Conflict):
    """医嘱与就诊的患者或院区不一致，请重新选择患者。"""

    encounter: EncounterId


class AlreadyCarriedOut(Conflict):
    """该医嘱已执行，不能撤回。"""

    line: OrderLineId
    state: LineState


@contract("orders")
class Orders(Protocol):
    """Asking for drugs, examinations and treatments, and taking it back in time."""

    @command(permission="orders.sign", audited=False)
    async def save_draft(self, draft: SaveDraft) -> Draft:
        """Replace the author's basket for this encounter; an empty one forgets it. Refuses with
        ``TooManyLines``, or ``WrongPatient`` at a campus the author does not work at."""
        ...

    @query(permission="orders.sign")
    async def draft(self, encounter: EncounterId) -> Draft | None:
        """The asking doctor's own basket for this encounter."""
        ...

    @command(permission="orders.sign")
    async def sign(self, request: SignGroup) -> OrderGroup:
        """Sign a group, whole or not at all; the author's draft for the encounter is done with.

        Refuses with ``EmptyGroup``, ``TooManyLines``, ``ItemNotOrderable``, ``DuplicateItem``,
        ``AbsurdQuantity``, ``AbsurdDays``, ``AbsurdDose``, ``DosageIncomplete``,
        ``UsageUnknown``, ``EncounterEnded`` or ``WrongPatient``.
        """
        ...

    @command(permission="orders.sign")
    async def withdraw(self, line: OrderLineId, reason: WithdrawReason) -> OrderLine:
        """Take back one line that is not carried out. Refuses with ``LineNotFound`` or
        ``AlreadyCarriedOut``."""
        ...

    @command(permission="orders.sign")
    async def withdraw_group(self, group: OrderGroupId, reason: WithdrawReason) -> OrderGroup:
        """Take back every line of a group, or none if one is carried out. Refuses with
        ``GroupNotFound`` or ``AlreadyCarriedOut``."""
        ...

    @command(permission="orders.sign")
    async def order_fasting(self, encounter: EncounterId, on: date) -> None:
        """The patient shall not eat on this day. Said twice, it is ordered once. Refuses with
        ``EncounterEnded``."""
        ...

    @query(permission="orders.read")
    async def is_fasting(self, encounter: EncounterId, on: date) -> bool:
        """Whether a fasting order holds on this day."""
        ...

    @query(permission="orders.read")
    async def group(self, id: OrderGroupId) -> OrderGroup:
        """One group with its lines as they stand. Refuses with ``GroupNotFound``."""
        ...

    @query(permission="orders.read")
    async def line(self, id: OrderLineId) -> OrderLine:
        """One line as it stands. Refuses with ``LineNotFound``."""
        ...

    @query(permission="orders.read")
    async def for_encounter(self, encounter: EncounterId) -> tuple[OrderGroup, ...]:
        """The encounter's groups, oldest first, at most 100."""
        ...

    @query(permission="orders.read")
    async def for_patient(
        self, patients: tuple[PatientId, ...], limit: int = 20
    ) -> tuple[OrderGroup, ...]:
        """The newest groups of a person, all numbers of a merged person given; at most 100."""
        ...

    @query(permission="orders.read")
    async def last_prescription(
        self,
        patients: tuple[PatientId, ...],
        author: Plain | None = None,
        department: DepartmentCode | None = None,
    ) -> OrderGroup | None:
        """The newest group with drugs still standing, its other lines left out: the author's own
        if there is one, else the department's."""
        ...

    @query(permission="orders.read", audited=False)
    async def search(
        self, text: Plain, kinds: tuple[OrderKind, ...] = (), limit: int = 20
    ) -> tuple[OrderableItem, ...]:
        """Items by code, name or pinyin initials, the likeliest first; of all kinds if none is
        named; at most 20."""
        ...

    @query(permission="orders.read", audited=False)
    async def items(self, codes: tuple[Plain, ...]) -> tuple[OrderableItem, ...]:
        """These items as they stand today, in the order asked, those no longer orderable left
        out; at most 100."""
        ...

    @query(permission="orders.read", audited=False)
    async def usages(self) -> tuple[Usage, ...]:
        """Routes and frequencies that drug lines may name, at most 200."""
        ...

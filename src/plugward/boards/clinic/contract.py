"""Clinic 门诊医生站: one screen for an outpatient visit, and the drafts on it.

A doctor opens a visit 打开就诊, writes a note and fills a basket that are both drafts, and signs
them together 签名提交. Only drafts live here: the signed note is in records 病历, the signed orders
are in orders 医嘱. Each patient has a desk of their own, so that nothing typed for one reaches
another.
"""

from typing import Protocol

from plugward.kernel import (
    Clinical,
    Conflict,
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
    CampusCode,
    DepartmentCode,
    EncounterId,
    NoteId,
    OrderGroupId,
    PatientId,
    StaffId,
)


class NoteText(Message):
    """The note's fields as they are being typed; vital signs are text until they are signed."""

    complaint: Clinical = ""  # 主诉
    present_illness: Clinical = ""  # 现病史
    past_history: Clinical = ""  # 既往史
    examination: Clinical = ""  # 体格检查
    plan: Clinical = ""  # 处理意见
    pressure: Clinical = ""  # 血压, 158/94
    pulse: Clinical = ""  # 心率
    temperature: Clinical = ""  # 体温
    breaths: Clinical = ""  # 呼吸
    oxygen: Clinical = ""  # 血氧
    body: Clinical = ""  # 体重/身高, 74/170


class ChosenDiagnosis(Message):
    """A diagnosis on the draft. The first one is the main one."""

    icd10: Plain
    name: Clinical
    addition: Clinical = ""


class Desk(Message):
    """A doctor's desk 案头 for one visit: the drafts of the note; the basket's is with orders."""

    encounter: EncounterId
    author: Plain
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    note: NoteId
    text: NoteText
    diagnoses: tuple[ChosenDiagnosis, ...]
    opened_at: Instant
    saved_at: Instant | None = None  # of the note's draft; None while nothing is typed


class Called(Message):
    """The patient who was called, and whose visit is open now."""

    encounter: EncounterId
    number: Plain
    name: Identifying


class Signed(Message):
    """What one press of the key signed, and what has to wait because its board is away."""

    note: NoteId | None
    group: OrderGroupId | None
    lines: int = 0
    note_waits: bool = False
    orders_wait: bool = False


class DeskNotFound(NotFound):
    """请先从候诊列表打开该患者的就诊。"""


class NoQueue(NotFound):
    """今天没有为您排班的候诊队列，请联系分诊台。"""


class NothingToSign(Conflict):
    """没有可签名的病历或医嘱。"""


class NoteIncomplete(Invalid):
    """病历还缺少{missing}，补全后再签名。"""

    missing: Plain


class VitalUnreadable(Invalid):
    """生命体征“{vital}”无法识别，请按示例填写：{example}。"""

    vital: Plain
    example: Plain


class DiagnosisNotFound(NotFound):
    """没有找到与“{text}”相符的诊断。"""

    text: Clinical


class NoEarlierNote(NotFound):
    """该患者没有可引用的病历。"""


@contract("clinic")
class Clinic(Protocol):
    """A doctor's desk for a visit: open it, write on it, sign what is on it."""

    @command(permission="clinic.work")
    async def open(self, encounter: EncounterId) -> Desk:
        """Open a visit; opening again finds the desk as it was left. Refuses as
        ``encounters.get`` does."""
        ...

    @command(permission="clinic.work")
    async def call_next(self, doctor: StaffId) -> Called:
        """Call the next patient of the doctor's sessions today and open the visit: one key.
        Refuses with ``NoQueue``, and as ``calling.call_next`` does."""
        ...

    @query(permission="clinic.work")
    async def desk(self, encounter: EncounterId) -> Desk:
        """The asking doctor's own desk. Refuses with ``DeskNotFound``."""
        ...

    @query(permission="clinic.work", audited=False)
    async def person(self, encounter: EncounterId) -> tuple[PatientId, ...]:
        """All ids of the person at this desk, from a copy of the index's merges. Refuses with
        ``DeskNotFound``."""
        ...

    @command(permission="clinic.work", audited=False)
    async def keep(self, encounter: EncounterId, note: NoteId, text: NoteText) -> Desk:
        """Keep what is typed. What comes late for a note that is signed already is dropped.
        Refuses with ``DeskNotFound``."""
        ...

    @command(permission="clinic.work", audited=False)
    async def diagnose(self, encounter: EncounterId, text: Clinical) -> Desk:
        """Add the likeliest diagnosis for a code, a name or initials; one that is there already
        moves nowhere. Refuses with ``DeskNotFound`` or ``DiagnosisNotFound``."""
        ...

    @command(permission="clinic.work", audited=False)
    async def undiagnose(self, encounter: EncounterId, icd10: Plain) -> Desk:
        """Take a diagnosis off the draft. Refuses with ``DeskNotFound``."""
        ...

    @command(permission="clinic.work", audited=False)
    async def make_main(self, encounter: EncounterId, icd10: Plain) -> Desk:
        """Put a diagnosis first. Refuses with ``DeskNotFound``."""
        ...

    @command(permission="clinic.work")
    async def reuse_note(self, encounter: EncounterId) -> Desk:
        """Fill the empty fields from the person's last note 引用上次; what is typed stays. Refuses
        with ``DeskNotFound`` or ``NoEarlierNote``."""
        ...

    @command(permission="clinic.work")
    async def sign(self, encounter: EncounterId, text: NoteText) -> Signed:
        """Sign the basket, and the note if one was written. A board that is away leaves its part
        a draft.

        Refuses with ``DeskNotFound``, ``NothingToSign``, ``NoteIncomplete``, ``VitalUnreadable``,
        and as ``orders.sign`` and ``records.sign`` do.
        """
        ...

"""Records 电子病历: what was written about a visit, and who answers for it.

A note 病历 begins with a signature: until then it is a draft at the doctor's workstation. A
signed version never changes. A correction 更正 is a new version with a reason, which points at the
one it corrects by number and by hash; both stay readable.
"""

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
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, NoteId, PatientId


class Vitals(Message):
    """生命体征, as measured; what was not measured is absent."""

    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    pulse_per_min: int | None = None
    temperature_c: Decimal | None = None
    breaths_per_min: int | None = None
    oxygen_percent: int | None = None
    height_cm: Decimal | None = None
    weight_kg: Decimal | None = None


class Certainty(StrEnum):
    CONFIRMED = "confirmed"  # 确诊
    SUSPECTED = "suspected"  # 疑似


class Diagnosis(Message):
    """诊断 by ICD-10 code, with its name as it was when signed and the doctor's own addition."""

    icd10: Plain
    name: Clinical = ""  # filled in from the catalogue when signed
    addition: Clinical = ""  # 分级、分期、部位, such as 3 级 很高危
    certainty: Certainty = Certainty.CONFIRMED


class NoteContent(Message):
    """An outpatient note. The first diagnosis is the main one."""

    complaint: Clinical  # 主诉
    present_illness: Clinical = ""  # 现病史
    past_history: Clinical = ""  # 既往史
    examination: Clinical = ""  # 体格检查
    vitals: Vitals = Vitals()
    diagnoses: tuple[Diagnosis, ...] = ()
    plan: Clinical = ""  # 处理意见


class SignNote(Message):
    """A request to sign a first version. The same ``id`` again is the same note."""

    id: NoteId
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    content: NoteContent


class CorrectNote(Message):
    """A request to sign a corrected version in place of ``version``, which must be the newest."""

    note: NoteId
    version: int
    content: NoteContent
    reason: Clinical


class NoteVersion(Message):
    """One signed version. ``content_hash`` covers everything here but itself."""

    note: NoteId
    version: int
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    author: Plain  # the actor who signed, such as staff:…
    signed_at: Instant
    content_hash: Plain
    content: NoteContent
    reason: Clinical = ""  # why it was corrected; empty for the first version
    corrects: int | None = None
    corrects_hash: Plain | None = None


class DiagnosisChoice(Message):
    """A diagnosis as the catalogue offers it today."""

    icd10: Plain
    name_zh: Plain
    name_en: Plain
    pinyin: Plain
    sex: Plain = ""  # set when it exists in one sex only: male or female
    is_notifiable: bool = False  # 法定传染病，须报告


class NoteSigned(Event, tag="records.note.signed.v1", key="encounter"):
    """A version was signed. The text stays in this board; who may read it asks for it."""

    note: NoteId
    version: int
    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    author: Plain
    signed_at: Instant
    icd10: tuple[Plain, ...]
    content_hash: Plain
    corrects: int | None = None


class NoteNotFound(NotFound):
    """没有这份病历。"""


class ComplaintMissing(Invalid):
    """请填写主诉。"""


class DiagnosisMissing(Invalid):
    """请至少填写一个诊断。"""


class DiagnosisUnknown(Invalid):
    """诊断编码 {icd10} 不在目录中或已停用。"""

    icd10: Plain


class DiagnosisTwice(Invalid):
    """诊断 {icd10} 重复。"""

    icd10: Plain


class VitalImplausible(Invalid):
    """生命体征“{vital}”的数值不合理，请核对。"""

    vital: Plain


class ReasonMissing(Invalid):
    """更正病历须写明理由。"""


class NothingCorrected(Invalid):
    """内容与原版本相同，没有可更正之处。"""


class CorrectedMeanwhile(Conflict):
    """该病历已有第 {version} 版，请在最新版本上更正。"""

    version: int


@contract("records")
class Records(Protocol):
    """Signing notes, correcting them, and reading them as they were signed."""

    @command(permission="records.sign")
    async def sign(self, request: SignNote) -> NoteVersion:
        """Sign a note's first version. Refuses with ``ComplaintMissing``, ``DiagnosisMissing``,
        ``DiagnosisUnknown``, ``DiagnosisTwice`` or ``VitalImplausible``."""
        ...

    @command(permission="records.sign")
    async def correct(self, request: CorrectNote) -> NoteVersion:
        """Sign a corrected version. Refuses as ``sign`` does, and with ``NoteNotFound``,
        ``ReasonMissing``, ``NothingCorrected`` or ``CorrectedMeanwhile``."""
        ...

    @query(permission="records.read")
    async def versions(self, note: NoteId) -> tuple[NoteVersion, ...]:
        """Every version of a note, the newest first, at most 100. Refuses with
        ``NoteNotFound``."""
        ...

    @query(permission="records.read")
    async def for_encounter(self, encounter: EncounterId) -> tuple[NoteVersion, ...]:
        """The newest version of each of the encounter's notes, oldest note first, at most 50."""
        ...

    @query(permission="records.read")
    async def for_patient(
        self, patients: tuple[PatientId, ...], limit: int = 20
    ) -> tuple[NoteVersion, ...]:
        """The newest version of a person's notes, newest first; all numbers of a merged person
        are given, so that a note opens from each of them."""
        ...

    @query(permission="records.read", audited=False)
    async def search_diagnoses(self, text: Plain, limit: int = 20) -> tuple[DiagnosisChoice, ...]:
        """Diagnoses by ICD-10 code, name or pinyin initials, at most 20."""
        ...

    @query(permission="records.read", audited=False)
    async def diagnoses(self, codes: tuple[Plain, ...]) -> tuple[DiagnosisChoice, ...]:
        """These diagnoses, in the order asked, the unknown ones left out; at most 50."""
        ...

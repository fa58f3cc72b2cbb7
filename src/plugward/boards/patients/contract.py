"""Patients 患者主索引: who somebody is, whichever campus, card or spelling they come with.

A person is registered once: the same valid ID card at another campus gives the same patient with a
second local number. Without a certain match there is a new patient and, if somebody looks alike, a
candidate for the steward. Two valid, different ID cards are two people, however alike. A merge and
its undoing are facts about a link: no record is rewritten, every record keeps the id it was written
under, and questions about a person take the set of ids ``person_of`` answers.
"""

from datetime import date
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import (
    Clinical,
    Conflict,
    Event,
    Identifying,
    Invalid,
    Masked,
    Message,
    NotFound,
    Plain,
    command,
    contract,
    query,
)
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, EncounterId, Identifier, PatientId, Sex

AllergyId = NewType("AllergyId", UUID)

ID_CARD = "cn-id-card"
"""居民身份证, 18 places with a check digit: the one identifier that decides by itself."""
INSURANCE_NO = "insurance-no"
"""医保号 (模拟)."""
PASSPORT = "passport"
"""护照."""


class ContactKind(StrEnum):
    PHONE = "phone"  # 电话
    GUARDIAN_PHONE = "guardian-phone"  # 监护人电话
    ADDRESS = "address"  # 住址


class Contact(Message):
    """One way to reach somebody. Contacts are added; the first phone stays the first."""

    kind: ContactKind
    value: Masked


class LocalNumber(Message):
    """门诊号: the number a campus knows the patient by."""

    campus: CampusCode
    value: Identifying


class CoverageKind(StrEnum):
    EMPLOYEE = "employee"  # 职工医保
    RESIDENT = "resident"  # 居民医保
    COMMERCIAL = "commercial"  # 商业保险
    SELF_PAY = "self-pay"  # 自费


class Coverage(Message):
    """医保参保. Simulated: no insurer has been asked."""

    kind: CoverageKind = CoverageKind.SELF_PAY
    number: Masked = ""
    region: Plain = ""
    has_chronic_supplement: bool = False  # 门特
    is_simulated: bool = True


class AllergyState(StrEnum):
    """What is known. *Not asked* is a state of its own and never reads as *none*."""

    PRESENT = "present"  # 有过敏
    NONE_KNOWN = "none-known"  # 已询问，无
    NOT_ASKED = "not-asked"  # 未询问


class AllergySource(StrEnum):
    PATIENT = "patient"  # 患者自述
    FAMILY = "family"  # 家属代述
    CLINICIAN = "clinician"  # 医护观察
    TEST = "test"  # 皮试
    OUTSIDE = "outside"  # 外院或外部系统


class Severity(StrEnum):
    MILD = "mild"  # 轻
    MODERATE = "moderate"  # 中
    SEVERE = "severe"  # 重


class RecordAllergy(Message):
    """One allergy somebody told or saw. ``substance`` is a drug code where there is one."""

    id: AllergyId
    patient: PatientId
    substance: Plain  # 青霉素, or a code of the drug catalogue
    reaction: Clinical = ""
    severity: Severity = Severity.MODERATE
    source: AllergySource = AllergySource.PATIENT


class Allergy(Message):
    """An allergy with who wrote it, where and when. A refuted one stays, with the reason."""

    id: AllergyId
    patient: PatientId
    substance: Plain
    reaction: Clinical
    severity: Severity
    source: AllergySource
    campus: CampusCode
    recorded_by: Plain
    recorded_at: Instant
    refuted_because: Clinical | None = None


class RegisterPatient(Message):
    """Somebody stands at the desk. ``id`` is used if this turns out to be somebody new."""

    id: PatientId
    campus: CampusCode
    name: Identifying
    sex: Sex = Sex.UNKNOWN
    birth_date: date | None = None
    identifiers: tuple[Identifier, ...] = ()
    contacts: tuple[Contact, ...] = ()
    coverage: Coverage | None = None
    local_number: Identifying = ""  # given by the campus's own system; else one is issued
    source: Plain = "plugward"  # the system that sent it


class UpdatePatient(Message):
    """What is to be added or put right. What is not given stays as it is."""

    patient: PatientId
    name: Identifying | None = None
    sex: Sex | None = None
    birth_date: date | None = None
    identifiers: tuple[Identifier, ...] = ()  # added
    contacts: tuple[Contact, ...] = ()  # added
    coverage: Coverage | None = None
    source: Plain = "plugward"


class Patient(Message):
    """What the index knows of one id. ``person`` is the id of the whole person.

    The allergies are those of the person: of every id that is merged with this one, each with the
    id (``patient``) it was written under.
    """

    id: PatientId
    person: PatientId
    name: Identifying
    pinyin: Identifying  # initials, 沈玉兰 → SYL
    sex: Sex
    birth_date: date | None
    identifiers: tuple[Identifier, ...]
    local_numbers: tuple[LocalNumber, ...]
    contacts: tuple[Contact, ...]
    coverage: Coverage
    allergy_state: AllergyState
    allergies: tuple[Allergy, ...]
    campus: CampusCode  # where first registered
    registered_at: Instant

    @property
    def phone(self) -> str:
        """The first phone number, or nothing."""
        return next((c.value for c in self.contacts if c.kind is ContactKind.PHONE), "")

    def identifier(self, system: str) -> str:
        """The number in one system, or nothing."""
        return next((i.value for i in self.identifiers if i.system == system), "")

    def local_number(self, campus: str) -> str:
        """The number at one campus, or nothing."""
        return next((n.value for n in self.local_numbers if n.campus == campus), "")


class PatientSummary(Message):
    """A patient in a list: enough to be sure who it is, and not more."""

    id: PatientId
    person: PatientId
    name: Identifying
    sex: Sex
    birth_date: date | None
    local_number: Identifying  # at the campus of the caller, else the first
    phone_end: Identifying  # last four digits
    id_card_end: Identifying  # last four places
    coverage: CoverageKind
    allergy_state: AllergyState


class PatientName(Message):
    """Whom an id stands for: what a number or a label needs to know of somebody."""

    id: PatientId
    person: PatientId
    name: Identifying
    birth_date: date | None


class MatchOutcome(StrEnum):
    NEW = "new"  # 新建
    LINKED = "linked"  # 与已有患者为同一人
    REVIEW = "review"  # 新建，并待人工核对


class Candidate(Message):
    """Two ids that may be one person. ``evidence`` names what agrees, never the values."""

    patient: PatientId
    other: PatientId
    score_percent: int
    evidence: tuple[Plain, ...]


class Registration(Message):
    """What became of a registration: the patient, and whether somebody must look."""

    patient: Patient
    outcome: MatchOutcome
    candidates: tuple[Candidate, ...] = ()


class Sent(Message):
    """What a system sent about somebody, as it sent it."""

    name: Identifying | None
    sex: Sex | None
    birth_date: date | None
    identifiers: tuple[Identifier, ...]
    contacts: tuple[Contact, ...]
    coverage: Coverage | None
    source: Plain


class SentRecord(Message):
    """One thing that was sent, and what became of it. Records are only ever added."""

    id: UUID
    patient: PatientId
    campus: CampusCode
    at: Instant
    author: Plain
    outcome: MatchOutcome
    sent: Sent


class TimelineKind(StrEnum):
    REGISTERED = "registered"  # 建档
    VISIT = "visit"  # 就诊
    NOTE = "note"  # 病历
    REPORT = "report"  # 报告
    MERGED = "merged"  # 合并
    UNMERGED = "unmerged"  # 拆分


class TimelineEntry(Message):
    """Something that happened to a person, under the id it was written under."""

    id: UUID
    patient: PatientId
    campus: CampusCode
    at: Instant
    kind: TimelineKind
    title: Clinical
    encounter: EncounterId | None = None
    reference: UUID | None = None


class PatientRegistered(Event, tag="patients.patient.registered.v1", key="patient.id"):
    """Somebody new has an id."""

    patient: Patient


class PatientUpdated(Event, tag="patients.patient.updated.v1", key="patient.id"):
    """Something was added or put right: also a second campus's number, or an allergy."""

    patient: Patient


class PatientMerged(Event, tag="patients.patient.merged.v1", key="patient"):
    """``patient`` is now part of the person ``into``; ``ids`` are all ids of that person."""

    patient: PatientId
    into: PatientId
    ids: tuple[PatientId, ...]
    reason: Plain
    author: Plain


class PatientUnmerged(Event, tag="patients.patient.unmerged.v1", key="patient"):
    """``patient`` is a person of its own again, with ``ids``; ``out_of`` keeps the others."""

    patient: PatientId
    out_of: PatientId
    ids: tuple[PatientId, ...]
    reason: Plain
    author: Plain


class DuplicateSuspected(Event, tag="patients.duplicate.suspected.v1", key="candidate.patient"):
    """A steward should look whether these two are one person."""

    candidate: Candidate


class PatientNotFound(NotFound):
    """没有找到该患者。"""


class AllergyNotFound(NotFound):
    """没有这条过敏记录。"""


class NameMissing(Invalid):
    """请填写姓名；无法得知时请写“无名氏”加到院时间。"""


class IdCardInvalid(Invalid):
    """身份证号校验不通过，请核对后重新录入。"""


class BirthDateOffCard(Invalid):
    """出生日期与身份证不符；如为监护人的证件，请勿填作患者证件。"""


class IdentifierTaken(Conflict):
    """该证件号或门诊号已属于另一位患者，请先核对身份。"""

    system: Plain
    other: PatientId


class SearchTooShort(Invalid):
    """请至少输入 {places_min} 个字符再查找。"""

    places_min: int


class DifferentIdCards(Conflict):
    """两份档案的身份证号均有效但不同，是两个人，不能合并。"""


class AlreadyMerged(Conflict):
    """这两份档案已经是同一人。"""


class NotMerged(Conflict):
    """该档案没有被合并，无需拆分。"""


class AllergiesOnRecord(Conflict):
    """档案中有过敏记录，不能记为“无过敏”；如有误请先逐条更正。"""


@contract("patients")
class Patients(Protocol):
    """The index of persons: registering, finding, merging, allergies."""

    @command(permission="patients.register")
    async def register(self, request: RegisterPatient) -> Registration:
        """Match and register. The same valid ID card is the same person, unless it is plainly a
        guardian's: then the newcomer is somebody else without a card. Refuses with ``NameMissing``,
        ``IdCardInvalid``, ``BirthDateOffCard`` or ``IdentifierTaken``."""
        ...

    @command(permission="patients.update")
    async def update(self, request: UpdatePatient) -> Patient:
        """Add or put right. Refuses with ``PatientNotFound``, ``NameMissing``, ``IdCardInvalid`` or
        ``IdentifierTaken``."""
        ...

    @command(permission="patients.allergy")
    async def record_allergy(self, request: RecordAllergy) -> Patient:
        """Write down one allergy. Refuses with ``PatientNotFound``."""
        ...

    @command(permission="patients.allergy")
    async def declare_no_allergies(self, patient: PatientId, source: AllergySource) -> Patient:
        """The patient was asked and knows of none. Refuses with ``PatientNotFound`` or
        ``AllergiesOnRecord``."""
        ...

    @command(permission="patients.allergy")
    async def refute_allergy(self, allergy: AllergyId, reason: Clinical) -> Patient:
        """An entry was wrong; it stays with the reason. Refuses with ``AllergyNotFound``."""
        ...

    @command(permission="patients.merge")
    async def merge(self, patient: PatientId, into: PatientId, reason: Plain) -> Patient:
        """From now on both are one person, led by ``into``. Refuses with ``PatientNotFound``,
        ``AlreadyMerged`` or ``DifferentIdCards``."""
        ...

    @command(permission="patients.merge")
    async def unmerge(self, patient: PatientId, reason: Plain) -> Patient:
        """Undo the merge of ``patient``. Refuses with ``PatientNotFound`` or ``NotMerged``."""
        ...

    @command(permission="patients.merge")
    async def dismiss_candidate(self, patient: PatientId, other: PatientId, reason: Plain) -> None:
        """The two are not one person: the candidate leaves the work list for good."""
        ...

    @query(permission="patients.read")
    async def get(self, patient: PatientId) -> Patient:
        """One patient. Refuses with ``PatientNotFound``."""
        ...

    @query(permission="patients.read")
    async def many(self, wanted: tuple[PatientId, ...]) -> tuple[Patient, ...]:
        """Whole patients in one go, in the order asked, at most 50; unknown ids are left out."""
        ...

    @query(permission="patients.read")
    async def identify(self, system: Plain, value: Identifying) -> Patient | None:
        """Whose number this is, if anybody's. A campus's own number has the system
        ``local-no.C1``."""
        ...

    @query(permission="patients.read")
    async def person_of(self, patient: PatientId) -> tuple[PatientId, ...]:
        """All ids of the person, the leading one first. Refuses with ``PatientNotFound``."""
        ...

    @query(permission="patients.read")
    async def summaries(self, wanted: tuple[PatientId, ...]) -> tuple[PatientSummary, ...]:
        """The patients of a list page in one go, at most 200; unknown ids are left out."""
        ...

    @query(permission="patients.read")
    async def names(self, wanted: tuple[PatientId, ...]) -> tuple[PatientName, ...]:
        """Whom these ids stand for, at most 200; unknown ids are left out."""
        ...

    @query(permission="patients.read")
    async def find(self, text: Identifying, limit: int = 20) -> tuple[PatientSummary, ...]:
        """Patients by name, pinyin initials, number at a campus, last four digits of the phone, or
        the whole of a card number; at most 20. Refuses with ``SearchTooShort``."""
        ...

    @query(permission="patients.read")
    async def timeline(
        self, wanted: tuple[PatientId, ...], before: Instant | None = None, limit: int = 50
    ) -> tuple[TimelineEntry, ...]:
        """What happened to a person at the caller's campuses, newest first; ``wanted`` is
        ``person_of``'s answer."""
        ...

    @query(permission="patients.merge")
    async def sent(self, patient: PatientId) -> tuple[SentRecord, ...]:
        """What was sent about one id, as it was sent, newest first, at most 200."""
        ...

    @query(permission="patients.merge")
    async def candidates(self, limit: int = 50) -> tuple[Candidate, ...]:
        """The steward's work list, the likeliest first."""
        ...


def local_system(campus: str) -> str:
    """The identifier system of a campus's own numbers."""
    return f"local-no.{campus}"

"""The rules of records: what may be signed, and the hash that seals it. Pure functions."""

from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

import msgspec

from plugward.commons.masterdata.contract import Domain, Entry
from plugward.kit.time import Instant

from .contract import (
    ComplaintMissing,
    Diagnosis,
    DiagnosisChoice,
    DiagnosisMissing,
    DiagnosisTwice,
    DiagnosisUnknown,
    NoteContent,
    NoteSigned,
    NoteVersion,
    VitalImplausible,
    Vitals,
)

_SEXES = {"M": "male", "F": "female", "男": "male", "女": "female"}

# What a living person can have. Outside it is a slip of the pen (3.65 for 36.5), not a finding.
PLAUSIBLE: Mapping[str, tuple[Decimal, Decimal]] = {
    "systolic_mmhg": (Decimal(30), Decimal(320)),
    "diastolic_mmhg": (Decimal(10), Decimal(220)),
    "pulse_per_min": (Decimal(10), Decimal(350)),
    "temperature_c": (Decimal(25), Decimal(45)),
    "breaths_per_min": (Decimal(2), Decimal(120)),
    "oxygen_percent": (Decimal(20), Decimal(100)),
    "height_cm": (Decimal(20), Decimal(260)),
    "weight_kg": (Decimal("0.3"), Decimal(400)),
}
VITAL_NAMES: Mapping[str, str] = {
    "systolic_mmhg": "收缩压",
    "diastolic_mmhg": "舒张压",
    "pulse_per_min": "心率",
    "temperature_c": "体温",
    "breaths_per_min": "呼吸",
    "oxygen_percent": "血氧",
    "height_cm": "身高",
    "weight_kg": "体重",
}


class DiagnosisVersion(DiagnosisChoice, kw_only=True):
    """One published version of a diagnosis, in force or to come."""

    version: int
    valid_from: Instant
    valid_to: Instant | None
    is_retired: bool


def check_content(
    content: NoteContent, known: Mapping[str, DiagnosisChoice]
) -> tuple[Diagnosis, ...]:
    """The diagnoses with their names of today, or the refusal of a note that is not whole."""
    if not content.complaint.strip():
        raise ComplaintMissing
    if not content.diagnoses:
        raise DiagnosisMissing
    check_vitals(content.vitals)
    named: dict[str, Diagnosis] = {}
    for diagnosis in content.diagnoses:
        choice = known.get(diagnosis.icd10)
        if choice is None:
            raise DiagnosisUnknown(icd10=diagnosis.icd10)
        if diagnosis.icd10 in named:
            raise DiagnosisTwice(icd10=diagnosis.icd10)
        named[diagnosis.icd10] = diagnosis.replace(name=choice.name_zh)
    return tuple(named.values())


def vitals_in_words(vitals: Vitals) -> str:
    """What was measured, as a sentence; what was not measured is not mentioned."""
    said = []
    if vitals.systolic_mmhg is not None and vitals.diastolic_mmhg is not None:
        said.append(f"血压 {vitals.systolic_mmhg}/{vitals.diastolic_mmhg} mmHg")
    for name, value, unit in (
        ("脉搏", vitals.pulse_per_min, "次/分"),
        ("体温", vitals.temperature_c, "℃"),
        ("呼吸", vitals.breaths_per_min, "次/分"),
        ("血氧饱和度", vitals.oxygen_percent, "%"),
        ("身高", vitals.height_cm, "cm"),
        ("体重", vitals.weight_kg, "kg"),
    ):
        if value is not None:
            said.append(f"{name} {value} {unit}")
    return "，".join(said)


def check_vitals(vitals: Vitals) -> None:
    """Refuse what nobody can have, and a systolic pressure not above the diastolic."""
    for name, (low, high) in PLAUSIBLE.items():
        value = getattr(vitals, name)
        if value is not None and not low <= value <= high:
            raise VitalImplausible(vital=VITAL_NAMES[name])
    systolic, diastolic = vitals.systolic_mmhg, vitals.diastolic_mmhg
    if systolic is not None and diastolic is not None and systolic <= diastolic:
        raise VitalImplausible(vital="血压")


def sealed(version: NoteVersion) -> NoteVersion:
    """The version with the hash of everything in it, the hash it corrects among it."""
    return version.replace(content_hash=hash_of(version))


def hash_of(version: NoteVersion) -> str:
    """SHA-256 over the version's canonical JSON without its own hash.

    Fields keep the order of their definition, a field that is added later and still has its
    default is left out; so an old version hashes alike under a newer program.
    """
    bare = msgspec.to_builtins(version.replace(content_hash=""))
    return sha256(msgspec.json.encode(_without_defaults(bare), order="deterministic")).hexdigest()


def _without_defaults(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: _without_defaults(part) for key, part in value.items()}
        return {key: part for key, part in kept.items() if part not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_without_defaults(part) for part in value]
    return value


def told(version: NoteVersion) -> NoteSigned:
    """What other boards learn of a signature: who, when, which diagnoses; never the text."""
    return NoteSigned(
        note=version.note,
        version=version.version,
        encounter=version.encounter,
        patient=version.patient,
        campus=version.campus,
        department=version.department,
        author=version.author,
        signed_at=version.signed_at,
        icd10=tuple(diagnosis.icd10 for diagnosis in version.content.diagnoses),
        content_hash=version.content_hash,
        corrects=version.corrects,
    )


def diagnosis_of(entry: Entry) -> DiagnosisVersion | None:
    """The diagnosis a catalogue entry describes."""
    if entry.domain is not Domain.DIAGNOSIS:
        return None
    return DiagnosisVersion(
        icd10=entry.code,
        version=entry.version,
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        pinyin=entry.pinyin,
        sex=_SEXES.get(entry.attribute("sex_limit"), ""),
        is_notifiable=entry.attribute("notifiable") == "Y",
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        is_retired=entry.is_retired,
    )

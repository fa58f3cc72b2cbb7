"""C0002 门(急)诊病历: a signed note as a shared document."""

from uuid import UUID

from plugward.boards.patients.contract import AllergyState, Patient, Patients
from plugward.kernel.documents import Coded, Element, Entry, Section, Sheet, Text, YesNo, document
from plugward.kit.ids import derive
from plugward.vocabulary import NoteId

from .contract import Diagnosis, NoteContent, NoteVersion, Records
from .rules import vitals_in_words

ICD10 = "2.16.156.10011.2.3.3.11"
REMARK_MAX = 100
ASKED = {AllergyState.PRESENT: True, AllergyState.NONE_KNOWN: False}


@document("C0002")
async def outpatient_record(id: UUID, records: Records, patients: Patients) -> Sheet:
    """门诊病历：最新的签名版本；更正指向它所替代的版本。"""
    newest = (await records.versions(NoteId(id)))[0]
    patient = await patients.get(newest.patient)
    return Sheet(
        id=version_id(newest.note, newest.version),
        set=newest.note,
        version=newest.version,
        patient=newest.patient,
        encounter=newest.encounter,
        campus=newest.campus,
        department=newest.department,
        author=newest.author,
        signed_at=newest.signed_at,
        sections=_sections(newest, patient),
        replaces=version_id(newest.note, newest.corrects) if newest.corrects else None,
    )


def version_id(note: NoteId, version: int) -> UUID:
    """The document's id: one for each version of a note, always the same."""
    return derive(note, "document", version)


def _sections(note: NoteVersion, patient: Patient) -> tuple[Section, ...]:
    said = note.content
    found = [Section("48765-2", (_allergies(patient),))]
    for code, element, name, text in (
        ("10154-3", "DE04.01.119.00", "主诉", said.complaint),
        ("10164-2", "DE02.10.071.00", "现病史", said.present_illness),
        ("11348-0", "DE02.10.099.00", "既往史", said.past_history),
        ("29545-1", "DE04.10.258.00", "体格检查", _examined(said)),
    ):
        if text.strip():
            found.append(Section(code, (_one(element, name, text.strip()),)))
    if said.diagnoses:
        found.append(Section("29548-5", tuple(map(_diagnosis, said.diagnoses))))
    if said.plan.strip():
        remarks = tuple(_one("DE06.00.179.00", "医嘱备注信息", part) for part in _parts(said.plan))
        found.append(Section("46209-3", remarks))
    return tuple(found)


def _allergies(patient: Patient) -> Entry:
    """Not asked is neither yes nor no: then there is no flag."""
    standing = [a.substance for a in patient.allergies if a.refuted_because is None]
    asked = ASKED.get(patient.allergy_state)
    words = "、".join(dict.fromkeys(standing)) or {None: "未询问", False: "否认过敏史"}.get(
        asked, "有过敏史，过敏物未记录"
    )
    history = Element("DE02.10.022.00", "过敏史", Text(words))
    if asked is None:
        return Entry((history,))
    return Entry((Element("DE02.10.023.00", "过敏史标志", YesNo(asked)), history))


def _examined(said: NoteContent) -> str:
    return "；".join(part for part in (vitals_in_words(said.vitals), said.examination) if part)


def _diagnosis(diagnosis: Diagnosis) -> Entry:
    name = f"{diagnosis.name} {diagnosis.addition}".strip() or diagnosis.icd10
    return Entry(
        (
            Element(
                "DE05.01.024.00",
                "初步诊断-西医诊断编码",
                Coded(diagnosis.icd10, diagnosis.name, ICD10),
            ),
            Element("DE05.01.025.00", "初步诊断-西医诊断名称", Text(name)),
        )
    )


def _one(code: str, name: str, text: str) -> Entry:
    return Entry((Element(code, name, Text(text)),))


def _parts(text: str) -> list[str]:
    """A long plan as several remarks: the standard holds 100 characters in each, nothing is cut."""
    parts = [""]
    for line in text.strip().splitlines():
        for at in range(0, len(line), REMARK_MAX):
            piece = line[at : at + REMARK_MAX]
            if len(parts[-1]) + len(piece) + 1 > REMARK_MAX:
                parts.append(piece)
            else:
                parts[-1] = f"{parts[-1]} {piece}".strip()
    return [part for part in parts if part.strip()]

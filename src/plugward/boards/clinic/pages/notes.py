"""The note: the editor with its draft, the diagnoses, what was signed, corrections."""

from plugward.boards.records.contract import (
    CorrectNote,
    DiagnosisChoice,
    NoteVersion,
    Records,
)
from plugward.kernel import Clinical, Message, Unavailable
from plugward.kernel.pages import Go, View, Viewer, action, page, view
from plugward.vocabulary import EncounterId, NoteId

from ..contract import Clinic, Desk, NoteText, VitalUnreadable
from ..rules import bmi_of, chosen_of, content_of, flags_of, is_blank, text_of, vitals_of
from .words import say

WORK = "clinic.work"


class Correction(Message):
    """Which version is corrected, and why."""

    note: NoteId
    version: int
    reason: Clinical


@page("/clinic/visits/{encounter}/note", title="病历", title_en="Note", permission=WORK)
async def note(
    encounter: EncounterId,
    clinic: Clinic,
    records: Records,
    correct: NoteId | None = None,
) -> View:
    """The editor, and above it what was signed in this visit."""
    desk = await clinic.desk(encounter)
    signed, is_away = await _signed(records, encounter)
    corrected = next((version for version in signed if version.note == correct), None)
    return _editor(desk, signed=signed, is_away=is_away, corrected=corrected)


async def _signed(records: Records, encounter: EncounterId) -> tuple[tuple[NoteVersion, ...], bool]:
    """What is signed already; while records is away the draft can still be written."""
    try:
        return await records.for_encounter(encounter), False
    except Unavailable:
        return (), True


def _editor(
    desk: Desk,
    *,
    signed: tuple[NoteVersion, ...] = (),
    is_away: bool = False,
    corrected: NoteVersion | None = None,
) -> View:
    text = desk.text if corrected is None else text_of(corrected.content)
    return view(
        "note.html",
        desk=desk,
        signed=signed,
        is_away=is_away,
        corrected=corrected,
        text=text,
        has_draft=not is_blank(desk.text) or bool(desk.diagnoses),
        diagnoses=desk.diagnoses if corrected is None else chosen_of(corrected.content),
        flags=_flags(text),
        bmi=_bmi(text),
    )


def _flags(text: NoteText) -> frozenset[str]:
    try:
        return flags_of(vitals_of(text))
    except VitalUnreadable:
        return frozenset()


def _bmi(text: NoteText) -> str:
    try:
        return str(bmi_of(vitals_of(text)) or "")
    except VitalUnreadable:
        return ""


@action("/clinic/visits/{encounter}/draft/{for_note}", title="暂存", permission=WORK)
async def keep_draft(
    encounter: EncounterId, for_note: NoteId, text: NoteText, clinic: Clinic
) -> View:
    """What is being typed, a moment after it was."""
    desk = await clinic.keep(encounter, for_note, text)
    return view("kept.html", desk=desk)


@action("/clinic/visits/{encounter}/reuse", title="引用上次", permission=WORK)
async def reuse(encounter: EncounterId, clinic: Clinic, records: Records) -> View:
    """Fill the empty fields from the last note; what is typed stays."""
    desk = await clinic.reuse_note(encounter)
    signed, is_away = await _signed(records, encounter)
    return _editor(desk, signed=signed, is_away=is_away)


@action("/clinic/visits/{encounter}/correct", title="更正病历", permission=WORK)
async def correct(
    viewer: Viewer,
    encounter: EncounterId,
    correction: Correction,
    text: NoteText,
    records: Records,
) -> Go:
    """Sign a corrected version. The diagnoses stay as they were signed."""
    versions = await records.versions(correction.note)
    content = content_of(text, chosen_of(versions[0].content))
    await records.correct(CorrectNote(**correction.fields(), content=content))
    said = say(viewer, "更正已签名，原版保留", "Correction signed; the first version is kept")
    return Go(f"/clinic/visits/{encounter}", said=said)


# ── diagnoses ────────────────────────────────────────────────────────────────────────────────
@page("/clinic/diagnoses", title="诊断检索", title_en="Diagnosis search", permission=WORK)
async def diagnosis_hits(encounter: EncounterId, records: Records, text: str = "") -> View:
    """What could be meant, while it is being typed."""
    hits: tuple[DiagnosisChoice, ...] = await records.search_diagnoses(text, limit=8)
    return view("diagnosis_hits.html", encounter=encounter, hits=hits)


@action("/clinic/visits/{encounter}/diagnoses", title="添加诊断", permission=WORK)
async def add_diagnosis(encounter: EncounterId, text: str, clinic: Clinic) -> View:
    """The likeliest diagnosis for what was typed."""
    return _diagnoses(await clinic.diagnose(encounter, text), focus=True)


@action("/clinic/visits/{encounter}/diagnoses/remove", title="移除诊断", permission=WORK)
async def remove_diagnosis(encounter: EncounterId, icd10: str, clinic: Clinic) -> View:
    return _diagnoses(await clinic.undiagnose(encounter, icd10))


@action("/clinic/visits/{encounter}/diagnoses/main", title="设为主诊断", permission=WORK)
async def make_main(encounter: EncounterId, icd10: str, clinic: Clinic) -> View:
    return _diagnoses(await clinic.make_main(encounter, icd10))


def _diagnoses(desk: Desk, *, focus: bool = False) -> View:
    return view("diagnoses.html", desk=desk, diagnoses=desk.diagnoses, focus=focus, editable=True)

"""What the records board does. Each public method is one step of the process."""

from sqlalchemy import func, select

from plugward.kernel import (
    AlreadyThere,
    Reading,
    Settings,
    Store,
    Work,
    in_work,
    messages,
    reading,
)
from plugward.vocabulary import EncounterId, NoteId, PatientId

from .contract import (
    CorrectedMeanwhile,
    CorrectNote,
    DiagnosisChoice,
    NoteContent,
    NoteNotFound,
    NoteVersion,
    NothingCorrected,
    ReasonMissing,
    Records,
    SignNote,
)
from .rules import DiagnosisVersion, check_content, sealed, told
from .tables import diagnoses, fits, in_force, likeness, versions

VERSIONS_MAX = 100
NOTES_OF_ENCOUNTER_MAX = 50
HITS_MAX = 20
CODES_MAX = 50


class RecordService(Records):
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self._notes_max: int = settings["notes_max"]

    @in_work
    def sign(self, work: Work, request: SignNote) -> NoteVersion:
        first = work.get_or_none(versions, NoteVersion, (request.id, 1))
        if first is not None:
            return _signed_before(first, request)
        version = NoteVersion(
            note=request.id,
            version=1,
            encounter=request.encounter,
            patient=request.patient,
            campus=request.campus,
            department=request.department,
            author=work.actor.id,
            signed_at=work.now,
            content=_named(work, request.content),
            content_hash="",
        )
        return _add(work, version)

    @in_work
    def correct(self, work: Work, request: CorrectNote) -> NoteVersion:
        newest = work.first(versions, NoteVersion, note=request.note, is_newest=True)
        if newest is None:
            raise NoteNotFound
        if newest.version != request.version:
            raise CorrectedMeanwhile(version=newest.version)
        if not request.reason.strip():
            raise ReasonMissing
        content = _named(work, request.content)
        if content == newest.content:
            raise NothingCorrected
        _supersede(work, newest)
        return _add(
            work,
            newest.replace(
                version=newest.version + 1,
                author=work.actor.id,
                signed_at=work.now,
                content=content,
                reason=request.reason.strip(),
                corrects=newest.version,
                corrects_hash=newest.content_hash,
            ),
        )

    @in_work
    def learn_diagnosis(self, work: Work, diagnosis: DiagnosisVersion) -> None:
        work.save_copy(diagnoses, diagnosis)

    @reading
    def versions(self, read: Reading, note: NoteId) -> tuple[NoteVersion, ...]:
        found = read.find(versions, NoteVersion, limit=VERSIONS_MAX, order_by="-version", note=note)
        if not found:
            raise NoteNotFound
        return found

    @reading
    def for_encounter(self, read: Reading, encounter: EncounterId) -> tuple[NoteVersion, ...]:
        return read.find(
            versions,
            NoteVersion,
            limit=NOTES_OF_ENCOUNTER_MAX,
            order_by="note",
            encounter=encounter,
            is_newest=True,
        )

    @reading
    def for_patient(
        self, read: Reading, patients: tuple[PatientId, ...], limit: int = 20
    ) -> tuple[NoteVersion, ...]:
        return read.find(
            versions,
            NoteVersion,
            limit=max(1, min(limit, self._notes_max)),
            order_by=("-signed_at", "-note"),
            patient=patients,
            is_newest=True,
        )

    @reading
    def search_diagnoses(
        self, read: Reading, text: str, limit: int = 20
    ) -> tuple[DiagnosisChoice, ...]:
        wanted = text.strip()
        if not wanted:
            return ()
        hits = (
            select(*(diagnoses.c[name] for name in DiagnosisChoice.__struct_fields__))
            .where(in_force(read.now), fits(wanted))
            .order_by(likeness(wanted), func.length(diagnoses.c.name_zh), diagnoses.c.icd10)
            .limit(max(1, min(limit, HITS_MAX)))
        )
        return messages(read.rows(hits), DiagnosisChoice)

    @reading
    def diagnoses(self, read: Reading, codes: tuple[str, ...]) -> tuple[DiagnosisChoice, ...]:
        known = _known(read, codes)
        return tuple(known[code] for code in codes if code in known)


def _add(work: Work, version: NoteVersion) -> NoteVersion:
    signed = sealed(version)
    work.insert(versions, signed, is_newest=True)
    work.publish(told(signed))
    return signed


def _supersede(work: Work, newest: NoteVersion) -> None:
    """Of two corrections at once one is first; the other finds its version superseded."""
    done = work.set_where(
        versions,
        versions.c.note == newest.note,
        versions.c.version == newest.version,
        versions.c.is_newest.is_(True),
        is_newest=False,
    )
    if done != 1:
        raise CorrectedMeanwhile(version=newest.version + 1)


def _signed_before(first: NoteVersion, request: SignNote) -> NoteVersion:
    """The same note asked for again under another request: what was signed, or a clash of ids."""
    bare = first.content.replace(
        diagnoses=tuple(d.replace(name="") for d in first.content.diagnoses)
    )
    asked = request.content.replace(
        diagnoses=tuple(d.replace(name="") for d in request.content.diagnoses)
    )
    where = (first.encounter, first.patient, first.campus, first.department)
    if bare != asked or where != (
        request.encounter,
        request.patient,
        request.campus,
        request.department,
    ):
        raise AlreadyThere
    return first


def _named(work: Work, content: NoteContent) -> NoteContent:
    known = _known(work, tuple(diagnosis.icd10 for diagnosis in content.diagnoses))
    return content.replace(diagnoses=check_content(content, known))


def _known(read: Reading, codes: tuple[str, ...]) -> dict[str, DiagnosisChoice]:
    if not codes:
        return {}
    found = read.find(
        diagnoses,
        DiagnosisChoice,
        in_force(read.now),
        limit=CODES_MAX,
        icd10=codes[:CODES_MAX],
    )
    return {choice.icd10: choice for choice in found}

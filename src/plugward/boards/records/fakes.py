"""The fake records board for other boards' tests. Held to the contract by this board's tests."""

from plugward.kit.time import Instant
from plugward.vocabulary import EncounterId, NoteId, PatientId

from .contract import (
    ComplaintMissing,
    CorrectedMeanwhile,
    CorrectNote,
    DiagnosisChoice,
    DiagnosisMissing,
    NoteNotFound,
    NoteVersion,
    Records,
    SignNote,
)


class FakeRecords(Records):
    """Keeps signed notes in memory. ``catalogue`` is the diagnoses it can find."""

    def __init__(
        self,
        catalogue: tuple[DiagnosisChoice, ...] = (),
        *,
        now: Instant | None = None,
        author: str = "staff:tester",
    ) -> None:
        self.catalogue = {choice.icd10: choice for choice in catalogue}
        self.notes: dict[NoteId, list[NoteVersion]] = {}
        self.now = now
        self.author = author

    async def sign(self, request: SignNote) -> NoteVersion:
        if request.id in self.notes:
            return self.notes[request.id][0]
        if not request.content.complaint.strip():
            raise ComplaintMissing
        if not request.content.diagnoses:
            raise DiagnosisMissing
        version = NoteVersion(
            note=request.id,
            version=1,
            encounter=request.encounter,
            patient=request.patient,
            campus=request.campus,
            department=request.department,
            author=self.author,
            signed_at=self._time(),
            content=request.content,
            content_hash=f"{request.id.hex}-1",
        )
        self.notes[request.id] = [version]
        return version

    async def correct(self, request: CorrectNote) -> NoteVersion:
        newest = (await self.versions(request.note))[0]
        if newest.version != request.version:
            raise CorrectedMeanwhile(version=newest.version)
        version = newest.replace(
            version=newest.version + 1,
            signed_at=self._time(),
            content=request.content,
            reason=request.reason,
            corrects=newest.version,
            corrects_hash=newest.content_hash,
            content_hash=f"{request.note.hex}-{newest.version + 1}",
        )
        self.notes[request.note].append(version)
        return version

    async def versions(self, note: NoteId) -> tuple[NoteVersion, ...]:
        if note not in self.notes:
            raise NoteNotFound
        return tuple(reversed(self.notes[note]))

    async def for_encounter(self, encounter: EncounterId) -> tuple[NoteVersion, ...]:
        return tuple(v[-1] for v in self.notes.values() if v[-1].encounter == encounter)

    async def for_patient(
        self, patients: tuple[PatientId, ...], limit: int = 20
    ) -> tuple[NoteVersion, ...]:
        found = [v[-1] for v in self.notes.values() if v[-1].patient in patients]
        return tuple(reversed(found))[:limit]

    async def search_diagnoses(self, text: str, limit: int = 20) -> tuple[DiagnosisChoice, ...]:
        wanted = text.strip().upper()
        hits = [
            c
            for c in self.catalogue.values()
            if wanted and (c.icd10.startswith(wanted) or wanted in c.pinyin or wanted in c.name_zh)
        ]
        return tuple(hits[: min(limit, 20)])

    async def diagnoses(self, codes: tuple[str, ...]) -> tuple[DiagnosisChoice, ...]:
        return tuple(self.catalogue[code] for code in codes if code in self.catalogue)

    def _time(self) -> Instant:
        if self.now is None:
            raise AssertionError("give FakeRecords(now=…) before signing with it")
        return self.now

"""What the index does: each method is one step of knowing who somebody is."""

from uuid import UUID

from plugward.kernel import (
    Clinical,
    Identifying,
    Plain,
    Reading,
    Store,
    Work,
    in_work,
    reading,
)
from plugward.kit.time import Clock, Instant
from plugward.vocabulary import CampusCode, Identifier, PatientId

from ..contract import (
    AllergiesOnRecord,
    Allergy,
    AllergyId,
    AllergyNotFound,
    AllergySource,
    AllergyState,
    Candidate,
    MatchOutcome,
    NameMissing,
    Patient,
    PatientName,
    Patients,
    PatientSummary,
    PatientUpdated,
    RecordAllergy,
    RegisterPatient,
    Registration,
    SentRecord,
    TimelineEntry,
    UpdatePatient,
)
from ..rules import folded, pinyin_full, pinyin_initials, tidy, tidy_contacts, tidy_identifiers
from ..tables import allergies, candidates, patients, records, timeline
from . import finding, matching, merging
from .persons import load, load_many, names_of, person_of, row_of, summarise

LIST_MAX = 200


class PatientService(Patients):
    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock

    # ── registering ─────────────────────────────────────────────────────────────────────────
    @in_work
    def register(self, work: Work, request: RegisterPatient) -> Registration:
        matched = matching.match(work, tidy(request))
        if matched.patient is not None:
            return matching.link(work, matched.patient, matched.request, request)
        return matching.create(work, matched, request)

    @in_work
    def update(self, work: Work, request: UpdatePatient) -> Patient:
        before = row_of(work, request.patient)
        name = before.name if request.name is None else folded(request.name)
        if not name:
            raise NameMissing
        after = before.replace(
            name=name,
            sex=request.sex or before.sex,
            birth_date=request.birth_date or before.birth_date,
            coverage=request.coverage or before.coverage,
        )
        work.update(patients, before=before, after=after)
        if after.name != before.name:
            work.set_where(
                patients,
                patients.c.id == before.id,
                pinyin=pinyin_initials(name),
                pinyin_full=pinyin_full(name),
            )
        campus = work.campus or before.campus
        numbers = tidy_identifiers(request.identifiers)
        added = matching.add_identifiers(work, before.id, numbers, campus)
        added |= matching.add_contacts(work, before.id, tidy_contacts(request.contacts), campus)
        matching.keep_record(work, before.id, request, MatchOutcome.LINKED)
        return self._updated(work, before.id, is_new=added or after != before)

    # ── allergies ───────────────────────────────────────────────────────────────────────────
    @in_work
    def record_allergy(self, work: Work, request: RecordAllergy) -> Patient:
        row = row_of(work, request.patient)
        allergy = Allergy(
            **request.fields(),
            campus=CampusCode(work.campus or row.campus),
            recorded_by=work.actor.id,
            recorded_at=work.now,
        )
        work.insert(allergies, allergy)
        return self._updated(work, row.id)

    @in_work
    def declare_no_allergies(
        self, work: Work, patient: PatientId, source: AllergySource
    ) -> Patient:
        del source  # kept by the audit log with the command
        before = row_of(work, patient)
        if load(work, patient).allergy_state is AllergyState.PRESENT:
            raise AllergiesOnRecord
        work.update(patients, before=before, after=before.replace(has_no_known_allergy=True))
        return self._updated(work, patient, is_new=not before.has_no_known_allergy)

    @in_work
    def refute_allergy(self, work: Work, allergy: AllergyId, reason: Clinical) -> Patient:
        before = work.get(allergies, Allergy, allergy, missing=AllergyNotFound)
        if before.refuted_because is None:
            work.update(allergies, before=before, after=before.replace(refuted_because=reason))
        return self._updated(work, before.patient, is_new=before.refuted_because is None)

    # ── merging ─────────────────────────────────────────────────────────────────────────────
    @in_work
    def merge(self, work: Work, patient: PatientId, into: PatientId, reason: Plain) -> Patient:
        merging.merge(work, patient, into, reason)
        return load(work, into)

    @in_work
    def unmerge(self, work: Work, patient: PatientId, reason: Plain) -> Patient:
        merging.unmerge(work, patient, reason)
        return load(work, patient)

    @in_work
    def dismiss_candidate(
        self, work: Work, patient: PatientId, other: PatientId, reason: Plain
    ) -> None:
        merging.dismiss(work, patient, other, reason)

    # ── looking ─────────────────────────────────────────────────────────────────────────────
    @reading
    def get(self, read: Reading, patient: PatientId) -> Patient:
        return load(read, patient)

    @reading
    def many(self, read: Reading, wanted: tuple[PatientId, ...]) -> tuple[Patient, ...]:
        return load_many(read, wanted)

    @reading
    def identify(self, read: Reading, system: Plain, value: Identifying) -> Patient | None:
        holder = matching.holder_of(read, Identifier(system=system, value=value))
        return load(read, holder) if holder is not None else None

    @reading
    def person_of(self, read: Reading, patient: PatientId) -> tuple[PatientId, ...]:
        row_of(read, patient)
        return person_of(read, patient).ids

    @reading
    def summaries(self, read: Reading, wanted: tuple[PatientId, ...]) -> tuple[PatientSummary, ...]:
        return summarise(read, wanted)

    @reading
    def names(self, read: Reading, wanted: tuple[PatientId, ...]) -> tuple[PatientName, ...]:
        return names_of(read, wanted)

    @reading
    def find(self, read: Reading, text: Identifying, limit: int = 20) -> tuple[PatientSummary, ...]:
        return summarise(read, finding.find(read, text, limit))

    @reading
    def timeline(
        self,
        read: Reading,
        wanted: tuple[PatientId, ...],
        before: Instant | None = None,
        limit: int = 50,
    ) -> tuple[TimelineEntry, ...]:
        earlier = () if before is None else (timeline.c.at < before,)
        return read.find(
            timeline,
            TimelineEntry,
            *earlier,
            limit=min(max(limit, 1), LIST_MAX),
            order_by=("-at", "-id"),
            patient=wanted,
        )

    @reading
    def sent(self, read: Reading, patient: PatientId) -> tuple[SentRecord, ...]:
        return read.find(
            records, SentRecord, limit=LIST_MAX, order_by=("-at", "-id"), patient=patient
        )

    @reading
    def candidates(self, read: Reading, limit: int = 50) -> tuple[Candidate, ...]:
        return read.find(
            candidates,
            Candidate,
            limit=min(max(limit, 1), LIST_MAX),
            order_by="-score_percent",
            is_open=True,
        )

    # ── what other boards tell ──────────────────────────────────────────────────────────────
    @in_work
    def note(self, work: Work, entry: TimelineEntry) -> None:
        """Something happened to a patient; a later fact about the same thing replaces it."""
        work.save_copy(timeline, entry)

    @in_work
    def forget(self, work: Work, entry: UUID) -> None:
        """What was told has been taken back."""
        work.delete_where(timeline, timeline.c.id == entry)

    def _updated(self, work: Work, patient: PatientId, *, is_new: bool = True) -> Patient:
        found = load(work, patient)
        if is_new:
            work.publish(PatientUpdated(patient=found))
        return found

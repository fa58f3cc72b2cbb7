"""What the clinic board does. Each public method is one step at the doctor's desk."""

from datetime import timedelta

from plugward.boards.calling.contract import Calling, TicketState
from plugward.boards.calling.contract import Desk as Room
from plugward.boards.encounters.contract import Encounter, Encounters
from plugward.boards.orders.contract import Draft, OrderGroup, Orders, SignGroup
from plugward.boards.records.contract import NoteContent, Records, SignNote
from plugward.kernel import (
    Reading,
    Settings,
    Store,
    Unavailable,
    Work,
    in_work,
    reading,
)
from plugward.kit.ids import derive
from plugward.kit.time import Clock, hospital_date
from plugward.vocabulary import EncounterId, NoteId, OrderGroupId, PatientId, StaffId

from .contract import (
    Called,
    ChosenDiagnosis,
    Clinic,
    Desk,
    DeskNotFound,
    DiagnosisNotFound,
    NoEarlierNote,
    NoQueue,
    NoteText,
    NothingToSign,
    Signed,
)
from .rules import Person, content_of, filled_from, indication_of, is_blank, merged
from .tables import desks, persons


class ClinicService(Clinic):
    def __init__(  # noqa: PLR0917 - the constructor is the list of needs
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        encounters: Encounters,
        calling: Calling,
        records: Records,
        orders: Orders,
    ) -> None:
        self.store = store
        self._clock = clock
        self._kept = timedelta(days=settings["kept_days"])
        self._encounters = encounters
        self._calling = calling
        self._records = records
        self._orders = orders

    # ── the desk ────────────────────────────────────────────────────────────────────────────
    async def open(self, encounter: EncounterId) -> Desk:
        try:
            visit = await self._encounters.get(encounter)
        except Unavailable:
            return await self._reopen(encounter)
        return await self._open(visit)

    async def call_next(self, doctor: StaffId) -> Called:
        room = await self._room(doctor)
        ticket = await self._calling.call_next(room.queue, doctor, room.room)
        await self.open(ticket.encounter)
        return Called(encounter=ticket.encounter, number=ticket.number, name=ticket.patient_name)

    async def _room(self, doctor: StaffId) -> Room:
        """Where to call from: the first session today where somebody waits."""
        rooms = await self._calling.queues_of(doctor, hospital_date(self._clock.now()))
        if not rooms:
            raise NoQueue
        for room in rooms:
            if (await self._calling.queue(room.queue)).waiting:
                return room
        return rooms[0]

    @in_work
    def _open(self, work: Work, visit: Encounter) -> Desk:
        desk = Desk(
            encounter=visit.id,
            author=work.actor.id,
            patient=visit.patient,
            campus=visit.campus,
            department=visit.department,
            note=NoteId(work.derive("note")),
            text=NoteText(),
            diagnoses=(),
            opened_at=work.now,
        )
        work.insert_new(desks, desk)
        return _own(work, visit.id)

    @in_work
    def _reopen(self, work: Work, encounter: EncounterId) -> Desk:
        """While encounters is away a desk that was opened before can still be used."""
        return _own(work, encounter)

    @reading
    def desk(self, read: Reading, encounter: EncounterId) -> Desk:
        return _own(read, encounter)

    @reading
    def person(self, read: Reading, encounter: EncounterId) -> tuple[PatientId, ...]:
        return _person(read, _own(read, encounter).patient)

    # ── who is one person: reactions only ───────────────────────────────────────────────────
    @in_work
    def learn_merge(self, work: Work, told: tuple[PatientId, ...]) -> None:
        ids = merged((known for id in told for known in _person(work, id)), told)
        _remember(work, ids)

    @in_work
    def learn_unmerge(self, work: Work, apart: tuple[PatientId, ...], out_of: PatientId) -> None:
        rest = tuple(id for id in _person(work, out_of) if id not in apart)
        _remember(work, rest)
        _remember(work, apart)

    @in_work
    def clear_away(self, work: Work) -> int:
        """Desks nobody will come back to. What was signed is elsewhere."""
        return work.delete_where(desks, desks.c.opened_at < work.now - self._kept)

    # ── the note's draft ────────────────────────────────────────────────────────────────────
    @in_work
    def keep(self, work: Work, encounter: EncounterId, note: NoteId, text: NoteText) -> Desk:
        desk = _own(work, encounter)
        if desk.note != note:
            return desk
        return _put(work, desk, desk.replace(text=text, saved_at=work.now))

    async def diagnose(self, encounter: EncounterId, text: str) -> Desk:
        hits = await self._records.search_diagnoses(text, limit=1)
        if not hits:
            raise DiagnosisNotFound(text=text)
        choice = ChosenDiagnosis(icd10=hits[0].icd10, name=hits[0].name_zh)
        return await self._diagnose(encounter, choice)

    @in_work
    def _diagnose(self, work: Work, encounter: EncounterId, choice: ChosenDiagnosis) -> Desk:
        desk = _own(work, encounter)
        if any(there.icd10 == choice.icd10 for there in desk.diagnoses):
            return desk
        return _put(work, desk, desk.replace(diagnoses=(*desk.diagnoses, choice)))

    @in_work
    def undiagnose(self, work: Work, encounter: EncounterId, icd10: str) -> Desk:
        desk = _own(work, encounter)
        kept = tuple(d for d in desk.diagnoses if d.icd10 != icd10)
        return _put(work, desk, desk.replace(diagnoses=kept))

    @in_work
    def make_main(self, work: Work, encounter: EncounterId, icd10: str) -> Desk:
        desk = _own(work, encounter)
        first = sorted(desk.diagnoses, key=lambda d: d.icd10 != icd10)
        return _put(work, desk, desk.replace(diagnoses=tuple(first)))

    async def reuse_note(self, encounter: EncounterId) -> Desk:
        desk = await self.desk(encounter)
        earlier = await self._records.for_patient(await self.person(encounter), limit=1)
        if not earlier:
            raise NoEarlierNote
        return await self._fill(encounter, filled_from(desk, earlier[0]))

    @in_work
    def _fill(self, work: Work, encounter: EncounterId, filled: Desk) -> Desk:
        desk = _own(work, encounter)
        new = desk.replace(text=filled.text, diagnoses=filled.diagnoses, saved_at=work.now)
        return _put(work, desk, new)

    # ── signing ─────────────────────────────────────────────────────────────────────────────
    async def sign(self, encounter: EncounterId, text: NoteText) -> Signed:
        desk = await self.desk(encounter)
        content = None if is_blank(text) else content_of(text, desk.diagnoses)
        basket, orders_wait = await self._basket(encounter)
        if content is None and (basket is None or not basket.lines):
            raise NothingToSign
        await self._patient_is_here(encounter)
        # The basket first: whatever could refuse the note was looked at before.
        group, refused = await self._sign_basket(desk, basket)
        signed_note, note_waits = await self._sign_note(desk, content)
        return await self._clear(
            desk,
            text,
            Signed(
                note=signed_note,
                group=group.id if group else None,
                lines=len(group.lines) if group else 0,
                note_waits=note_waits,
                orders_wait=orders_wait or refused,
            ),
        )

    async def _basket(self, encounter: EncounterId) -> tuple[Draft | None, bool]:
        try:
            return await self._orders.draft(encounter), False
        except Unavailable:
            return None, True

    async def _sign_basket(
        self, desk: Desk, basket: Draft | None
    ) -> tuple[OrderGroup | None, bool]:
        if basket is None or not basket.lines:
            return None, False
        request = SignGroup(
            # A line is signed once, so the same basket sent again is the same group.
            id=OrderGroupId(derive(basket.lines[0].id, "group")),
            encounter=desk.encounter,
            patient=desk.patient,
            campus=desk.campus,
            department=desk.department,
            lines=basket.lines,
            indication=indication_of(desk.diagnoses),
        )
        try:
            return await self._orders.sign(request), False
        except Unavailable:
            return None, True

    async def _sign_note(
        self, desk: Desk, content: NoteContent | None
    ) -> tuple[NoteId | None, bool]:
        if content is None:
            return None, False
        request = SignNote(
            # The same text sent again is the same note; a text changed since is another one.
            id=NoteId(derive(desk.note, content)),
            encounter=desk.encounter,
            patient=desk.patient,
            campus=desk.campus,
            department=desk.department,
            content=content,
        )
        try:
            return (await self._records.sign(request)).note, False
        except Unavailable:
            return None, True

    @in_work
    def _clear(self, work: Work, before: Desk, text: NoteText, signed: Signed) -> Signed:
        """What was signed leaves the desk, and the next one gets ids of its own."""
        desk = _own(work, before.encounter)
        after = desk.replace(text=text, saved_at=work.now)
        if signed.note is not None:
            following = NoteId(derive(before.note, "next note"))
            after = after.replace(text=NoteText(), diagnoses=(), saved_at=None, note=following)
        _put(work, desk, after)
        return signed

    async def _patient_is_here(self, encounter: EncounterId) -> None:
        """Who is being treated has come in: their ticket shows it, whether or not anybody
        pressed the key for it."""
        try:
            ticket = await self._calling.ticket_of(encounter)
            if ticket is not None and ticket.state is TicketState.CALLED:
                await self._calling.serve(ticket.id)
        except Unavailable:
            return


def _own(read: Reading, encounter: EncounterId) -> Desk:
    return read.get(desks, Desk, (encounter, read.actor.id), missing=DeskNotFound)


def _person(read: Reading, patient: PatientId) -> tuple[PatientId, ...]:
    found = read.get_or_none(persons, Person, patient)
    return found.ids if found else (patient,)


def _remember(work: Work, ids: tuple[PatientId, ...]) -> None:
    for id in ids:
        work.save_copy(persons, Person(ids=ids), patient=id)


def _put(work: Work, before: Desk, after: Desk) -> Desk:
    work.update(desks, before=before, after=after)
    return after

"""Which ids are one person, and what is known of them."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TypeVar

from sqlalchemy import Integer, and_, bindparam, or_, select

from plugward.kernel import Identifying, Message, Plain, Reading
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, Identifier, PatientId, Sex

from ..contract import (
    ID_CARD,
    Allergy,
    AllergyState,
    Contact,
    ContactKind,
    Coverage,
    LocalNumber,
    Patient,
    PatientName,
    PatientNotFound,
    PatientSummary,
)
from ..tables import allergies, contacts, identifiers, links, patients

R = TypeVar("R", "Number", "Reach")

MANY_MAX = 200
LOADED_MAX = 50
PARTS_MAX = 1_000
DEPTH_MAX = 20


class Row(Message):
    """A patient's own row."""

    id: PatientId
    name: Plain
    sex: Sex
    birth_date: date | None
    coverage: Coverage
    has_no_known_allergy: bool
    campus: CampusCode
    registered_at: Instant


class Sounding(Row):
    """A patient's row with what its name sounds like."""

    pinyin: Identifying


class Number(Message):
    """An identifier's row."""

    system: Plain
    value: Plain
    patient: PatientId
    local_campus: CampusCode | None


class Reach(Message):
    """A contact's row."""

    patient: PatientId
    kind: ContactKind
    value: Plain
    rank: int


class Link(Message):
    """That ``patient`` is part of the person of ``into``."""

    patient: PatientId
    into: PatientId | None
    changed_at: Instant
    author: Plain


class Merged(Message):
    """That somebody is part of another person, or another of them."""

    patient: PatientId


_MERGED = (
    select(links.c.patient)
    .where(
        or_(
            and_(links.c.patient.in_(bindparam("ids", expanding=True)), links.c.into.is_not(None)),
            links.c.into.in_(bindparam("ids", expanding=True)),
        )
    )
    .limit(bindparam("limit", type_=Integer))
)


class Person(Message):
    """A person: the leading id first, then the ids that were merged into it."""

    ids: tuple[PatientId, ...]

    @property
    def leader(self) -> PatientId:
        return self.ids[0]


def row_of(read: Reading, patient: PatientId) -> Row:
    return read.get(patients, Row, patient, missing=PatientNotFound)


def persons_of(read: Reading, wanted: Iterable[PatientId]) -> Mapping[PatientId, Person]:
    """The person of each id. One statement where nobody is merged, whatever the number of ids."""
    asked = tuple(dict.fromkeys(wanted))
    if asked and not read.kept(_MERGED, Merged, ids=list(asked), limit=1):
        return {patient: Person(ids=(patient,)) for patient in asked}
    leader: dict[PatientId, PatientId] = {}
    frontier = asked
    for _ in range(DEPTH_MAX):  # up to the leaders
        up = read.find(links, Link, limit=PARTS_MAX, patient=frontier) if frontier else ()
        leader.update({link.patient: link.into for link in up if link.into is not None})
        frontier = tuple({link.into for link in up if link.into is not None} - set(leader))
        if not frontier:
            break
    leaders = tuple(dict.fromkeys(_top(leader, patient) for patient in asked))
    members: dict[PatientId, list[PatientId]] = {top: [top] for top in leaders}
    owner = {top: top for top in leaders}
    frontier = leaders
    for _ in range(DEPTH_MAX):  # and down to everybody merged into them
        down = read.find(links, Link, limit=PARTS_MAX, into=frontier) if frontier else ()
        for link in down:
            if link.into is not None:
                owner[link.patient] = owner[link.into]
                members[owner[link.patient]].append(link.patient)
        frontier = tuple(link.patient for link in down)
        if not frontier:
            break
    persons = {top: Person(ids=tuple(ids)) for top, ids in members.items()}
    return {patient: persons[_top(leader, patient)] for patient in asked}


def person_of(read: Reading, patient: PatientId) -> Person:
    return persons_of(read, (patient,))[patient]


def _top(leader: Mapping[PatientId, PatientId], patient: PatientId) -> PatientId:
    for _ in range(DEPTH_MAX):
        if patient not in leader:
            return patient
        patient = leader[patient]
    raise AssertionError("links go in a circle")


def load(read: Reading, patient: PatientId) -> Patient:
    """Everything about one id, with the allergies of the whole person."""
    row = read.get(patients, Sounding, patient, missing=PatientNotFound)
    person = person_of(read, patient)
    numbers = read.find(identifiers, Number, limit=PARTS_MAX, order_by="added_at", patient=patient)
    reach = read.find(contacts, Reach, limit=PARTS_MAX, order_by="rank", patient=patient)
    known = read.find(
        allergies,
        Allergy,
        limit=PARTS_MAX,
        order_by="recorded_at",
        patient=person.ids,
        refuted_because=None,
    )
    return _whole(row, person, (numbers, reach, known), _anybody_asked(read, row, person))


def load_many(read: Reading, wanted: tuple[PatientId, ...]) -> tuple[Patient, ...]:
    """The same for several, in the order asked; as many statements as for one."""
    asked = tuple(dict.fromkeys(wanted))[:LOADED_MAX]
    if not asked:
        return ()
    persons = persons_of(read, asked)
    everybody = tuple({id_ for person in persons.values() for id_ in person.ids})
    rows = {row.id: row for row in read.find(patients, Sounding, limit=PARTS_MAX, id=everybody)}
    numbers = _by_patient(
        read.find(identifiers, Number, limit=PARTS_MAX, order_by="added_at", patient=asked)
    )
    reach = _by_patient(read.find(contacts, Reach, limit=PARTS_MAX, order_by="rank", patient=asked))
    known = read.find(
        allergies,
        Allergy,
        limit=PARTS_MAX,
        order_by="recorded_at",
        patient=everybody,
        refuted_because=None,
    )
    found = []
    for patient in (one for one in asked if one in rows):
        person = persons[patient]
        theirs = tuple(allergy for allergy in known if allergy.patient in person.ids)
        parts = (tuple(numbers.get(patient, ())), tuple(reach.get(patient, ())), theirs)
        was_asked = any(rows[id_].has_no_known_allergy for id_ in person.ids if id_ in rows)
        found.append(_whole(rows[patient], person, parts, was_asked))
    return tuple(found)


def _whole(
    row: Sounding,
    person: Person,
    parts: tuple[tuple[Number, ...], tuple[Reach, ...], tuple[Allergy, ...]],
    was_asked: bool,
) -> Patient:
    numbers, reach, known = parts
    return Patient(
        id=row.id,
        person=person.leader,
        name=row.name,
        pinyin=row.pinyin,
        sex=row.sex,
        birth_date=row.birth_date,
        identifiers=tuple(
            Identifier(system=n.system, value=n.value) for n in numbers if n.local_campus is None
        ),
        local_numbers=tuple(
            LocalNumber(campus=n.local_campus, value=n.value)
            for n in numbers
            if n.local_campus is not None
        ),
        contacts=tuple(Contact(kind=c.kind, value=c.value) for c in reach),
        coverage=row.coverage,
        allergy_state=_allergy_state(bool(known), was_asked),
        allergies=known,
        campus=row.campus,
        registered_at=row.registered_at,
    )


def _anybody_asked(read: Reading, row: Row, person: Person) -> bool:
    if row.has_no_known_allergy or len(person.ids) == 1:
        return row.has_no_known_allergy
    return read.count(patients, id=person.ids, has_no_known_allergy=True) > 0


def _allergy_state(has_some: bool, was_asked: bool) -> AllergyState:
    if has_some:
        return AllergyState.PRESENT
    return AllergyState.NONE_KNOWN if was_asked else AllergyState.NOT_ASKED


def summarise(read: Reading, wanted: tuple[PatientId, ...]) -> tuple[PatientSummary, ...]:
    """The patients of a list, in the order asked; six statements at most, however many."""
    asked = tuple(dict.fromkeys(wanted))[:MANY_MAX]
    if not asked:
        return ()
    persons = persons_of(read, asked)
    everybody = tuple({patient for person in persons.values() for patient in person.ids})
    rows = {row.id: row for row in read.find(patients, Row, limit=PARTS_MAX, id=everybody)}
    allergic = {
        found.patient
        for found in read.find(
            allergies, _Whose, limit=PARTS_MAX, patient=everybody, refuted_because=None
        )
    }
    numbers = _by_patient(read.find(identifiers, Number, limit=PARTS_MAX, patient=asked))
    reached = read.find(contacts, Reach, limit=PARTS_MAX, order_by="rank", patient=asked)
    phones = _by_patient(reach for reach in reached if reach.kind is ContactKind.PHONE)
    found = []
    for patient in asked:
        if patient in rows:
            ids = persons[patient].ids
            state = _allergy_state(
                not allergic.isdisjoint(ids),
                any(rows[i].has_no_known_allergy for i in ids if i in rows),
            )
            found.append(
                _summary(
                    rows[patient],
                    persons[patient],
                    numbers.get(patient, []),
                    phones.get(patient, []),
                    (state, read.campus),
                )
            )
    return tuple(found)


def names_of(read: Reading, wanted: tuple[PatientId, ...]) -> tuple[PatientName, ...]:
    """Whom the ids stand for, in the order asked; two statements where nobody is merged."""
    asked = tuple(dict.fromkeys(wanted))[:MANY_MAX]
    if not asked:
        return ()
    rows = {row.id: row for row in read.find(patients, _Named, limit=MANY_MAX, id=asked)}
    persons = persons_of(read, tuple(rows))
    return tuple(
        PatientName(
            id=patient,
            person=persons[patient].leader,
            name=rows[patient].name,
            birth_date=rows[patient].birth_date,
        )
        for patient in asked
        if patient in rows
    )


class _Named(Message):
    id: PatientId
    name: Plain
    birth_date: date | None


class _Whose(Message):
    patient: PatientId


def _by_patient(rows: Iterable[R]) -> dict[PatientId, list[R]]:
    found: dict[PatientId, list[R]] = {}
    for row in rows:
        found.setdefault(row.patient, []).append(row)
    return found


def _summary(
    row: Row,
    person: Person,
    numbers: list[Number],
    phones: list[Reach],
    about: tuple[AllergyState, str],
) -> PatientSummary:
    state, campus = about
    own = [n for n in numbers if n.local_campus is not None]
    here = [n for n in own if n.local_campus == campus] or own
    return PatientSummary(
        id=row.id,
        person=person.leader,
        name=row.name,
        sex=row.sex,
        birth_date=row.birth_date,
        local_number=here[0].value if here else "",
        phone_end=phones[0].value[-4:] if phones else "",
        id_card_end=next((n.value[-4:] for n in numbers if n.system == ID_CARD), ""),
        coverage=row.coverage.kind,
        allergy_state=state,
    )

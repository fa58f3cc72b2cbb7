"""Is it somebody we know? Matching and writing happen in the registration's own transaction."""

from plugward.kernel import Identifying, Message, Plain, Reading, Work
from plugward.vocabulary import CampusCode, Identifier, PatientId

from ..contract import (
    ID_CARD,
    Candidate,
    Contact,
    ContactKind,
    Coverage,
    DuplicateSuspected,
    IdentifierTaken,
    MatchOutcome,
    PatientRegistered,
    PatientUpdated,
    RegisterPatient,
    Registration,
    TimelineEntry,
    TimelineKind,
    UpdatePatient,
    local_system,
)
from ..rules import (
    Features,
    Known,
    card_of,
    completed,
    is_bearer,
    likely,
    pinyin_full,
    pinyin_initials,
    sent_of,
)
from ..tables import candidates, contacts, identifiers, patients, records, timeline
from .persons import Number, Reach, Row, load, row_of

BLOCK_MAX = 500
_PHONES = (ContactKind.PHONE, ContactKind.GUARDIAN_PHONE)


CARD_OF_ANOTHER = "card-of-another"
CARD_OF_ANOTHER_PERCENT = 50


class Holder(Message):
    """Whose number it is."""

    system: Plain
    value: Plain
    patient: PatientId


class Heard(Row):
    """A patient's row with its name in pinyin."""

    pinyin_full: Identifying


class Match(Message):
    """Whom a request certainly names, or nobody; what may be kept of it; and whose card it was, if
    it was plainly a guardian's."""

    patient: PatientId | None
    request: RegisterPatient
    card_holder: PatientId | None = None


def match(work: Work, request: RegisterPatient) -> Match:
    """A number decides, and among numbers the ID card first."""
    card_holder = None
    for identifier in _with_local_number(request):
        holder = holder_of(work, identifier)
        if holder is None:
            continue
        [known] = _known(work, (holder,))
        if is_bearer(request, known):
            return Match(patient=holder, request=request, card_holder=card_holder)
        if identifier.system != ID_CARD:
            raise IdentifierTaken(system=identifier.system, other=holder)
        card_holder = holder
        request = request.replace(
            identifiers=tuple(i for i in request.identifiers if i.system != ID_CARD)
        )
    return Match(patient=None, request=request, card_holder=card_holder)


def link(
    work: Work, patient: PatientId, request: RegisterPatient, sent: RegisterPatient
) -> Registration:
    """Somebody we know, perhaps at a campus where we did not: add what is new, change nothing."""
    has_number = work.first(identifiers, Number, patient=patient, local_campus=request.campus)
    added = add_identifiers(work, patient, request.identifiers, request.campus)
    if has_number is None or request.local_number:
        added |= add_local_number(work, patient, request)
    added |= add_contacts(work, patient, request.contacts, request.campus)
    keep_record(work, patient, sent, MatchOutcome.LINKED)
    found = load(work, patient)
    if added:
        work.publish(PatientUpdated(patient=found))
    return Registration(patient=found, outcome=MatchOutcome.LINKED)


def create(work: Work, matched: Match, sent: RegisterPatient) -> Registration:
    """Somebody new, and whoever in the index looks alike."""
    request = completed(matched.request)
    alike = _with_cardholder_of(lookalikes(work, request), matched)
    _insert(work, request)
    outcome = MatchOutcome.REVIEW if alike else MatchOutcome.NEW
    keep_record(work, request.id, sent, outcome)
    keep_moment(work, request.id, request.campus, (TimelineKind.REGISTERED, "建档"))
    found = load(work, request.id)
    work.publish(PatientRegistered(patient=found))
    for candidate in alike:
        work.insert(
            candidates,
            candidate,
            is_open=True,
            reason="",
            campus=request.campus,
            found_at=work.now,
        )
        work.publish(DuplicateSuspected(candidate=candidate))
    return Registration(patient=found, outcome=outcome, candidates=tuple(alike))


def _insert(work: Work, request: RegisterPatient) -> None:
    work.insert(
        patients,
        Row(
            id=request.id,
            name=request.name,
            sex=request.sex,
            birth_date=request.birth_date,
            coverage=request.coverage or Coverage(),
            has_no_known_allergy=False,
            campus=request.campus,
            registered_at=work.now,
        ),
        pinyin=pinyin_initials(request.name),
        pinyin_full=pinyin_full(request.name),
        author=work.actor.id,
    )
    add_identifiers(work, request.id, request.identifiers, request.campus)
    add_local_number(work, request.id, request)
    add_contacts(work, request.id, request.contacts, request.campus)


def _with_cardholder_of(alike: list[Candidate], matched: Match) -> list[Candidate]:
    """Another name on a known card and no birth date: guardian or not, somebody should look."""
    holder = matched.card_holder
    if holder is None or matched.request.birth_date is not None:
        return alike
    for index, candidate in enumerate(alike):
        if candidate.other == holder:
            seen = candidate.replace(evidence=(*candidate.evidence, CARD_OF_ANOTHER))
            return [*alike[:index], seen, *alike[index + 1 :]]
    return [
        *alike,
        Candidate(
            patient=matched.request.id,
            other=holder,
            score_percent=CARD_OF_ANOTHER_PERCENT,
            evidence=(CARD_OF_ANOTHER,),
        ),
    ]


def lookalikes(read: Reading, request: RegisterPatient) -> list[Candidate]:
    """Who shares a birth date, a phone or the sound of the name, and is alike enough."""
    phones = tuple(c.value for c in request.contacts if c.kind in _PHONES)
    ids: dict[PatientId, None] = {}
    if request.birth_date is not None:
        born = read.find(patients, _Id, limit=BLOCK_MAX, birth_date=request.birth_date)
        ids |= dict.fromkeys(row.id for row in born)
    sound = pinyin_full(request.name)
    if sound:
        ids |= dict.fromkeys(
            row.id for row in read.find(patients, _Id, limit=BLOCK_MAX, pinyin_full=sound)
        )
    if phones:
        ids |= dict.fromkeys(
            row.patient for row in read.find(contacts, Reach, limit=BLOCK_MAX, value=phones)
        )
    features = Features(
        name=request.name,
        sex=request.sex,
        birth_date=request.birth_date,
        id_card=card_of(request.identifiers),
        phones=phones,
        sound=sound,
    )
    return likely(request.id, features, _known(read, tuple(ids)[:BLOCK_MAX]))


class _Id(Message):
    id: PatientId


def _known(read: Reading, ids: tuple[PatientId, ...]) -> tuple[Known, ...]:
    if not ids:
        return ()
    rows = read.find(patients, Heard, limit=BLOCK_MAX, id=ids)
    cards = {
        n.patient: n.value
        for n in read.find(identifiers, Number, limit=BLOCK_MAX, patient=ids, system=ID_CARD)
    }
    phones: dict[PatientId, list[str]] = {}
    for reach in read.find(contacts, Reach, limit=1_000, patient=ids):
        if reach.kind in _PHONES:
            phones.setdefault(reach.patient, []).append(reach.value)
    return tuple(
        Known(
            id=row.id,
            name=row.name,
            sex=row.sex,
            birth_date=row.birth_date,
            id_card=cards.get(row.id, ""),
            phones=tuple(phones.get(row.id, ())),
            sound=row.pinyin_full,
        )
        for row in rows
    )


# ── adding ──────────────────────────────────────────────────────────────────────────────────


def add_identifiers(
    work: Work, patient: PatientId, given: tuple[Identifier, ...], campus: str
) -> bool:
    """Add numbers; one that is somebody else's is refused. Says whether any was new."""
    added = False
    for identifier in given:
        added |= _add_number(work, patient, identifier, (campus, None))
    return added


def add_local_number(work: Work, patient: PatientId, request: RegisterPatient) -> bool:
    """The campus's own number: the one its system gave, else the next of the series."""
    campus = request.campus
    value = request.local_number or (f"{campus}{work.next_number(f'local-no:{campus}'):08d}")
    number = Identifier(system=local_system(campus), value=value)
    return _add_number(work, patient, number, (campus, campus))


def _add_number(
    work: Work, patient: PatientId, identifier: Identifier, campuses: tuple[str, str | None]
) -> bool:
    campus, local_campus = campuses
    is_new = work.insert_new(
        identifiers,
        identifier,
        patient=patient,
        local_campus=local_campus,
        campus=campus,
        added_at=work.now,
        author=work.actor.id,
    )
    if not is_new:
        holder = holder_of(work, identifier)
        if holder is not None and holder != patient:
            raise IdentifierTaken(system=identifier.system, other=holder)
    return is_new


def add_contacts(work: Work, patient: PatientId, given: tuple[Contact, ...], campus: str) -> bool:
    """Add contacts behind those there are. Says whether any was new."""
    added = False
    rank = work.count(contacts, patient=patient)
    for contact in given:
        is_new = work.insert_new(
            contacts,
            contact,
            patient=patient,
            value_end=contact.value[-4:],
            rank=rank,
            campus=campus,
            added_at=work.now,
            author=work.actor.id,
        )
        rank += is_new
        added |= is_new
    return added


def keep_record(
    work: Work,
    patient: PatientId,
    request: RegisterPatient | UpdatePatient,
    outcome: MatchOutcome,
) -> None:
    """What was sent, as it was sent."""
    work.insert(
        records,
        _Kept(patient=patient, outcome=outcome),
        id=work.derive("record", patient),
        sent=sent_of(request),
        campus=getattr(request, "campus", work.campus) or row_of(work, patient).campus,
        at=work.now,
        author=work.actor.id,
    )


def keep_moment(
    work: Work, patient: PatientId, campus: str, what: tuple[TimelineKind, str]
) -> None:
    """Something of the index's own on the timeline."""
    kind, title = what
    work.insert(
        timeline,
        TimelineEntry(
            id=work.derive("timeline", kind.value, patient),
            patient=patient,
            campus=CampusCode(campus),
            at=work.now,
            kind=kind,
            title=title,
        ),
    )


class _Kept(Message):
    patient: PatientId
    outcome: MatchOutcome


def _with_local_number(request: RegisterPatient) -> tuple[Identifier, ...]:
    """The request's numbers, the deciding one first."""
    first = sorted(request.identifiers, key=lambda i: i.system != ID_CARD)
    if request.local_number:
        own = Identifier(system=local_system(request.campus), value=request.local_number)
        return (*first, own)
    return tuple(first)


def holder_of(read: Reading, identifier: Identifier) -> PatientId | None:
    found = read.get_or_none(identifiers, Holder, (identifier.system, identifier.value))
    return found.patient if found else None

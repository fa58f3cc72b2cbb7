"""The rules of identity: names, card numbers, and how alike two people are. Pure functions."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache

from pypinyin import Style, lazy_pinyin
from rapidfuzz import fuzz

from plugward.boards.encounters.contract import Encounter, EncounterState
from plugward.boards.lab.contract import Report
from plugward.boards.records.contract import NoteSigned
from plugward.kernel import Identifying, Message
from plugward.vocabulary import Identifier, PatientId, Sex

from .contract import (
    ID_CARD,
    BirthDateOffCard,
    Candidate,
    Contact,
    IdCardInvalid,
    NameMissing,
    RegisterPatient,
    Sent,
    TimelineEntry,
    TimelineKind,
    UpdatePatient,
)

REVIEW_PERCENT = 60
NAMES_ALIKE_PERCENT = 85
SAME_BEARER_PERCENT = 60
CANDIDATES_MAX = 5

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_OLD_PLACES, _PLACES = 15, 18


class Features(Message):
    """What two people are compared by."""

    name: Identifying
    sex: Sex
    birth_date: date | None
    id_card: Identifying
    phones: tuple[Identifying, ...]
    sound: Identifying  # the name in pinyin, as the index keeps it


class Known(Features):
    """Somebody in the index, as far as comparing needs it."""

    id: PatientId


# ── names ───────────────────────────────────────────────────────────────────────────────────


def folded(name: str) -> str:
    """A name as it is compared: one width, no stray spaces. ``张三 `` is ``张三``."""
    text = " ".join(unicodedata.normalize("NFKC", name).split())
    return re.sub(r"(?<=[\u3400-\u9fff·]) (?=[\u3400-\u9fff·])", "", text)


@lru_cache(maxsize=20_000)
def pinyin_initials(name: str) -> str:
    """沈玉兰 → SYL, upper case letters and digits."""
    parts = lazy_pinyin(folded(name), style=Style.FIRST_LETTER)
    return "".join(c for part in parts for c in part if c.isascii() and c.isalnum()).upper()[:80]


@lru_cache(maxsize=20_000)
def pinyin_full(name: str) -> str:
    """沈玉兰 → shenyulan: homophones are equal here."""
    text = "".join(lazy_pinyin(folded(name))).lower()
    return "".join(c for c in text if c.isascii() and c.isalnum())[:400]


# ── card numbers ────────────────────────────────────────────────────────────────────────────


def card_number(value: str) -> str:
    """An ID card number in its one form: 18 places, upper case; old 15-place numbers are widened.
    Whether it is valid is another question."""
    text = unicodedata.normalize("NFKC", value).replace(" ", "").upper()
    if len(text) == _OLD_PLACES and text.isdigit():
        body = f"{text[:6]}19{text[6:]}"
        return body + _check_place(body)
    return text


def _check_place(body: str) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return _CHECK[total % 11]


def is_valid_card(number: str) -> bool:
    """Eighteen places, a real date of birth, and the right check place."""
    if len(number) != _PLACES or not number[:17].isdigit() or not number.isascii():
        return False
    return birth_of_card(number) is not None and _check_place(number[:17]) == number[17]


def birth_of_card(number: str) -> date | None:
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def sex_of_card(number: str) -> Sex:
    return Sex.MALE if int(number[16]) % 2 else Sex.FEMALE


def tidy_identifiers(given: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Identifiers in their one form, each once. Refuses a card that cannot be one."""
    found: dict[tuple[str, str], Identifier] = {}
    for identifier in given:
        value = unicodedata.normalize("NFKC", identifier.value).strip()
        if not value:
            continue
        if identifier.system == ID_CARD:
            value = card_number(value)
            if not is_valid_card(value):
                raise IdCardInvalid
        found[identifier.system, value] = Identifier(system=identifier.system, value=value)
    return tuple(found.values())


def card_of(identifiers: Iterable[Identifier]) -> str:
    return next((i.value for i in identifiers if i.system == ID_CARD), "")


# ── requests ────────────────────────────────────────────────────────────────────────────────


def tidy(request: RegisterPatient) -> RegisterPatient:
    """The request as the index compares it."""
    name = folded(request.name)
    if not name:
        raise NameMissing
    return request.replace(
        name=name,
        identifiers=tidy_identifiers(request.identifiers),
        contacts=tidy_contacts(request.contacts),
    )


def completed(request: RegisterPatient) -> RegisterPatient:
    """What a valid card says fills what was left open. A newcomer's card and birth date must
    agree: else the card is somebody else's."""
    card = card_of(request.identifiers)
    if not card:
        return request
    born = birth_of_card(card)
    if request.birth_date not in (None, born):
        raise BirthDateOffCard
    sex = sex_of_card(card) if request.sex is Sex.UNKNOWN else request.sex
    return request.replace(sex=sex, birth_date=born)


def tidy_contacts(contacts: Iterable[Contact]) -> tuple[Contact, ...]:
    """Contacts without stray spaces, none empty, each once."""
    clean = (c.replace(value=" ".join(c.value.split())) for c in contacts)
    return tuple(dict.fromkeys(c for c in clean if c.value))


def sent_of(request: RegisterPatient | UpdatePatient) -> Sent:
    return Sent(
        name=request.name,
        sex=request.sex,
        birth_date=request.birth_date,
        identifiers=request.identifiers,
        contacts=request.contacts,
        coverage=request.coverage,
        source=request.source,
    )


# ── likeness ────────────────────────────────────────────────────────────────────────────────


def is_bearer(request: RegisterPatient, holder: Known) -> bool:
    """Whether who shows a card is who it belongs to. A child with its mother's card has another
    name, and another birth date or none given; a misspelt name alone, or a mistyped date alone,
    is forgiven."""
    alike = names_alike_percent(request.name, holder.name) >= SAME_BEARER_PERCENT
    same_birth = request.birth_date is not None and request.birth_date == holder.birth_date
    return alike or same_birth


def names_alike_percent(one: str, other: str) -> int:
    """How alike two names read or sound."""
    if one == other:
        return 100
    return _alike_percent((one, pinyin_full(one)), (other, pinyin_full(other)))


def _alike_percent(one: tuple[str, str], other: tuple[str, str]) -> int:
    return int(max(fuzz.ratio(one[0], other[0]), fuzz.ratio(one[1], other[1])))


def score(one: Features, other: Features) -> tuple[int, tuple[str, ...]]:
    """How likely two are one person, in percent, and what speaks for it."""
    if one.id_card and other.id_card and one.id_card != other.id_card:
        return 0, ()  # two valid cards are two people, however alike
    points, evidence = 0, []
    if one.id_card and one.id_card == other.id_card:
        points += 50
        evidence.append("same-id-card")
    name_points, name_evidence = _name_points(one, other)
    points += name_points
    evidence += name_evidence
    if one.birth_date is not None and one.birth_date == other.birth_date:
        points += 35
        evidence.append("same-birth-date")
    elif _is_slip(one.birth_date, other.birth_date):
        points += 15
        evidence.append("birth-date-slip")
    if set(one.phones) & set(other.phones):
        points += 15
        evidence.append("same-phone")
    if Sex.UNKNOWN not in (one.sex, other.sex) and one.sex is not other.sex:
        points -= 30
    return max(0, min(points, 100)), tuple(evidence)


def _name_points(one: Features, other: Features) -> tuple[int, list[str]]:
    if one.name == other.name:
        return 45, ["same-name"]
    if one.sound and one.sound == other.sound:
        return 40, ["same-sound"]
    alike = _alike_percent((one.name, one.sound), (other.name, other.sound))
    if alike >= NAMES_ALIKE_PERCENT:
        return 25, ["alike-name"]
    return 0, []


def _is_slip(one: date | None, other: date | None) -> bool:
    """Day and month exchanged, or one digit off."""
    if one is None or other is None:
        return False
    if (one.year, one.month, one.day) == (other.year, other.day, other.month):
        return True
    return sum(a != b for a, b in zip(one.isoformat(), other.isoformat(), strict=True)) == 1


def likely(newcomer: PatientId, features: Features, known: Sequence[Known]) -> list[Candidate]:
    """Who in the index may be the newcomer: the likeliest first."""
    found = []
    for other in known:
        percent, evidence = score(features, other)
        if percent >= REVIEW_PERCENT:
            found.append(
                Candidate(
                    patient=newcomer, other=other.id, score_percent=percent, evidence=evidence
                )
            )
    found.sort(key=lambda c: (-c.score_percent, c.other.int))
    return found[:CANDIDATES_MAX]


# ── the timeline ────────────────────────────────────────────────────────────────────────────

_VISIT_WORDS = {
    EncounterState.ARRIVED: "已签到",
    EncounterState.IN_PROGRESS: "就诊中",
    EncounterState.FINISHED: "已完成",
}


def entry_of_visit(visit: Encounter) -> TimelineEntry | None:
    """A visit from the arrival on: one entry, which its later states replace."""
    at = visit.started_at or visit.arrived_at
    if at is None or visit.state not in _VISIT_WORDS:
        return None
    words = (visit.department, visit.doctor_name, _VISIT_WORDS[visit.state])
    return TimelineEntry(
        id=visit.id,
        patient=visit.patient,
        campus=visit.campus,
        at=at,
        kind=TimelineKind.VISIT,
        title=" ".join(word for word in words if word),
        encounter=visit.id,
        reference=visit.id,
    )


def entry_of_note(signed: NoteSigned) -> TimelineEntry:
    """A signed note: one entry, whichever version was signed last."""
    title = "病历签署" if signed.version == 1 else f"病历更正 第 {signed.version} 版"
    return TimelineEntry(
        id=signed.note,
        patient=signed.patient,
        campus=signed.campus,
        at=signed.signed_at,
        kind=TimelineKind.NOTE,
        title=title,
        encounter=signed.encounter,
        reference=signed.note,
    )


def entry_of_report(report: Report) -> TimelineEntry:
    return TimelineEntry(
        id=report.id,
        patient=report.patient,
        campus=report.campus,
        at=report.issued_at,
        kind=TimelineKind.REPORT,
        title=report.title_zh,
        encounter=report.encounter,
        reference=report.id,
    )

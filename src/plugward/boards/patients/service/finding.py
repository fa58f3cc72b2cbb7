"""Finding somebody by what people say at a desk: a name, initials, a number, the end of a phone."""

import re
import unicodedata

from sqlalchemy import ColumnElement, func, or_, select

from plugward.kernel import Reading
from plugward.vocabulary import PatientId

from ..contract import SearchTooShort
from ..rules import card_number, folded
from ..tables import contacts, identifiers, patients

PLACES_MIN = 2
FOUND_MAX = 20
PHONE_END_PLACES = 4
_PHONE = re.compile(r"\+?\d{7,15}")


def find(read: Reading, text: str, limit: int) -> tuple[PatientId, ...]:
    """Ids that fit, whole numbers before names, at most 20."""
    wanted = folded(text)
    if len(wanted) < PLACES_MIN:
        raise SearchTooShort(places_min=PLACES_MIN)
    most = min(max(limit, 1), FOUND_MAX)
    ids = dict.fromkeys(_by_number(read, wanted, most))
    if len(ids) < most:
        ids |= dict.fromkeys(_by_name(read, wanted, most))
    return tuple(ids)[:most]


def _by_number(read: Reading, wanted: str, most: int) -> list[PatientId]:
    plain = unicodedata.normalize("NFKC", wanted).replace(" ", "")
    if not any(c.isdigit() for c in plain):
        return []
    values = {plain, plain.upper(), card_number(plain)}
    found = read.rows(
        select(identifiers.c.patient).where(identifiers.c.value.in_(values)).limit(most)
    )
    ids = [row.patient for row in found]
    if plain.isdigit() and len(plain) == PHONE_END_PLACES:
        ids += _by_contact(read, contacts.c.value_end == plain, most)
    elif _PHONE.fullmatch(plain):
        ids += _by_contact(read, contacts.c.value == plain, most)
    return ids


def _by_contact(read: Reading, where: ColumnElement[bool], most: int) -> list[PatientId]:
    found = read.rows(select(contacts.c.patient).where(where).distinct().limit(most))
    return [row.patient for row in found]


def _by_name(read: Reading, wanted: str, most: int) -> list[PatientId]:
    conditions = [patients.c.name.startswith(wanted, autoescape=True)]
    letters = wanted.replace(" ", "")
    if letters.isascii() and letters.isalpha():
        conditions += [
            patients.c.pinyin.startswith(letters.upper(), autoescape=True),
            patients.c.pinyin_full.startswith(letters.lower(), autoescape=True),
        ]
    found = read.rows(
        select(patients.c.id)
        .where(or_(*conditions))
        .order_by(func.length(patients.c.name), patients.c.name, patients.c.id)
        .limit(most)
    )
    return [row.id for row in found]

"""What must always be true of the index; ``plugward audit`` runs it."""

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Table, func, select

from plugward.kernel import Finding, Reading, proof

from .contract import ID_CARD
from .tables import allergies, contacts, identifiers, links, patients, records

BREACHES_MAX = 1_000
DEPTH_MAX = 20
BATCH = 1_000


@proof("R2", "每份档案、证件、联系方式、过敏记录都写明患者、院区和记录人")
def everything_names_its_author(read: Reading) -> Finding:
    breaches: list[str] = []
    examined = 0
    for table, author in (
        (patients, patients.c.author),
        (identifiers, identifiers.c.author),
        (contacts, contacts.c.author),
        (records, records.c.author),
        (allergies, allergies.c.recorded_by),
    ):
        examined += read.count(table)
        breaches += _rows(read, table, (table.c.campus == "") | (author == ""))
        if table is not patients:
            breaches += _orphans(read, table)
    return Finding(examined=examined, breaches=tuple(breaches))


@proof("P1", "每份档案都有建档时收到的原始记录")
def everybody_was_sent_by_somebody(read: Reading) -> Finding:
    unsent = ~select(records.c.id).where(records.c.patient == patients.c.id).exists()
    return Finding(examined=read.count(patients), breaches=tuple(_rows(read, patients, unsent)))


@proof("P2", "合并关系没有环，且两张有效身份证不同的人不是同一人")
def links_lead_to_one_leader(read: Reading) -> Finding:
    into = {
        row.patient: row.into
        for row in read.rows(
            select(links.c.patient, links.c.into).where(links.c.into.is_not(None)).limit(100_000)
        )
    }
    circles: list[str] = []
    cards: dict[object, set[str]] = {}
    for row in read.rows(
        select(identifiers.c.patient, identifiers.c.value)
        .where(identifiers.c.system == ID_CARD, identifiers.c.patient.in_(_touched()))
        .limit(100_000)
    ):
        cards.setdefault(row.patient, set()).add(row.value)
    by_leader: dict[object, set[str]] = {}
    for patient in {*into, *into.values()}:
        top, steps = patient, 0
        while top in into and steps <= DEPTH_MAX:
            top, steps = into[top], steps + 1
        if steps > DEPTH_MAX:
            circles.append(f"{patient} in a circle")
        by_leader.setdefault(top, set()).update(cards.get(patient, ()))
    two = [
        f"{leader} with {len(found)} cards" for leader, found in by_leader.items() if len(found) > 1
    ]
    return Finding(examined=len(into), breaches=(*circles, *two))


def _touched() -> CompoundSelect[Any]:
    return (
        select(links.c.patient)
        .where(links.c.into.is_not(None))
        .union(select(links.c.into).where(links.c.into.is_not(None)))
    )


def _rows(read: Reading, table: Table, where: ColumnElement[bool]) -> list[str]:
    keys = list(table.primary_key.columns)
    found = read.rows(select(keys[0]).where(where).limit(BREACHES_MAX))
    return [f"{table.name} {row[0]}" for row in found]


def _orphans(read: Reading, table: Table) -> list[str]:
    known = select(patients.c.id).where(patients.c.id == table.c.patient).exists()
    found = read.rows(select(func.count()).select_from(table).where(~known).limit(1))
    return [f"{found[0][0]} of {table.name} without a patient"] if found[0][0] else []

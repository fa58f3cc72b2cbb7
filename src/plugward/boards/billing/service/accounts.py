"""Accounts 费用账户: priced facts arrive, wait, and are withdrawn again."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import func, select

from plugward.kernel import Message, Plain, Reading, Work
from plugward.kit.message import Identifying
from plugward.kit.money import Money
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, ChargeId, ChargeRequest, EncounterId, PatientId, Sex

from ..contract import (
    Account,
    AccountLine,
    Bill,
    ChargeNotFound,
    DueReason,
    LineState,
    Party,
    RefundDue,
    RefundOwed,
)
from ..rules import LINES
from ..tables import awaited, bills, dues, history, lines, parties, persons

LINES_MAX = 500
DUES_MAX = 100


class Visit(Message):
    """Whose visit it is (read copy of the encounter)."""

    encounter: EncounterId
    campus: CampusCode
    patient: PatientId
    name: Identifying
    department: Plain
    doctor_name: Plain
    planned_for: date


class Human(Message):
    """What else the cashier checks of a patient (read copy of the patient index)."""

    patient: PatientId
    sex: Sex
    birth_date: date | None


class Awaited(Message):
    """A fact that has no price yet."""

    line: UUID
    item: Plain
    encounter: EncounterId
    campus: CampusCode
    since: Instant


class Moved(Message):
    """One move of a charge from state to state: a row of its history."""

    charge: ChargeId
    number: int
    campus: CampusCode
    was: LineState | None
    state: LineState
    amount: Money
    document: UUID | None
    by: Plain
    at: Instant


# ── charges come and go ─────────────────────────────────────────────────────────────────────
def await_price(work: Work, wanted: Sequence[ChargeRequest]) -> None:
    """Facts were told that pricing has not priced yet, as far as this board knows."""
    for fact in wanted:
        if fact.line is None or work.count(lines, line=fact.line, item=fact.item):
            continue
        waits = Awaited(
            line=fact.line,
            item=fact.item,
            encounter=fact.encounter,
            campus=CampusCode(work.campus),
            since=work.now,
        )
        work.insert_new(awaited, waits)


def stop_awaiting(work: Work, line: UUID) -> None:
    work.delete_where(awaited, awaited.c.line == line)


def add(work: Work, charge: AccountLine) -> None:
    """A fact was priced. A charge that was withdrawn and is told again is reinstated."""
    if charge.line is not None:
        work.delete_where(awaited, awaited.c.line == charge.line, awaited.c.item == charge.item)
    there = work.get_or_none(lines, AccountLine, charge.id)
    if there is None:
        work.insert(lines, charge)
        _note(work, charge, None, None)
    elif there.is_withdrawn:
        _reinstate(work, there)


def _reinstate(work: Work, line: AccountLine) -> None:
    back = line.replace(is_withdrawn=False)
    if line.state is LineState.WRITTEN_OFF:
        move(work, line, LineState.PENDING, changes=back)
    else:
        work.update(lines, before=line, after=back)
    for due in work.find(
        dues, RefundDue, limit=DUES_MAX, charge=line.id, reason=DueReason.WITHDRAWN
    ):
        work.update(dues, before=due, after=due.replace(left=0))


def withdraw(work: Work, line: AccountLine) -> None:
    """The order behind a charge is withdrawn: never asked for, or owed back."""
    gone = line.replace(is_withdrawn=True)
    if line.state is LineState.PENDING and line.bill is None:
        move(work, line, LineState.WRITTEN_OFF, changes=gone)
        return
    work.update(lines, before=line, after=gone)
    if line.state in {LineState.SETTLED, LineState.REFUNDING}:
        owe(work, gone, gone.refundable, DueReason.WITHDRAWN)


def owe(work: Work, line: AccountLine, units: int, reason: DueReason) -> None:
    """Put money that belongs to the patient on the cashier's list."""
    if units <= 0 or line.bill is None:
        return
    due = RefundDue(
        id=work.derive("due", line.id, reason),
        charge=line.id,
        bill=line.bill,
        encounter=line.encounter,
        campus=line.campus,
        name_zh=line.name_zh,
        reason=reason,
        units=units,
        left=units,
        since=work.now,
    )
    work.insert(dues, due)
    work.publish(RefundOwed(due=due))


def free_units(work: Work, order_line: UUID, units: int, reason: DueReason) -> None:
    """Drugs came back, or were never to be had: the money for these units is owed."""
    for line in work.find(lines, AccountLine, limit=10, line=order_line):
        free = line.replace(freed=line.freed + units)
        if reason is DueReason.UNSUPPLIED:
            free = free.replace(given_up=line.given_up + units)
        work.update(lines, before=line, after=free)
        if not line.is_withdrawn:  # else the whole of it is owed already
            owe(work, free, min(units, free.refundable), reason)


def move(
    work: Work,
    line: AccountLine,
    to: LineState,
    *,
    document: UUID | None = None,
    changes: AccountLine | None = None,
) -> AccountLine:
    """Move a charge to another state, with whatever else changes, and write its history."""
    LINES.check(line.state, to)
    after = (changes or line).replace(state=to, moves=line.moves + 1)
    work.update(lines, before=line, after=after)
    _note(work, after, line.state, document)
    return after


def _note(work: Work, line: AccountLine, was: LineState | None, document: UUID | None) -> None:
    moved = Moved(
        charge=line.id,
        number=line.moves,
        campus=line.campus,
        was=was,
        state=line.state,
        amount=line.amount,
        document=document,
        by=work.actor.id,
        at=work.now,
    )
    work.insert(history, moved)


# ── looking ─────────────────────────────────────────────────────────────────────────────────
def charge_of(read: Reading, id: ChargeId) -> AccountLine:
    return read.get(lines, AccountLine, id, missing=ChargeNotFound)


def account(read: Reading, encounter: EncounterId) -> Account:
    return Account(
        encounter=encounter,
        lines=read.find(
            lines, AccountLine, limit=LINES_MAX, order_by="performed_at", encounter=encounter
        ),
        awaited=read.count(awaited, encounter=encounter),
        bills=read.find(bills, Bill, limit=100, order_by="opened_at", encounter=encounter),
        party=next(iter(parties_of(read, (encounter,))), None),
    )


def accounts_of(read: Reading, patient: PatientId, limit: int) -> tuple[Account, ...]:
    visits = read.find(parties, Visit, limit=limit, order_by="-planned_for", patient=patient)
    return tuple(account(read, visit.encounter) for visit in visits)


def waiting(read: Reading, campus: CampusCode, limit: int) -> tuple[Party, ...]:
    """Visits with charges on no bill yet, by their oldest charge."""
    column = lines.c
    statement = (
        select(column.encounter)
        .where(
            column.campus == campus,
            column.state == LineState.PENDING,
            column.bill.is_(None),
            *read.visible(lines),
        )
        .group_by(column.encounter)
        .order_by(func.min(column.performed_at))
        .limit(limit)
    )
    encounters = tuple(row[0] for row in read.rows(statement))
    known = {party.encounter: party for party in parties_of(read, encounters)}
    return tuple(known.get(e, Party(encounter=e, campus=campus)) for e in encounters)


def parties_of(read: Reading, encounters: tuple[EncounterId, ...]) -> tuple[Party, ...]:
    """Whose visits these are, in two statements."""
    if not encounters:
        return ()
    visits = read.find(parties, Visit, limit=LINES_MAX, encounter=encounters)
    patients = tuple({visit.patient for visit in visits})
    found = read.find(persons, Human, limit=LINES_MAX, patient=patients) if patients else ()
    humans = {human.patient: human for human in found}
    return tuple(_party(visit, humans.get(visit.patient)) for visit in visits)


def _party(visit: Visit, human: Human | None) -> Party:
    return Party(
        encounter=visit.encounter,
        campus=visit.campus,
        patient=visit.patient,
        name=visit.name,
        department=visit.department,
        doctor_name=visit.doctor_name,
        sex=human.sex if human else Sex.UNKNOWN,
        birth_date=human.birth_date if human else None,
    )

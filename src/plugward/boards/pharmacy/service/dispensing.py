"""Dispensing 发药: from the payment to the patient's hands."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from plugward.kernel import Message, Plain, Reading, Work, WrongState
from plugward.kit.ids import derive
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import BillId, CampusCode, EncounterId, OrderLineId, PrescriptionId

from ..contract import (
    AlreadyDispensed,
    BatchExpired,
    DispensedLine,
    DispenseTask,
    GiveUp,
    LineNotReady,
    LineQuantity,
    LineState,
    LineUnsupplied,
    NobodyWaiting,
    NothingChosen,
    NothingOpen,
    Person,
    Prescription,
    PrescriptionDispensed,
    PrescriptionLine,
    Scan,
    ScanOutcome,
    SecondPersonNeeded,
    TaskCalled,
    TaskId,
    TaskNotFound,
    TaskOpened,
    TaskSheet,
    TaskState,
)
from ..rules import (
    LINES,
    PAYABLE,
    SCANNED_IN,
    TASKS,
    check_all_scanned,
    expired_batch,
    judge,
    number_text,
)
from ..rules import (
    give_up as given_up,
)
from ..tables import drugs, lines, persons, prescriptions, scans, tasks
from .prescribing import LINES_MAX, Drug, Holding, line_of, release

SHORT = "付款后库存不足"


class Payment(Message):
    """A settled bill, as far as it concerns the pharmacy."""

    bill: BillId
    encounter: EncounterId
    lines: tuple[OrderLineId, ...]
    paid_at: Instant


def task_of(read: Reading, task: TaskId) -> DispenseTask:
    return read.get(tasks, DispenseTask, task, missing=TaskNotFound)


def lines_of(read: Reading, task: TaskId) -> tuple[PrescriptionLine, ...]:
    return read.find(lines, PrescriptionLine, limit=LINES_MAX, task=task)


# ── paid ────────────────────────────────────────────────────────────────────────────────────
def open_tasks(work: Work, payment: Payment, holdings: tuple[Holding, ...]) -> None:
    """One task a prescription. What is paid and cannot be held is owed back at once."""
    held = {holding.line: holding for holding in holdings}
    found = work.find(lines, PrescriptionLine, limit=LINES_MAX, id=payment.lines)
    paid = [line for line in found if not line.paid]
    for id in dict.fromkeys(line.prescription for line in paid):
        own = [line for line in paid if line.prescription == id]
        _open_task(work, payment, id, own, held)


def _open_task(
    work: Work,
    payment: Payment,
    id: PrescriptionId,
    own: list[PrescriptionLine],
    held: dict[OrderLineId, Holding],
) -> None:
    prescription = work.get(prescriptions, Prescription, id)
    person = work.get_or_none(persons, Person, prescription.patient)
    day = hospital_date(work.now)
    task = DispenseTask(
        id=TaskId(derive(payment.bill, "task", id)),
        number=number_text(work.next_number(f"{prescription.campus}:{day}")),
        day=day,
        campus=prescription.campus,
        prescription=id,
        bill=payment.bill,
        encounter=payment.encounter,
        patient=prescription.patient,
        patient_name=person.name if person else "",
        state=TaskState.TO_PICK,
        paid_at=payment.paid_at,
        packs=sum(line.quantity for line in own),
    )
    work.insert(tasks, task)
    for line in own:
        _pay_line(work, line, task.id, held.get(line.id))
    parts = tuple(LineQuantity(line=line.id, quantity=line.quantity) for line in own)
    work.publish(TaskOpened(task=task, lines=parts))
    close_if_empty(work, task)


def _pay_line(work: Work, line: PrescriptionLine, task: TaskId, holding: Holding | None) -> None:
    paid = line.replace(
        task=task,
        paid=line.quantity,
        open=line.quantity,
        reservation=holding.reservation if holding else None,
        batches=holding.batches if holding else (),
    )
    if line.state is LineState.WITHDRAWN:  # withdrawn while the money was on its way
        release(work, paid, paid.open)
        work.update(lines, before=line, after=given_up(paid, paid.open, LineState.WITHDRAWN))
        return
    LINES.check(line.state, LineState.PAID)
    paid = paid.replace(state=LineState.PAID)
    if holding is None:
        paid = _unsupplied(work, paid, paid.open, SHORT)
    work.update(lines, before=line, after=paid)


def _unsupplied(work: Work, line: PrescriptionLine, quantity: int, reason: str) -> PrescriptionLine:
    release(work, line, quantity)
    work.publish(
        LineUnsupplied(
            encounter=line.encounter,
            campus=line.campus,
            line=line.id,
            item=line.item,
            name_zh=line.name_zh,
            quantity=quantity,
            reason=reason,
        )
    )
    return given_up(line, quantity)


def close_if_empty(work: Work, task: DispenseTask) -> None:
    """A task on which nothing is open any more is over."""
    if TASKS.final(task.state) or work.count(lines, lines.c.open > 0, task=task.id):
        return
    move(work, task, TaskState.CLOSED, reason=task.reason or "无待发药品")


# ── given up ────────────────────────────────────────────────────────────────────────────────
def give_up(work: Work, request: GiveUp) -> tuple[PrescriptionLine, ...]:
    """Stop so much of these lines, in total."""
    if not request.lines:
        raise NothingChosen
    stopped = []
    for wanted in sorted(request.lines, key=lambda part: part.line.bytes):
        line = line_of(work, wanted.line)
        if line.state in PAYABLE:
            raise LineNotReady(line=line.id)
        more = wanted.quantity - line.given_up
        if more > line.open:
            raise AlreadyDispensed(line=line.id, name=line.name_zh, left=line.open)
        if more > 0:
            release(work, line, more)
            less = given_up(line, more)
            work.update(lines, before=line, after=less)
            line = less
        stopped.append(line)
    for task in dict.fromkeys(line.task for line in stopped if line.task is not None):
        close_if_empty(work, task_of(work, task))
    return tuple(stopped)


def cannot_supply(work: Work, id: OrderLineId, quantity: int, reason: str) -> PrescriptionLine:
    """So much of a paid line is not to be had."""
    line = line_of(work, id)
    if quantity < 1:
        raise NothingChosen
    if quantity > line.open:
        raise NothingOpen(line=id)
    less = _unsupplied(work, line, quantity, reason)
    work.update(lines, before=line, after=less)
    if line.task is not None:
        close_if_empty(work, task_of(work, line.task))
    return less


# ── called, scanned, handed out ─────────────────────────────────────────────────────────────
def move(work: Work, task: DispenseTask, to: TaskState, **changes: Any) -> DispenseTask:
    TASKS.check(task.state, to)
    moved = task.replace(state=to, **changes)
    work.update(tasks, before=task, after=moved)
    return moved


def call_next(work: Work, campus: CampusCode, window: str) -> DispenseTask:
    """The next ready basket, else the next in turn, to exactly one window."""
    for ready in (TaskState.PICKED, TaskState.TO_PICK):
        TASKS.check(ready, TaskState.CALLED)
        called = work.claim(
            tasks,
            DispenseTask,
            order_by="paid_at",
            values={
                "state": TaskState.CALLED,
                "window": window,
                "calls": 1,
                "called_at": work.now,
            },
            campus=campus,
            state=ready,
        )
        if called is not None:
            work.publish(TaskCalled(task=called))
            return called
    raise NobodyWaiting


def call(work: Work, task: DispenseTask, window: str) -> DispenseTask:
    again = {"window": window, "calls": task.calls + 1, "called_at": work.now}
    called = move(work, task, TaskState.CALLED, **again)
    work.publish(TaskCalled(task=called))
    return called


def scan(work: Work, task: DispenseTask, code: str) -> Scan:
    """Judge one pack. What is wrong is blocked and written down as well."""
    if task.state not in SCANNED_IN:
        raise WrongState(state=task.state.value, to="scanned")
    item, _, batch_no = code.partition("/")
    outcome, line = judge(lines_of(work, task.id), item, batch_no, hospital_date(work.now))
    if outcome is ScanOutcome.RIGHT and line is not None:
        work.update(lines, before=line, after=line.replace(scanned=line.scanned + 1))
    drug = work.get_or_none(drugs, Drug, item)
    seen = Scan(
        id=work.derive("scan"),
        task=task.id,
        campus=task.campus,
        code=code,
        outcome=outcome,
        line=line.id if line else None,
        name=f"{drug.name_zh} {drug.spec}" if drug else code,
        by=work.actor.id,
        at=work.now,
    )
    work.insert(scans, seen)
    return seen


def dispense(work: Work, task: DispenseTask) -> DispenseTask:
    """Hand out what is open. The stock follows this fact, whenever the drug store is back."""
    TASKS.check(task.state, TaskState.DISPENSED)
    open_lines = [line for line in lines_of(work, task.id) if line.open]
    check_all_scanned(open_lines)
    _check_second_person(work, task, open_lines)
    for line in open_lines:
        late = expired_batch(line, hospital_date(work.now))
        if late is not None:
            raise BatchExpired(name=line.name_zh, batch_no=late.batch_no)
        LINES.check(line.state, LineState.DISPENSED)
        out = line.replace(
            state=LineState.DISPENSED,
            open=0,
            scanned=0,
            dispensed=line.dispensed + line.open,
            returnable=line.returnable + line.open,
        )
        work.update(lines, before=line, after=out)
    by_whom = {"dispensed_by": work.actor.id, "dispensed_at": work.now}
    done = move(work, task, TaskState.DISPENSED, **by_whom)
    work.publish(PrescriptionDispensed(task=done, lines=tuple(map(_dispensed, open_lines))))
    return done


def _check_second_person(work: Work, task: DispenseTask, own: Sequence[PrescriptionLine]) -> None:
    """Who picked a narcotic does not hand it out alone."""
    if any(line.is_controlled for line in own) and task.picked_by in ("", work.actor.id):
        raise SecondPersonNeeded


def _dispensed(line: PrescriptionLine) -> DispensedLine:
    return DispensedLine(
        line=line.id,
        item=line.item,
        name_zh=line.name_zh,
        quantity=line.open,
        reservation=line.reservation,
        batches=line.batches,
    )


# ── looking ─────────────────────────────────────────────────────────────────────────────────
def sheets(read: Reading, found: tuple[DispenseTask, ...]) -> tuple[TaskSheet, ...]:
    """Tasks with everything the window shows, in three statements however many they are."""
    if not found:
        return ()
    chosen = tuple({task.prescription for task in found})
    papers = {p.id: p for p in read.find(prescriptions, Prescription, limit=LINES_MAX, id=chosen)}
    rows = read.find(lines, PrescriptionLine, limit=1_000, task=tuple(task.id for task in found))
    names = {
        person.patient: person
        for person in read.find(
            persons, Person, limit=LINES_MAX, patient=tuple({task.patient for task in found})
        )
    }
    return tuple(
        TaskSheet(
            task=task,
            prescription=papers[task.prescription],
            lines=tuple(row for row in rows if row.task == task.id),
            person=names.get(task.patient),
        )
        for task in found
    )


def counts(read: Reading, campus: CampusCode) -> dict[Plain, int]:
    day = hospital_date(read.now)
    statement = (
        select(tasks.c.state, func.count())
        .where(tasks.c.campus == campus, tasks.c.day == day, *read.visible(tasks))
        .group_by(tasks.c.state)
        .limit(len(TaskState))
    )
    return {state.value: int(number) for state, number in map(tuple, read.rows(statement))}

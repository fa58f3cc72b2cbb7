"""The fake answers as the laboratory does: the same questions to both, the same answers."""

from collections.abc import Awaitable, Callable

import pytest

from plugward.boards.lab.contract import (
    CriticalId,
    CriticalNotFound,
    Lab,
    NotCritical,
    ReportNotFound,
)
from plugward.boards.lab.fakes import FakeLab
from plugward.boards.lab.tests.ward import C1, POTASSIUM, Person, Ward
from plugward.kit.ids import new_id
from plugward.vocabulary import ReportId


async def both() -> tuple[Ward, FakeLab, Person, ReportId]:
    """A laboratory with one critical report, and a fake that was told of it."""
    ward, person = Ward(), Person("周建民")
    await ward.open(person)
    report = await ward.report(person, POTASSIUM, "7.1")
    fake = FakeLab()
    fake.put(report)
    for critical in await ward.lab.critical_values(C1):
        fake.criticals[critical.id] = critical
    for request in await ward.lab.requests_of(person.encounter):
        fake.requests[request.id] = request
    for subject in await ward.lab.subjects((person.id,)):
        fake.people[subject.id] = subject
    return ward, fake, person, report.id


async def test_the_fake_answers_like_the_laboratory() -> None:
    ward, fake, person, report = await both()
    questions: list[Callable[[Lab], Awaitable[object]]] = [
        lambda lab: lab.reports_of((person.id,)),
        lambda lab: lab.report(report),
        lambda lab: lab.versions(report),
        lambda lab: lab.requests_of(person.encounter),
        lambda lab: lab.critical_values(C1),
        lambda lab: lab.subjects((person.id,)),
        lambda lab: lab.withdrawals_for_me(),
    ]
    for question in questions:
        assert await question(ward.lab) == await question(fake)


async def test_the_fake_refuses_like_the_laboratory() -> None:
    ward, fake, _, _ = await both()
    [critical] = await fake.critical_values(C1)
    for lab in (ward.lab, fake):
        with pytest.raises(ReportNotFound):
            await lab.report(ReportId(new_id()))
        with pytest.raises(CriticalNotFound):
            await lab.critical_value(CriticalId(new_id()))
        await lab.acknowledge(critical.id, "已处置")
        with pytest.raises(NotCritical):
            await lab.acknowledge(critical.id)
        assert await lab.critical_values(C1) == ()

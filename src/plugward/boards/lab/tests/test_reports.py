"""From the needle to a report a doctor may act on, and what happens when it was wrong.

Every scenario runs with direct calls and with encoded ones; what other boards say is real.
"""

from itertools import product

import pytest

from plugward.boards.lab.contract import (
    Collect,
    CriticalAcknowledged,
    CriticalCleared,
    CriticalEscalated,
    CriticalNotFound,
    CriticalRaised,
    CriticalState,
    EnterResults,
    Flag,
    ItemUnknown,
    NewResult,
    NoResults,
    NotCritical,
    NothingToCollect,
    NotOneContainer,
    NotOnePatient,
    NotPaid,
    OutsideResults,
    OwnResults,
    ReasonNeeded,
    RejectReason,
    Report,
    ReportIssued,
    ReportNotCurrent,
    ReportNotFound,
    ReportState,
    ReportWithdrawn,
    RequestNotFound,
    RequestState,
    ResultNotANumber,
    ResultNotAsked,
    ResultsMissing,
    ResultTwice,
    SameTube,
    SpecimenCollected,
    SpecimenNotFound,
    SpecimenRejected,
    SpecimenState,
    SwapTubes,
    TubesDiffer,
    WithdrawReason,
)
from plugward.boards.lab.rules import number_of
from plugward.boards.lab.tables import reports
from plugward.boards.lab.tests.ward import (
    C1,
    C2,
    HAEMOGLOBIN,
    HBA1C,
    HBSAG,
    POTASSIUM,
    SODIUM,
    Person,
    Ward,
    group_of,
)
from plugward.boards.orders.contract import GroupSigned, LineWithdrawn
from plugward.boards.orders.contract import WithdrawReason as LineReason
from plugward.commons.masterdata.contract import Domain
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel import Conflict, WrongState
from plugward.kernel.testing import TRANSPORTS
from plugward.kit.ids import new_id
from plugward.vocabulary import ReportId, Sex, SpecimenId


@pytest.fixture(params=TRANSPORTS)
def ward(request: pytest.FixtureRequest) -> Ward:
    return Ward(request.param)


@pytest.fixture
def mr_zhou() -> Person:
    return Person("周建民")


@pytest.fixture
def mrs_shen() -> Person:
    return Person("沈玉兰", Sex.FEMALE)


async def test_a_paid_request_becomes_a_report(ward: Ward, mr_zhou: Person) -> None:
    """开单 → 缴费 → 采样 → 接收 → 结果 → 审核 → 报告第 1 版。"""
    await ward.open(mr_zhou)
    lines = await ward.order(mr_zhou, POTASSIUM, SODIUM)
    [first, _] = await ward.lab.waiting(C1)
    assert (first.subject.name if first.subject else "", first.container) == (
        "周建民",
        "黄管 分离胶",
    )

    specimen = await ward.draw(*lines)
    assert specimen.barcode == "126030200001"
    [collected] = ward.bench.published(SpecimenCollected)
    assert collected.specimen.requests == lines
    view = await ward.lab.bench(specimen.barcode)
    assert {t.name_zh for t in view.tests} == {"钾", "钠"}

    await ward.measure(specimen, **{POTASSIUM: "4.2"})
    with pytest.raises(ResultsMissing):
        await ward.lab.verify(specimen.id, ReportId(new_id()))
    await ward.measure(specimen, **{SODIUM: "136"})
    report = await ward.lab.verify(specimen.id, ReportId(new_id()))

    assert (report.version, report.state) == (1, ReportState.ISSUED)
    assert {r.name_zh: r.flag for r in report.results} == {"钾": Flag.NORMAL, "钠": Flag.LOW}
    assert ward.bench.published(ReportIssued)[0].report == report
    assert {r.state for r in await ward.lab.requests_of(mr_zhou.encounter)} == {
        RequestState.REPORTED
    }
    await ward.bench.prove()


async def test_a_panel_is_measured_test_by_test(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    specimen = await ward.draw(*await ward.order(mr_zhou, "ELEC"))
    view = await ward.lab.bench(specimen.barcode)
    assert {POTASSIUM, SODIUM} <= {t.item for t in view.tests}


# ── who may start ────────────────────────────────────────────────────────────────────────────
async def test_nothing_is_drawn_before_it_is_paid_but_emergencies_are(
    ward: Ward, mr_zhou: Person, mrs_shen: Person
) -> None:
    """先缴费后检验；急诊医嘱、急诊就诊、绿色通道除外。"""
    await ward.open(mr_zhou, mrs_shen)
    [unpaid] = await ward.order(mr_zhou, POTASSIUM, is_paid=False)
    with pytest.raises(NotPaid):
        await ward.draw(unpaid)
    [urgent] = await ward.order(mr_zhou, SODIUM, is_urgent=True, is_paid=False)
    await ward.draw(urgent)

    await ward.lab.credit(mr_zhou.encounter, "胸痛中心绿色通道")
    await ward.draw(unpaid)
    [later] = await ward.order(mr_zhou, HBA1C, is_paid=False)
    await ward.draw(later)

    [of_shen] = await ward.order(mrs_shen, POTASSIUM, is_paid=False)
    await ward.arrives_as_emergency(mrs_shen)
    await ward.draw(of_shen)


async def test_nobody_gives_credit_at_another_campus(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    [unpaid] = await ward.order(mr_zhou, POTASSIUM, is_paid=False)
    with ward.bench.acting(campuses=("C2",)):
        assert await ward.lab.credit(mr_zhou.encounter, "绿色通道") == ()
    with pytest.raises(NotPaid):
        await ward.draw(unpaid)


async def test_payment_may_become_known_before_the_request(ward: Ward, mr_zhou: Person) -> None:
    """Facts of two boards come in any order, and any number of times."""
    await ward.open(mr_zhou)
    group = group_of(mr_zhou, (POTASSIUM,), ward, False, C1)
    await ward.pay(mr_zhou, group.lines[0].id, times=2)
    await ward.bench.receive(GroupSigned(group=group, charges=()), times=2)
    [waiting] = await ward.lab.waiting(C1)
    assert waiting.may_start


async def test_a_refund_before_the_needle_stops_it_and_after_it_does_not(
    ward: Ward, mr_zhou: Person
) -> None:
    await ward.open(mr_zhou)
    [early] = await ward.order(mr_zhou, POTASSIUM)
    await ward.refund(mr_zhou, early)
    with pytest.raises(NotPaid):
        await ward.draw(early)
    [late] = await ward.order(mr_zhou, SODIUM)
    specimen = await ward.draw(late)
    await ward.refund(mr_zhou, late)
    await ward.measure(specimen, **{SODIUM: "140"})
    await ward.lab.verify(specimen.id, ReportId(new_id()))


async def test_a_hospital_may_test_first_and_be_paid_later(mr_zhou: Person) -> None:
    ward = Ward(pay_first=False)
    await ward.open(mr_zhou)
    await ward.draw(*await ward.order(mr_zhou, POTASSIUM, is_paid=False))


async def test_a_withdrawn_line_is_cancelled_unless_it_is_in_a_tube(
    ward: Ward, mr_zhou: Person
) -> None:
    await ward.open(mr_zhou)
    group = group_of(mr_zhou, (POTASSIUM, SODIUM), ward, False, C1)
    await ward.bench.receive(GroupSigned(group=group, charges=()))
    potassium, sodium = group.lines
    await ward.pay(mr_zhou, potassium.id, sodium.id)
    await ward.draw(sodium.id)
    for line in (potassium, sodium):  # a fact is never refused
        fact = LineWithdrawn(
            line=line,
            reason=LineReason.ENTERED_BY_MISTAKE,
            withdrawn_by="staff:lin",
            withdrawn_at=ward.bench.clock.now(),
        )
        await ward.bench.receive(fact, times=2)
    states = {r.item: r.state for r in await ward.lab.requests_of(mr_zhou.encounter)}
    assert states == {POTASSIUM: RequestState.CANCELLED, SODIUM: RequestState.COLLECTED}
    with pytest.raises(WrongState):
        await ward.draw(potassium.id)


async def test_one_tube_is_one_patient_and_one_container(
    ward: Ward, mr_zhou: Person, mrs_shen: Person
) -> None:
    await ward.open(mr_zhou, mrs_shen)
    [potassium] = await ward.order(mr_zhou, POTASSIUM)
    [haemoglobin] = await ward.order(mr_zhou, HAEMOGLOBIN)
    [of_shen] = await ward.order(mrs_shen, POTASSIUM)
    with pytest.raises(NotOneContainer):
        await ward.draw(potassium, haemoglobin)
    with pytest.raises(NotOnePatient):
        await ward.draw(potassium, of_shen)
    with pytest.raises(NothingToCollect):
        await ward.draw()
    await ward.draw(potassium)
    with pytest.raises(WrongState):
        await ward.draw(potassium)


async def test_what_nobody_knows_how_to_measure_is_not_drawn(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    [unknown] = await ward.order(mr_zhou, "L9999")
    with pytest.raises(ItemUnknown):
        await ward.draw(unknown)


async def test_a_double_click_draws_one_tube(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    lines = await ward.order(mr_zhou, POTASSIUM)
    request, wish = new_id(), Collect(id=SpecimenId(new_id()), requests=lines)
    tubes = []
    for _ in range(3):
        with ward.bench.request(request):
            tubes.append(await ward.lab.collect(wish))
    assert len({t.barcode for t in tubes}) == 1
    assert len(ward.bench.published(SpecimenCollected)) == 1


async def test_a_bad_tube_is_drawn_again(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    lines = await ward.order(mr_zhou, POTASSIUM)
    bad = await ward.draw(*lines)
    await ward.measure(bad, **{POTASSIUM: "9.9"})
    await ward.lab.reject(bad.id, RejectReason.HAEMOLYSED)
    assert len(ward.bench.published(SpecimenRejected)) == 1
    with pytest.raises(NoResults):
        await ward.lab.verify(bad.id, ReportId(new_id()))
    good = await ward.draw(*lines)
    assert good.barcode != bad.barcode
    assert (await ward.lab.bench(good.barcode)).draft is None


# ── results ──────────────────────────────────────────────────────────────────────────────────
async def test_ranges_follow_the_patients_sex(
    ward: Ward, mr_zhou: Person, mrs_shen: Person
) -> None:
    """血红蛋白 120 g/L：男性偏低，女性正常。"""
    await ward.open(mr_zhou, mrs_shen)
    of_him = await ward.report(mr_zhou, HAEMOGLOBIN, "120")
    of_her = await ward.report(mrs_shen, HAEMOGLOBIN, "120")
    assert [r.flag for r in of_him.results] == [Flag.LOW]
    assert [r.flag for r in of_her.results] == [Flag.NORMAL]


async def test_senseless_results_are_refused(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    specimen = await ward.draw(*await ward.order(mr_zhou, POTASSIUM))
    with pytest.raises(ResultNotANumber):
        await ward.measure(specimen, **{POTASSIUM: "高"})
    with pytest.raises(ResultNotAsked):
        await ward.measure(specimen, **{SODIUM: "140"})
    with pytest.raises(ResultTwice):
        await ward.measure(specimen, **{POTASSIUM: "4.0", "K": "4.1"})
    with pytest.raises(NoResults):
        await ward.lab.verify(specimen.id, ReportId(new_id()))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("7.1", "7.1"),
        (" 7.1 ", "7.1"),
        ("＜0.5", "0.5"),
        (">1000", "1000"),
        ("-2.5", "-2.5"),
        ("7,1", None),
        ("1e5", None),
        ("", None),
        ("NaN", None),
        ("Infinity", None),
        ("9" * 40, None),
    ],
)
def test_a_number_is_recognised_and_nothing_else(value: str, number: str | None) -> None:
    found = number_of(value)
    assert (None if found is None else str(found)) == number


@pytest.mark.parametrize(
    ("value", "flag"),
    [("阴性", Flag.NORMAL), ("阳性", Flag.ABNORMAL), ("弱阳性", Flag.ABNORMAL), ("-", Flag.NORMAL)],
)
async def test_a_qualitative_result_is_judged(mr_zhou: Person, value: str, flag: Flag) -> None:
    ward = Ward()
    await ward.open(mr_zhou)
    report = await ward.report(mr_zhou, HBSAG, value)
    assert [r.flag for r in report.results] == [flag]


async def test_two_people_where_the_hospital_says_so(mr_zhou: Person) -> None:
    ward = Ward(verify_by_other=True)
    await ward.open(mr_zhou)
    specimen = await ward.draw(*await ward.order(mr_zhou, POTASSIUM))
    await ward.measure(specimen, **{POTASSIUM: "4.0"})
    with pytest.raises(OwnResults):
        await ward.lab.verify(specimen.id, ReportId(new_id()))
    with ward.bench.acting(id="other"):
        await ward.lab.verify(specimen.id, ReportId(new_id()))


# ── results by message ───────────────────────────────────────────────────────────────────────
def message(barcode: str, item: str, value: str, *, is_final: bool = True) -> OutsideResults:
    return OutsideResults(
        id=new_id(),
        source="system:analyser-1",
        barcode=barcode,
        results=(NewResult(item=item, value=value),),
        is_final=is_final,
    )


async def test_an_analyser_reports_a_tube_it_received(ward: Ward, mr_zhou: Person) -> None:
    """仪器按条码回传：初步结果待审核，已审核结果直接发报告。"""
    await ward.open(mr_zhou)
    lines = await ward.order(mr_zhou, POTASSIUM)
    specimen = await ward.lab.collect(Collect(id=SpecimenId(new_id()), requests=lines))
    waits = await ward.lab.outside(message(specimen.barcode, "K", "4.1", is_final=False))
    assert waits.state is SpecimenState.RESULTED
    done = await ward.lab.outside(message(specimen.barcode, "2823-3", "4.2"))
    assert done.state is SpecimenState.REPORTED
    [issued] = ward.bench.published(ReportIssued)
    assert [r.value for r in issued.report.results] == ["4.2"]
    assert issued.report.verified_by == "system:analyser-1"
    await ward.bench.prove()


async def test_results_by_order_line_find_their_tube(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    [line] = await ward.order(mr_zhou, POTASSIUM)
    by_line = message("", POTASSIUM, "4.2").replace(line=line)
    with pytest.raises(SpecimenNotFound):
        await ward.lab.outside(by_line)  # nothing is drawn yet
    await ward.draw(line)
    assert (await ward.lab.outside(by_line)).state is SpecimenState.REPORTED


async def test_a_correction_by_message_waits_for_a_person(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    report = await ward.report(mr_zhou, POTASSIUM, "4.2")
    await ward.lab.outside(message(report.barcode, POTASSIUM, "4.2"))  # nothing new
    assert (await ward.lab.bench(report.barcode)).draft is None
    await ward.lab.outside(message(report.barcode, POTASSIUM, "5.9"))
    assert len(ward.bench.published(ReportIssued)) == 1
    second = await ward.lab.verify(report.specimen, ReportId(new_id()))
    assert (second.version, second.replaces) == (2, report.id)
    [withdrawn] = ward.bench.published(ReportWithdrawn)
    assert withdrawn.report.withdrawn_because is WithdrawReason.CORRECTED_BY_ANALYSER
    await ward.bench.prove()


async def test_an_untrusted_sender_is_always_verified_here(mr_zhou: Person) -> None:
    ward = Ward(trust_outside_final=False)
    await ward.open(mr_zhou)
    specimen = await ward.draw(*await ward.order(mr_zhou, POTASSIUM))
    after = await ward.lab.outside(message(specimen.barcode, POTASSIUM, "4.2"))
    assert after.state is SpecimenState.RESULTED


# ── putting right ────────────────────────────────────────────────────────────────────────────
async def test_e01_result_for_the_wrong_tube(ward: Ward, mr_zhou: Person, mrs_shen: Person) -> None:
    """两管标签互换，医生已看：两份撤回、各出新版、读过的人被告知，旧版留痕且不再现行。"""
    await ward.open(mr_zhou, mrs_shen)
    of_zhou = await ward.report(mr_zhou, POTASSIUM, "7.1")
    of_shen = await ward.report(mrs_shen, POTASSIUM, "4.2")
    with ward.bench.acting(id="lin"):
        await ward.lab.report(of_zhou.id)
        await ward.lab.report(of_zhou.id)
    [raised] = ward.bench.published(CriticalRaised)
    assert raised.critical.patient == mr_zhou.id

    swap = SwapTubes(
        first=of_zhou.id,
        second=of_shen.id,
        new_first=ReportId(new_id()),
        new_second=ReportId(new_id()),
        words="标签互换",
    )
    new_zhou, new_shen = await ward.lab.swap(swap)

    assert [r.value for r in new_zhou.results] == ["4.2"]
    assert [r.value for r in new_shen.results] == ["7.1"]
    assert (new_zhou.version, new_zhou.replaces, new_zhou.patient) == (2, of_zhou.id, mr_zhou.id)
    assert new_zhou.number == of_zhou.number

    withdrawn = {w.report.id: w for w in ward.bench.published(ReportWithdrawn)}
    assert withdrawn[of_zhou.id].readers == ("staff:lin",)
    assert withdrawn[of_shen.id].readers == ()
    assert {w.report.withdrawn_because for w in withdrawn.values()} == {WithdrawReason.WRONG_TUBE}

    # The critical value was not his: it is void, and raised for whom it belongs to.
    [cleared] = ward.bench.published(CriticalCleared)
    assert cleared.critical.id == raised.critical.id
    assert ward.bench.published(CriticalRaised)[-1].critical.patient == mrs_shen.id

    # No list shows the old version as current; it stays readable, with its mark and its values.
    [line] = await ward.lab.reports_of((mr_zhou.id,))
    assert (line.id, line.version) == (new_zhou.id, 2)
    old = await ward.lab.report(of_zhou.id)
    assert (old.state, old.replaced_by) == (ReportState.WITHDRAWN, new_zhou.id)
    assert old.results == of_zhou.results
    assert [v.version for v in await ward.lab.versions(new_zhou.id)] == [1, 2]

    # Dr Lin finds it among what waits, until it is noticed.
    with ward.bench.acting(id="lin"):
        [told] = await ward.lab.withdrawals_for_me()
        assert (told.report, told.replaced_by) == (of_zhou.id, new_zhou.id)
        await ward.lab.notice_withdrawal(of_zhou.id)
        assert await ward.lab.withdrawals_for_me() == ()
    with ward.bench.acting(id="tester"):  # who opens it only afterwards sees the mark at once
        assert await ward.lab.withdrawals_for_me() == ()
    await ward.bench.prove()


async def test_a_withdrawn_report_cannot_be_withdrawn_or_swapped_again(
    ward: Ward, mr_zhou: Person, mrs_shen: Person
) -> None:
    await ward.open(mr_zhou, mrs_shen)
    first = await ward.report(mr_zhou, POTASSIUM, "4.1")
    second = await ward.report(mrs_shen, POTASSIUM, "4.2")
    sodium = await ward.report(mrs_shen, SODIUM, "140")

    def swap(a: Report, b: Report) -> SwapTubes:
        return SwapTubes(
            first=a.id, second=b.id, new_first=ReportId(new_id()), new_second=ReportId(new_id())
        )

    with pytest.raises(SameTube):
        await ward.lab.swap(swap(first, first))
    with pytest.raises(TubesDiffer):
        await ward.lab.swap(swap(first, sodium))
    await ward.lab.withdraw(first.id, WithdrawReason.WRONG_RESULT)
    for again in (
        ward.lab.withdraw(first.id, WithdrawReason.WRONG_RESULT),
        ward.lab.swap(swap(first, second)),
    ):
        with pytest.raises(ReportNotCurrent):
            await again
    with pytest.raises(ReportNotFound):
        await ward.lab.withdraw(ReportId(new_id()), WithdrawReason.WRONG_RESULT)


async def test_a_withdrawn_report_is_measured_again_as_the_next_version(
    ward: Ward, mr_zhou: Person
) -> None:
    await ward.open(mr_zhou)
    first = await ward.report(mr_zhou, POTASSIUM, "4.1")
    await ward.lab.withdraw(first.id, WithdrawReason.WRONG_RESULT)
    assert await ward.lab.reports_of((mr_zhou.id,)) == ()
    specimen = (await ward.lab.bench(first.barcode)).specimen
    assert specimen.state is SpecimenState.RECEIVED
    await ward.measure(specimen, **{POTASSIUM: "4.4"})
    second = await ward.lab.verify(specimen.id, ReportId(new_id()))
    assert (second.version, second.replaces, second.number) == (2, first.id, first.number)
    await ward.bench.prove()


async def test_a_correction_by_hand_needs_a_reason(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    report = await ward.report(mr_zhou, POTASSIUM, "4.1")
    values = (NewResult(item=POTASSIUM, value="5.1"),)
    with pytest.raises(ReasonNeeded):
        await ward.lab.enter(EnterResults(specimen=report.specimen, results=values))
    await ward.lab.enter(
        EnterResults(specimen=report.specimen, results=values, reason=WithdrawReason.WRONG_RESULT)
    )
    second = await ward.lab.verify(report.specimen, ReportId(new_id()))
    assert second.version == 2


async def test_r1_a_report_changed_behind_our_back_is_found(mr_zhou: Person) -> None:
    ward = Ward()
    await ward.open(mr_zhou)
    report = await ward.report(mr_zhou, POTASSIUM, "7.1")
    forged = tuple(r.replace(value="4.1") for r in report.results)
    await ward.bench.service.store.work(
        lambda work: work.set_where(reports, reports.c.id == report.id, results=forged)
    )
    with pytest.raises(AssertionError, match="R1"):
        await ward.bench.prove()


# ── critical values ──────────────────────────────────────────────────────────────────────────
async def test_e02_critical_value(ward: Ward, mr_zhou: Person) -> None:
    """10:00 审核血钾 7.1 → 危急值；10:10 无人确认 → 升级；10:12 确认：何人、何时。"""
    await ward.open(mr_zhou)
    ward.bench.clock.set("2026-03-02 10:00")
    await ward.report(mr_zhou, POTASSIUM, "7.1")
    [raised] = ward.bench.published(CriticalRaised)
    assert (raised.critical.value, raised.critical.flag) == ("7.1", Flag.CRITICAL_HIGH)
    assert raised.critical.author == "staff:lin"

    await ward.bench.clock.advance("2026-03-02 10:09:59")
    await ward.bench.tick()
    assert ward.bench.published(CriticalEscalated) == []
    await ward.bench.clock.advance("2026-03-02 10:10:00")
    await ward.bench.tick()
    await ward.bench.tick()
    [escalated] = ward.bench.published(CriticalEscalated)
    assert escalated.critical.level == 1

    ward.bench.clock.set("2026-03-02 10:12")
    with ward.bench.acting(id="lin"):
        await ward.lab.acknowledge(raised.critical.id, "已电话通知病房，急查心电图")
    [done] = ward.bench.published(CriticalAcknowledged)
    assert done.critical.acknowledged_by == "staff:lin"
    assert done.critical.acknowledged_at == ward.bench.clock.now()
    assert await ward.lab.critical_values(C1) == ()
    [kept] = await ward.lab.critical_values(C1, False)
    assert kept.state is CriticalState.ACKNOWLEDGED

    await ward.bench.clock.advance("2026-03-02 12:00")
    await ward.bench.tick()
    assert len(ward.bench.published(CriticalEscalated)) == 1
    with pytest.raises(NotCritical):
        await ward.lab.acknowledge(raised.critical.id)
    await ward.bench.prove()


async def test_e02_a_notifier_that_stood_still_delays_but_loses_nothing(
    ward: Ward, mr_zhou: Person
) -> None:
    """通知进程停 15 分钟：恢复后立即升级，此后逐级升级到上限。"""
    await ward.open(mr_zhou)
    ward.bench.clock.set("2026-03-02 10:00")
    await ward.report(mr_zhou, POTASSIUM, "7.1")
    ward.bench.clock.set("2026-03-02 10:25")  # no timer rang in between
    await ward.bench.tick()
    [late] = ward.bench.published(CriticalEscalated)
    assert late.critical.escalated_at == ward.bench.clock.now()
    for minute in (35, 45, 55):
        ward.bench.clock.set(f"2026-03-02 10:{minute}")
        await ward.bench.tick()
    levels = [e.critical.level for e in ward.bench.published(CriticalEscalated)]
    assert levels == [1, 2, 3]
    [still] = await ward.lab.critical_values(C1)
    assert still.is_open


async def test_a_value_at_the_limit_is_critical_and_inside_it_is_not(
    ward: Ward, mr_zhou: Person
) -> None:
    await ward.open(mr_zhou)
    flags = [
        (await ward.report(mr_zhou, POTASSIUM, value)).results[0].flag
        for value in ("6.2", "6.1", "2.8", "2.9", "<2.0")
    ]
    assert flags == [
        Flag.CRITICAL_HIGH,
        Flag.HIGH,
        Flag.CRITICAL_LOW,
        Flag.LOW,
        Flag.CRITICAL_LOW,
    ]
    assert len(ward.bench.published(CriticalRaised)) == 3


# ── who sees what ────────────────────────────────────────────────────────────────────────────
async def test_another_campus_sees_and_touches_nothing(ward: Ward, mr_zhou: Person) -> None:
    await ward.open(mr_zhou)
    [line] = await ward.order(mr_zhou, SODIUM)
    report = await ward.report(mr_zhou, POTASSIUM, "7.1")
    [critical] = await ward.lab.critical_values(C1)
    [subject] = await ward.lab.subjects((mr_zhou.id,))
    assert subject.name == "周建民"
    with ward.bench.acting(campuses=("C2",)):
        assert await ward.lab.waiting(C1) == ()
        assert await ward.lab.worklist(C1, SpecimenState.REPORTED) == ()
        assert await ward.lab.reports_of((mr_zhou.id,)) == ()
        assert await ward.lab.critical_values(C1) == ()
        assert await ward.lab.waiting(C2) == ()
        assert await ward.lab.subjects((mr_zhou.id,)) == ()
        for refused in (
            (ReportNotFound, ward.lab.report(report.id)),
            (ReportNotFound, ward.lab.withdraw(report.id, WithdrawReason.WRONG_RESULT)),
            (SpecimenNotFound, ward.lab.bench(report.barcode)),
            (RequestNotFound, ward.lab.collect(Collect(id=SpecimenId(new_id()), requests=(line,)))),
        ):
            with pytest.raises(refused[0]):
                await refused[1]
        with pytest.raises(CriticalNotFound):
            await ward.lab.acknowledge(critical.id)


async def test_lists_take_a_fixed_number_of_queries(mr_zhou: Person) -> None:
    ward = Ward()
    await ward.open(mr_zhou)
    for _ in range(6):
        await ward.draw(*await ward.order(mr_zhou, POTASSIUM))
        await ward.order(mr_zhou, SODIUM)
    with ward.bench.queries(at_most=8):
        assert len(await ward.lab.worklist(C1, SpecimenState.RECEIVED)) == 6
    with ward.bench.queries(at_most=5):
        assert len(await ward.lab.waiting(C1)) == 6


# ── the invariant ────────────────────────────────────────────────────────────────────────────
STEPS = ("measure", "verify", "withdraw", "reject")


@pytest.mark.parametrize(
    "steps",
    [
        *product(STEPS, repeat=1),
        *(("measure", "verify", *then) for then in product(STEPS, repeat=2)),
    ],
)
async def test_whatever_happens_at_most_one_version_stands_and_none_ever_changes(
    steps: tuple[str, ...],
) -> None:
    ward, person = Ward(TRANSPORTS[0]), Person("周建民")
    await ward.open(person, catalogue=seeded(Domain.LAB_ITEM, POTASSIUM))
    specimen = await ward.draw(*await ward.order(person, POTASSIUM))
    issued: list[Report] = []
    for step in steps:
        try:
            if step == "measure":
                await ward.measure(specimen, **{POTASSIUM: "6.5"})
            elif step == "verify":
                issued.append(await ward.lab.verify(specimen.id, ReportId(new_id())))
            elif step == "withdraw" and issued:
                await ward.lab.withdraw(issued[-1].id, WithdrawReason.WRONG_RESULT)
            elif step == "reject":
                await ward.lab.reject(specimen.id, RejectReason.LABEL)
        except (Conflict, ReasonNeeded):
            pass  # a refused request must change nothing
    current = await ward.lab.reports_of((person.id,))
    assert len(current) <= 1
    for report in issued:
        assert (await ward.lab.report(report.id)).results == report.results
    void = len(ward.bench.published(CriticalCleared))
    assert len(ward.bench.published(CriticalRaised)) - void == len(
        await ward.lab.critical_values(C1)
    )
    await ward.bench.prove()

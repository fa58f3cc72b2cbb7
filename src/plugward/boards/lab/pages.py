"""The pages of the laboratory: drawing, the bench, reports, critical values."""

from decimal import Decimal
from itertools import groupby

from plugward.kernel import Invalid, Message, Plain
from plugward.kernel.pages import (
    Go,
    Home,
    Key,
    Place,
    Stat,
    TodoItem,
    View,
    Viewer,
    action,
    home,
    page,
    view,
)
from plugward.kit.message import Clinical
from plugward.vocabulary import CampusCode, EncounterId, OrderLineId, ReportId, Sex, SpecimenId

from .contract import (
    BenchView,
    Collect,
    CriticalId,
    CriticalValue,
    EnterResults,
    Lab,
    NewResult,
    RejectReason,
    SpecimenState,
    WaitingRequest,
    WithdrawReason,
)
from .rules import range_for

LIST_MAX = 100
WORDS = {
    RejectReason.HAEMOLYSED: ("溶血", "Haemolysed"),
    RejectReason.CLOTTED: ("凝块", "Clotted"),
    RejectReason.TOO_LITTLE: ("量不足", "Too little"),
    RejectReason.WRONG_TUBE: ("容器错误", "Wrong container"),
    RejectReason.LABEL: ("标签不符", "Label"),
    RejectReason.LATE: ("送检超时", "Too late"),
    WithdrawReason.WRONG_TUBE: ("标本错管", "Wrong tube"),
    WithdrawReason.WRONG_RESULT: ("结果错误", "Wrong result"),
    WithdrawReason.WRONG_PATIENT: ("患者错误", "Wrong patient"),
    WithdrawReason.CORRECTED_BY_ANALYSER: ("仪器更正", "Corrected by analyser"),
}
TABS = (
    (SpecimenState.COLLECTED, "接收", "Receive"),
    (SpecimenState.RECEIVED, "结果", "Measure"),
    (SpecimenState.RESULTED, "审核", "Verify"),
    (SpecimenState.REPORTED, "已发", "Done"),
)


class ResultForm(Message):
    """The bench's form: one item and one value a row, in the same order."""

    specimen: SpecimenId
    report: ReportId
    barcode: Plain
    item: tuple[Plain, ...]
    value: tuple[Clinical, ...]
    reason: WithdrawReason | None = None


class RowsMissing(Invalid):
    """请填写全部项目的结果。"""


# ── drawing ──────────────────────────────────────────────────────────────────────────────────
@page(
    "/lab/collection",
    title="采样",
    title_en="Specimen collection",
    permission="lab.collect",
    place=Place.RAIL,
    icon="syringe",
    order=310,
    keys=(Key("F9", "采集第一管", "Draw the first", "#draw"),),
)
async def collection(viewer: Viewer, lab: Lab) -> View:
    """What is to be drawn, one row a tube."""
    waiting = await lab.waiting(CampusCode(viewer.campus), None, LIST_MAX)
    return view("collection.html", tubes=_tubes(waiting))


def _tubes(waiting: tuple[WaitingRequest, ...]) -> list[dict[str, object]]:
    """Requests of one visit that go into one container, the urgent ones first."""

    def tube(row: WaitingRequest) -> tuple[str, str, bool]:
        return (str(row.request.encounter), row.container, row.may_start)

    grouped = [list(rows) for _, rows in groupby(sorted(waiting, key=tube), key=tube)]
    grouped.sort(key=lambda rows: min((not r.request.is_urgent, r.request.signed_at) for r in rows))
    return [{"rows": rows, "first": rows[0]} for rows in grouped]


@action("/lab/collect", title="采集", permission="lab.collect")
async def collect(viewer: Viewer, lab: Lab, id: SpecimenId, line: tuple[OrderLineId, ...]) -> Go:
    specimen = await lab.collect(Collect(id=id, requests=line))
    return Go(
        "/lab/collection",
        said=viewer.say(
            f"已采集，条码 {specimen.barcode}", f"Collected, barcode {specimen.barcode}"
        ),
    )


@action("/lab/credit", title="绿色通道", permission="lab.credit")
async def credit(viewer: Viewer, lab: Lab, encounter: EncounterId, reason: Clinical) -> Go:
    await lab.credit(encounter, reason)
    return Go("/lab/collection", said=viewer.say("已转绿色通道", "Moved to the fast lane"))


# ── the bench ────────────────────────────────────────────────────────────────────────────────
@page(
    "/lab/worklist",
    title="检验工作台",
    title_en="Laboratory bench",
    permission="lab.result",
    place=Place.RAIL,
    icon="flask-conical",
    order=300,
    keys=(
        Key("F2", "扫条码", "Scan", "#barcode"),
        Key("F8", "保存结果", "Save", "#save"),
        Key("F9", "审核签发", "Verify", "#issue"),
    ),
)
async def worklist(
    viewer: Viewer, lab: Lab, state: SpecimenState = SpecimenState.RECEIVED, barcode: str = ""
) -> View:
    """Specimens in one state, and the one under the hand."""
    campus = CampusCode(viewer.campus)
    chosen = await lab.bench(barcode.strip()) if barcode.strip() else None
    report = await lab.report(chosen.report) if chosen and chosen.report else None
    values = {r.item: r for r in (report.results if report else ())}
    values |= {r.item: r for r in (chosen.draft.results if chosen and chosen.draft else ())}
    return view(
        "worklist.html",
        rows=await lab.worklist(campus, state, LIST_MAX),
        numbers=(await lab.counts(campus)).fields(),
        tabs=TABS,
        state=state,
        chosen=chosen,
        report=report,
        values=values,
        ranges=_ranges(chosen) if chosen else {},
        words=WORDS,
        reject_reasons=tuple(RejectReason),
        withdraw_reasons=tuple(WithdrawReason),
    )


def _ranges(chosen: BenchView) -> dict[str, tuple[Decimal | None, Decimal | None]]:
    """What is normal for this patient, shown before anything is typed."""
    sex = chosen.subject.sex if chosen.subject else Sex.UNKNOWN
    return {t.item: range_for(t, sex) if t.is_numeric else (None, None) for t in chosen.tests}


@action("/lab/receive", title="接收", permission="lab.receive")
async def receive(viewer: Viewer, lab: Lab, barcode: Plain) -> Go:
    specimen = await lab.receive(barcode.strip())
    return Go(f"/lab/worklist?barcode={specimen.barcode}", said=viewer.say("已接收", "Received"))


@action("/lab/reject", title="拒收", permission="lab.receive")
async def reject(viewer: Viewer, lab: Lab, specimen: SpecimenId, because: RejectReason) -> Go:
    await lab.reject(specimen, because)
    return Go(
        "/lab/worklist",
        said=viewer.say("已拒收，申请回到待采样", "Rejected; to be collected again"),
    )


@action("/lab/enter", title="保存结果", permission="lab.result")
async def enter(viewer: Viewer, lab: Lab, form: ResultForm) -> Go:
    await _enter(lab, form)
    return Go(
        f"/lab/worklist?state=resulted&barcode={form.barcode}",
        said=viewer.say("结果已保存，待审核", "Results kept; to be verified"),
    )


@action("/lab/issue", title="审核签发", permission="lab.verify")
async def issue(viewer: Viewer, lab: Lab, form: ResultForm) -> Go:
    """What is on the screen is what is verified: save it, then issue the report."""
    await _enter(lab, form)
    report = await lab.verify(form.specimen, form.report)
    return Go(
        f"/lab/worklist?state=resulted&barcode={form.barcode}",
        said=viewer.say(
            f"报告 {report.number} 第 {report.version} 版已签发",
            f"Report {report.number} version {report.version} issued",
        ),
    )


async def _enter(lab: Lab, form: ResultForm) -> None:
    if len(form.item) != len(form.value):
        raise RowsMissing
    results = tuple(
        NewResult(item=item, value=value) for item, value in zip(form.item, form.value, strict=True)
    )
    await lab.enter(EnterResults(specimen=form.specimen, results=results, reason=form.reason))


# ── reports ──────────────────────────────────────────────────────────────────────────────────
@page(
    "/lab/reports/{report}",
    title="检验报告",
    title_en="Laboratory report",
    permission="lab.read",
    icon="file-text",
    keys=(Key("F9", "知道了", "Noted", "#notice"),),
)
async def report(report: ReportId, viewer: Viewer, lab: Lab) -> View:
    """One version, with its mark if it is withdrawn and the way to the one that stands."""
    found = await lab.report(report)
    mine = {w.report for w in await lab.withdrawals_for_me()} if not found.is_current else set()
    return view(
        "report.html",
        report=found,
        versions=await lab.versions(report),
        subject=next(iter(await lab.subjects((found.patient,))), None),
        must_notice=found.id in mine,
        words=WORDS,
        reasons=tuple(WithdrawReason) if viewer.may("lab.withdraw") and found.is_current else (),
    )


@action("/lab/withdraw", title="撤回报告", permission="lab.withdraw")
async def withdraw(viewer: Viewer, lab: Lab, report: ReportId, because: WithdrawReason) -> Go:
    withdrawn = await lab.withdraw(report, because)
    return Go(
        f"/lab/reports/{withdrawn.id}",
        said=viewer.say("报告已撤回，已通知看过的人", "Report withdrawn; its readers are told"),
    )


@action("/lab/notice", title="知道了", permission="lab.read")
async def notice(viewer: Viewer, lab: Lab, report: ReportId) -> Go:
    await lab.notice_withdrawal(report)
    return Go("/", said=viewer.say("已确认知晓报告撤回", "Withdrawal acknowledged"))


# ── critical values ──────────────────────────────────────────────────────────────────────────
@page(
    "/lab/critical",
    title="危急值",
    title_en="Critical values",
    permission="lab.read",
    place=Place.RAIL,
    icon="octagon-alert",
    order=320,
)
async def critical_list(viewer: Viewer, lab: Lab, all: bool = False) -> View:
    """Those that wait, the longest first; or the latest ones with what became of them."""
    found = await lab.critical_values(CampusCode(viewer.campus), not all, LIST_MAX)
    people = await lab.subjects(tuple(c.patient for c in found))
    return view("critical_list.html", rows=found, people={p.id: p for p in people}, shows_all=all)


@page(
    "/lab/critical/{critical}",
    title="危急值确认",
    title_en="Critical value",
    permission="lab.read",
    icon="octagon-alert",
    keys=(Key("F9", "确认", "Acknowledge", "#acknowledge"),),
)
async def critical(critical: CriticalId, lab: Lab) -> View:
    """One critical value, with the key that takes it over."""
    found = await lab.critical_value(critical)
    subject = next(iter(await lab.subjects((found.patient,))), None)
    return view("critical.html", critical=found, subject=subject)


@action("/lab/acknowledge", title="确认危急值", permission="lab.acknowledge")
async def acknowledge(viewer: Viewer, lab: Lab, critical: CriticalId, words: Clinical = "") -> Go:
    found = await lab.acknowledge(critical, words)
    return Go(
        f"/lab/critical/{found.id}", said=viewer.say("危急值已确认", "Critical value acknowledged")
    )


@home("lab.read")
async def at_home(viewer: Viewer, lab: Lab) -> Home:
    """Critical values and withdrawn reports that wait for this person, and the bench's figures."""
    waiting = await lab.critical_values(CampusCode(viewer.campus), True, LIST_MAX)
    mine = [c for c in waiting if viewer.may("lab.acknowledge") and _concerns(c, viewer)]
    people = {p.id: p.name for p in await lab.subjects(tuple(c.patient for c in mine))}
    withdrawn = await lab.withdrawals_for_me()
    chinese = viewer.language == "zh-CN"
    todos = [_critical_todo(c, people.get(c.patient, ""), chinese) for c in mine]
    todos += [
        TodoItem(
            title="您看过的检验报告已撤回" if chinese else "A report you have read is withdrawn",
            action=viewer.say("查看", "Open"),
            detail=w.title_zh,
            link=f"/lab/reports/{w.report}",
            urgent=True,
        )
        for w in withdrawn
    ]
    line, tone = await _tile(viewer, lab, len(mine), chinese)
    stats = await _stats(viewer, lab, len(mine))
    return Home(tile=line, tone=tone, stats=stats, todos=tuple(todos), badge=len(todos))


async def _stats(viewer: Viewer, lab: Lab, critical: int) -> tuple[Stat, ...]:
    """For who answers for patients, the critical values; for the bench, what lies on it."""
    say = viewer.say
    if viewer.may("lab.acknowledge"):
        note = say("须 10 分钟内确认", "to be confirmed within 10 min") if critical else ""
        tone = "danger" if critical else "ok"
        title = say("危急值", "Critical values")
        return (Stat(title, str(critical), say("项", "open"), note, tone),)
    if not viewer.may("lab.result"):
        return ()
    counts = await lab.counts(CampusCode(viewer.campus))
    tubes = say("管", "tubes")
    return (
        Stat(say("待接收", "To receive"), str(counts.collected), tubes),
        Stat(say("检验中", "On the bench"), str(counts.received), tubes),
        Stat(say("待审核", "To verify"), str(counts.resulted), tubes),
    )


def _concerns(critical: CriticalValue, viewer: Viewer) -> bool:
    """The doctor who ordered, the department, and once escalated everybody who may act."""
    is_mine = critical.author == viewer.actor_id or critical.department == viewer.department
    return is_mine or critical.level > 0


def _critical_todo(critical: CriticalValue, name: str, chinese: bool) -> TodoItem:
    what = critical.name_zh if chinese else critical.name_en
    label = "危急值" if chinese else "Critical value"
    return TodoItem(
        title=f"{label}：{what} {critical.value} {critical.unit}".strip(),
        detail=name,
        link=f"/lab/critical/{critical.id}",
        action="确认" if chinese else "Acknowledge",
        urgent=True,
        due=critical.due_at,
    )


async def _tile(viewer: Viewer, lab: Lab, critical: int, chinese: bool) -> tuple[str, str]:
    if critical:
        return (f"{critical} 项危急值" if chinese else f"{critical} critical values"), "danger"
    if not viewer.may("lab.result"):
        return "", ""
    counts = await lab.counts(CampusCode(viewer.campus))
    if chinese:
        return f"待结果 {counts.received}，待审核 {counts.resulted}", ""
    return f"{counts.received} to measure, {counts.resulted} to verify", ""

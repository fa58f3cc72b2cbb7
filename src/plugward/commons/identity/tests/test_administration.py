"""Accounts, grants, the demo's people, and the glass that may be broken."""

import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from plugward.commons.identity import demo
from plugward.commons.identity.board import board
from plugward.commons.identity.contract import (
    AccountKind,
    AccountNotFound,
    AccountState,
    Activate,
    BreakGlass,
    DemoOnlyHere,
    DemoSignIn,
    Door,
    Grant,
    GrantId,
    GrantOutsideRights,
    Identity,
    NotYourself,
    OnePersonOneAccount,
    OpenAccount,
    OpeningId,
    OpeningNotFound,
    OpeningReason,
    OpeningState,
    ReasonNeeded,
    RecordOpened,
    RoleUnknown,
    SessionsEnded,
    SignIn,
    Unlock,
    WeakCode,
    WrongCredentials,
    hash_of_token,
)
from plugward.commons.identity.first import DemoAndHospital, first_administrator
from plugward.commons.identity.rules import merged_roles, rights
from plugward.commons.identity.tables import accounts
from plugward.commons.identity.tests.desk import (
    DR_LIN,
    GOOD,
    MR_HAN,
    MS_QIN,
    NURSE_HE,
    Desk,
    granted,
    person,
    staff_id,
)
from plugward.commons.masterdata.board import board as masterdata
from plugward.commons.masterdata.contract import Domain, EntryPublished
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel import Work, WrongState
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import ANONYMOUS, acting_as
from plugward.kernel.refusals import NotAllowed, SignInNeeded
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, PatientId

CODE = "0123456789abcdefghjk"
VIP = PatientId(new_id())


def newcomer(**changes: object) -> OpenAccount:
    request = OpenAccount(
        id=staff_id("D10300"),
        staff_no="D10300",
        name="方知微",
        grants=(granted("doctor", "C1"),),
        code=CODE,
    )
    return request.replace(**changes)


async def test_sec_identity_01_one_person_has_one_account() -> None:
    """同一工号、同一职工，第二个账号被拒绝。"""
    desk = Desk(MS_QIN)
    qin, _ = await desk.sign_in("A10001")
    with desk.working(qin):
        opened = await desk.identity.open_account(newcomer())
    assert opened.state is AccountState.INVITED
    for second in (
        newcomer(id=staff_id("somebody else")),  # the same staff number
        newcomer(staff_no="D10300b"),  # the same person
    ):
        with desk.working(qin), pytest.raises(OnePersonOneAccount):
            await desk.identity.open_account(second)


async def test_a_newcomer_sets_the_first_password_and_works() -> None:
    desk = Desk(MS_QIN)
    qin, _ = await desk.sign_in("A10001")
    with desk.working(qin):
        await desk.identity.open_account(newcomer())
    with desk.at():
        who = await desk.identity.activate(
            Activate(staff_no="D10300", code=CODE, password=GOOD, token=new_id().hex)
        )
    assert who.name == "方知微"
    again, _ = await desk.sign_in("D10300")
    assert again.roles == ("doctor",)


async def test_administration_stays_inside_its_own_rights() -> None:
    only_c1 = person("A10009", "本院区管理员", granted("administrator", "C1"))
    of_c2 = person("D20114", "江远帆", granted("doctor", "C2"))
    of_both = person("D10305", "方知微", granted("doctor", "C1", "C2"))
    desk = Desk(only_c1, of_c2, of_both)
    me, _ = await desk.sign_in("A10009")
    with desk.working(me):
        with pytest.raises(GrantOutsideRights):
            await desk.identity.open_account(newcomer(grants=(granted("doctor", "C2"),)))
        with pytest.raises(GrantOutsideRights):
            await desk.identity.open_account(newcomer(grants=(granted("doctor", "*"),)))
        with pytest.raises(RoleUnknown):
            await desk.identity.open_account(newcomer(grants=(granted("wizard", "C1"),)))
        with pytest.raises(WeakCode):
            await desk.identity.open_account(newcomer(code="123456"))
        with pytest.raises(AccountNotFound):
            await desk.identity.disable(of_c2.id, "离职")
        with pytest.raises(GrantOutsideRights):
            await desk.identity.disable(of_both.id, "离职")
        with pytest.raises(NotYourself):
            await desk.identity.grant(me.staff, granted("doctor", "C1"))
        assert {a.staff_no for a in await desk.identity.accounts()} == {"A10009", "D10305"}


@pytest.mark.parametrize("act", ["disable", "grant", "revoke", "reset_password", "end_sessions"])
async def test_sec_identity_14_every_change_of_rights_ends_all_sessions_at_once(act: str) -> None:
    """停用、岗位变更、重置密码：所有会话立即结束（上限 60 秒）。"""
    desk = Desk(DR_LIN, MS_QIN)
    _, token = await desk.sign_in()
    _, elsewhere = await desk.sign_in(address="10.2.2.2")
    await desk.ask(token)
    qin, _ = await desk.sign_in("A10001")
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "disable": lambda: desk.identity.disable(DR_LIN.id, "离职"),
        "grant": lambda: desk.identity.grant(DR_LIN.id, granted("manager", "C1")),
        "revoke": lambda: desk.identity.revoke(DR_LIN.id, DR_LIN.grants[0].id),
        "reset_password": lambda: desk.identity.reset_password(DR_LIN.id, CODE),
        "end_sessions": lambda: desk.identity.end_sessions(DR_LIN.id),
    }
    with desk.working(qin):
        await steps[act]()
    for reference in (token, elsewhere):
        with pytest.raises(SignInNeeded):
            await desk.ask(reference)
    [ended] = [e for e in desk.bench.published(SessionsEnded) if e.staff == DR_LIN.id]
    assert len(ended.sessions) == 2
    if act in ("disable", "reset_password"):
        with pytest.raises(WrongCredentials):
            await desk.sign_in()
    await desk.bench.prove()


async def test_a_disabled_person_comes_back_with_the_old_password() -> None:
    desk = Desk(DR_LIN, MS_QIN)
    qin, _ = await desk.sign_in("A10001")
    with desk.working(qin):
        await desk.identity.disable(DR_LIN.id, "外派")
    with desk.working(qin), pytest.raises(WrongState):
        await desk.identity.disable(DR_LIN.id, "外派")
    with desk.working(qin):
        await desk.identity.enable(DR_LIN.id, "外派结束")
    who, _ = await desk.sign_in()
    assert who.staff == DR_LIN.id


async def test_a_grant_comes_to_its_end_by_itself() -> None:
    desk = Desk(DR_LIN, MS_QIN)
    qin, _ = await desk.sign_in("A10001")
    until = desk.bench.clock.now().replace(hour=2)  # 10:00 in the hospital
    cover = Grant(
        id=GrantId(new_id()),
        role="manager",
        campuses=(CampusCode("C1"),),
        reason="代班",
        until=until,
    )
    with desk.working(qin):
        await desk.identity.grant(DR_LIN.id, cover)
    _, token = await desk.sign_in()
    assert "identity.review-openings" in (await desk.ask(token)).permissions
    desk.bench.clock.set("2026-03-02 10:00:00")
    with desk.at():
        await desk.identity.unlock(Unlock(token=token, password=GOOD))
    assert "identity.review-openings" not in (await desk.ask(token)).permissions


# ── rights ──────────────────────────────────────────────────────────────────────────────────
ROLES = merged_roles(
    [
        {"cashier": ("billing.charge",), "manager": ("billing.refund",)},
        {"cashier": ("patients.read",), "manager": ("patients.read",), "doctor": ("orders.sign",)},
    ]
)


def test_sec_authz_05_nothing_is_carried_from_one_campus_to_another() -> None:
    """一院区收费员、二院区主管：在哪个院区就只有哪个院区的权限。"""
    grants = (granted("cashier", "C1"), granted("manager", "C2"))
    here = rights(grants, ROLES, CampusCode("C1"))
    assert "billing.charge" in here.permissions
    assert "billing.refund" not in here.permissions
    assert here.campuses == ("C1",)
    there = rights(grants, ROLES, CampusCode("C2"))
    assert "billing.refund" in there.permissions
    assert there.campuses == ("C2",)


def test_sec_authz_05_the_same_role_at_two_campuses_sees_both() -> None:
    both = rights((granted("doctor", "C1", "C2"),), ROLES, CampusCode("C2"))
    assert both.campuses == ("C2", "C1")
    more_here = rights(
        (granted("doctor", "C1", "C2"), granted("manager", "C1")), ROLES, CampusCode("C1")
    )
    assert more_here.campuses == ("C1",)  # the manager's rights do not reach C2
    less_here = rights(
        (granted("doctor", "C1", "C2"), granted("manager", "C1")), ROLES, CampusCode("C2")
    )
    assert less_here.campuses == ("C2", "C1")


def test_sec_authz_05_departments_limit_until_one_grant_does_not() -> None:
    card = granted("doctor", "C1", departments=("C1-CARD",))
    resp = granted("doctor", "C1", departments=("C1-RESP",))
    assert rights((card, resp), ROLES, CampusCode("C1")).departments == ("C1-CARD", "C1-RESP")
    assert rights((card, granted("manager", "C1")), ROLES, CampusCode("C1")).departments == ()


def test_no_grant_here_no_rights_here() -> None:
    nothing = rights((granted("doctor", "C1"),), ROLES, CampusCode("C3"))
    assert nothing.campuses == ()
    assert nothing.permissions == {"identity.sign-in", "identity.own"}


async def test_plugging_a_board_brings_its_permissions_and_unplugging_takes_them() -> None:
    """插板一插，岗位即得其权限；一拔，立即收回。"""
    clock = ManualClock("2026-03-02 08:00")
    runtime = Runtime(Databases("memory"), clock, AuditLog(None, clock))
    await runtime.start([board])
    try:
        desk = Desk(DR_LIN)
        desk.bench.runtime = runtime
        await runtime.plugged["identity"].store.work(_employ_lin)
        identity = runtime.client(Identity)
        token = new_id().hex
        with acting_as(ANONYMOUS):
            who = await identity.sign_in(SignIn(staff_no="D10247", password=GOOD, token=token))
            assert "masterdata.read" not in who.permissions
            await runtime.plug(masterdata)
            plugged = await identity.session(hash_of_token(token))
            await runtime.unplug("masterdata")
            unplugged = await identity.session(hash_of_token(token))
        assert "masterdata.read" in plugged.permissions
        assert "masterdata.read" not in unplugged.permissions
    finally:
        await runtime.stop()


def _employ_lin(work: Work) -> None:
    work.insert(accounts, DR_LIN.replace(opened_at=work.now))


# ── the demo ────────────────────────────────────────────────────────────────────────────────
def runtime_in(folder: Path, *, is_demo: bool) -> Runtime:
    clock = ManualClock("2026-03-02 08:00")
    return Runtime(
        Databases(folder),
        clock,
        AuditLog(None, clock),
        settings={"identity": {"demo": is_demo}},
    )


async def test_sec_gate_04_demo_log_ins_are_random_private_and_only_for_this_machine(
    tmp_path: Path,
) -> None:
    """每个数据目录随机口令，文件 0600；只有本机、未经转发才有一键登录。"""
    made = {}
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        runtime = runtime_in(folder, is_demo=True)
        await runtime.start([board])
        made[name] = await demo.prepare(runtime, folder)
        assert await demo.prepare(runtime, folder) == made[name]  # the same at the next start
        assert stat.S_IMODE((folder / demo.FILE).stat().st_mode) == 0o600
        assert demo.read_logins(folder) == made[name]
        if name == "two":
            await _only_at_home(runtime, made[name])
        await runtime.stop()
    assert {m.password for m in made["one"]}.isdisjoint(m.password for m in made["two"])


async def _only_at_home(runtime: Runtime, logins: tuple[demo.Login, ...]) -> None:
    identity = runtime.client(Identity)
    home = msgspec.structs.replace(ANONYMOUS, address="127.0.0.1")
    peer = msgspec.structs.replace(ANONYMOUS, address="10.1.1.1")
    local = Door(host="localhost:8000")
    doors = [
        (home, local, True),
        (home, Door(host="[::1]:8000"), True),
        (home, Door(host="evil.test"), False),
        (home, Door(host="127.0.0.1.evil.test:8000"), False),
        (home, Door(host="localhost", is_forwarded=True), False),
        (peer, local, False),
        (ANONYMOUS, local, False),
    ]
    for actor, door, is_open in doors:
        click = DemoSignIn(staff_no="D10247", token=new_id().hex, door=door)
        with acting_as(actor):
            people = (await identity.welcome(door)).demo_people
            assert bool(people) is is_open
            if is_open:
                assert (await identity.demo_sign_in(click)).name == "林予安"
            else:
                with pytest.raises(DemoOnlyHere):
                    await identity.demo_sign_in(click)
    with acting_as(peer):
        who = await identity.sign_in(
            SignIn(staff_no="D10247", password=logins[0].password, token=new_id().hex)
        )
    assert who.is_demo


async def test_sec_gate_03_a_demo_never_becomes_a_hospital_nor_a_hospital_a_demo(
    tmp_path: Path,
) -> None:
    for was_demo in (True, False):
        folder = tmp_path / str(was_demo)
        folder.mkdir()
        first = runtime_in(folder, is_demo=was_demo)
        await first.start([board])
        await first.stop()
        second = runtime_in(folder, is_demo=not was_demo)
        with pytest.raises(DemoAndHospital, match="plugward new-hospital"):
            await second.start([board])
        await second.stop()


async def test_a_production_has_no_demo_people_and_no_one_click() -> None:
    desk = Desk(person("D1", "演示医生", granted("doctor", "C1"), is_demo=True))
    await desk.employ()
    door = Door(host="localhost")
    with desk.at("127.0.0.1"):
        assert (await desk.identity.welcome(door)).demo_people == ()
        with pytest.raises(DemoOnlyHere):
            await desk.identity.demo_sign_in(
                DemoSignIn(staff_no="D1", token=new_id().hex, door=door)
            )
    assert await first_administrator(desk.bench.runtime) is not None


# ── the glass ───────────────────────────────────────────────────────────────────────────────
def breaking(words: str = "外院转来，昏迷，需查既往用药") -> BreakGlass:
    return BreakGlass(
        id=OpeningId(new_id()), patient=VIP, reason=OpeningReason.EMERGENCY, words=words
    )


async def test_sec_authz_07_a_clinician_opens_one_record_for_four_hours_and_others_review() -> None:
    """打破玻璃：临床人员、写明原因、一名患者、4 小时、待他人审核。"""
    desk = Desk(NURSE_HE, MR_HAN)
    he, token = await desk.sign_in("N10052")
    with desk.working(he), pytest.raises(ReasonNeeded):
        await desk.identity.break_glass(breaking("急"))
    with desk.working(he):
        opening = await desk.identity.break_glass(breaking())
    [said] = desk.bench.published(RecordOpened)
    assert (said.patient, said.staff, said.opening) == (VIP, NURSE_HE.id, opening.id)

    now = await desk.ask(token)
    assert now.actor().opened == (VIP,)

    han, _ = await desk.sign_in("M10001")
    with desk.working(he), pytest.raises(NotAllowed):
        await desk.identity.review_opening(opening.id, OpeningState.JUSTIFIED, "自己审自己")
    with desk.working(han):
        [waiting] = await desk.identity.openings()
        assert (waiting.name, waiting.words) == ("何静姝", "外院转来，昏迷，需查既往用药")
        await desk.identity.review_opening(opening.id, OpeningState.JUSTIFIED, "抢救需要")
        assert await desk.identity.openings() == ()
    with desk.working(han), pytest.raises(WrongState):
        await desk.identity.review_opening(opening.id, OpeningState.UNJUSTIFIED, "改主意")

    desk.bench.clock.set("2026-03-02 12:00:00")
    later, _ = await desk.sign_in("N10052")
    assert later.actor().opened == ()


async def test_sec_authz_07_an_opening_runs_out_in_a_running_session() -> None:
    desk = Desk(NURSE_HE, idle_lock_s=900)
    he, token = await desk.sign_in("N10052")
    with desk.working(he):
        await desk.identity.break_glass(breaking())
    for minute in range(10, 240, 10):
        desk.bench.clock.set(f"2026-03-02 {8 + minute // 60:02}:{minute % 60:02}:00")
        assert (await desk.ask(token)).actor().opened == (VIP,)
    desk.bench.clock.set("2026-03-02 12:00:00")
    assert (await desk.ask(token)).actor().opened == ()


async def test_sec_authz_07_nobody_but_clinicians_breaks_the_glass() -> None:
    cashier = person("C10036", "顾晓棠", granted("cashier", "C1"))
    desk = Desk(cashier, MS_QIN, MR_HAN)
    for staff_no in ("C10036", "A10001", "M10001"):
        who, _ = await desk.sign_in(staff_no)
        with desk.working(who), pytest.raises(NotAllowed):
            await desk.identity.break_glass(breaking())


async def test_sec_authz_07_a_reviewer_sees_the_openings_of_his_campuses_only() -> None:
    other = person("M20001", "二院区主管", granted("manager", "C2"))
    desk = Desk(NURSE_HE, other)
    he, _ = await desk.sign_in("N10052")
    with desk.working(he):
        opening = await desk.identity.break_glass(breaking())
    him, _ = await desk.sign_in("M20001")
    with desk.working(him):
        assert await desk.identity.openings() == ()
        with pytest.raises(OpeningNotFound):
            await desk.identity.review_opening(opening.id, OpeningState.JUSTIFIED, "")


async def test_sec_authz_07_nobody_reviews_an_opening_of_his_own() -> None:
    both = person("N10099", "护士长", granted("nurse", "C1"), granted("manager", "C1"))
    desk = Desk(both)
    me, _ = await desk.sign_in("N10099")
    with desk.working(me):
        opening = await desk.identity.break_glass(breaking())
    with desk.working(me), pytest.raises(NotYourself):
        await desk.identity.review_opening(opening.id, OpeningState.JUSTIFIED, "自己审自己")


async def test_colleagues_are_found_by_campus_and_role() -> None:
    gone = person("D10009", "已离职", granted("doctor", "C1"), state=AccountState.DISABLED)
    hall = person("TV1001", "候诊厅大屏", granted("screen", "C1"), kind=AccountKind.SCREEN)
    there = person("D20114", "江远帆", granted("doctor", "C2"))
    desk = Desk(DR_LIN, NURSE_HE, gone, hall, there)
    lin, _ = await desk.sign_in()
    with desk.working(lin):
        here = await desk.identity.colleagues(CampusCode("C1"))
        assert [c.name for c in here] == ["林予安", "何静姝"]
        doctors = await desk.identity.colleagues(CampusCode("C1"), "doctor")
        assert [c.name for c in doctors] == ["林予安"]
        assert await desk.identity.colleagues(CampusCode("C2")) == ()
        names = await desk.identity.staff((there.id, gone.id, staff_id("nobody")))
        assert {n.name for n in names} == {"江远帆", "已离职"}


async def test_the_login_page_offers_the_places_master_data_knows() -> None:
    """院区、科室随主数据发布而出现，重复送达不重复，停用即消失。"""
    desk = Desk()
    for fact in (*seeded(Domain.CAMPUS), *seeded(Domain.DEPARTMENT, "C1-CARD", "C2-CARD")):
        await desk.bench.receive(fact, times=2)
    door = Door(host="localhost")
    with desk.at(), desk.bench.queries(at_most=1):
        offered = await desk.identity.welcome(door)
    assert [place.code for place in offered.campuses] == ["C1", "C2", "C3"]
    assert [(p.code, p.campus) for p in offered.departments] == [
        ("C1-CARD", "C1"),
        ("C2-CARD", "C2"),
    ]
    [last] = seeded(Domain.DEPARTMENT, "C2-CARD")
    closed = last.entry.replace(version=2, is_retired=True)
    await desk.bench.receive(EntryPublished(entry=closed))
    with desk.at():
        offered = await desk.identity.welcome(door)
    assert [place.code for place in offered.departments] == ["C1-CARD"]


async def test_lists_of_people_take_one_query() -> None:
    people = [person(f"D2000{n}", f"医生{n}", granted("doctor", "C1")) for n in range(9)]
    desk = Desk(MS_QIN, *people)
    qin, _ = await desk.sign_in("A10001")
    with desk.working(qin), desk.bench.queries(at_most=1):
        assert len(await desk.identity.accounts()) == 10
    with desk.working(qin), desk.bench.queries(at_most=1):
        assert len(await desk.identity.colleagues(CampusCode("C1"), "doctor")) == 9


async def test_a_double_click_opens_one_account_and_one_record() -> None:
    desk = Desk(MS_QIN, NURSE_HE)
    qin, _ = await desk.sign_in("A10001")
    he, _ = await desk.sign_in("N10052")
    desk.bench.actor = qin.actor()
    twice, request = new_id(), newcomer()
    for _ in range(2):
        with desk.bench.request(twice):
            assert (await desk.identity.open_account(request)).id == request.id
    desk.bench.actor = he.actor()
    again, glass = new_id(), breaking()
    for _ in range(2):
        with desk.bench.request(again):
            assert (await desk.identity.break_glass(glass)).id == glass.id
    assert len(desk.bench.published(RecordOpened)) == 1

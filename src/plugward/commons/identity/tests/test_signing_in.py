"""Signing in, locking, signing out: told as staff meet it."""

from datetime import timedelta
from typing import Any

import pytest

from plugward.commons.identity.contract import (
    AccountKind,
    AccountState,
    Activate,
    ChangePassword,
    EndReason,
    NoWorkHere,
    SamePassword,
    SessionLocked,
    SessionNotFound,
    SessionsEnded,
    SignIn,
    TryLater,
    Unlock,
    WeakPassword,
    WrongCredentials,
    hash_of_token,
)
from plugward.commons.identity.first import first_administrator
from plugward.commons.identity.passwords import (
    Hasher,
    check_password,
    common_passwords,
    words_about,
)
from plugward.commons.identity.tables import Credentials, SessionRow, accounts, sessions
from plugward.commons.identity.tests.desk import (
    DR_LIN,
    GOOD,
    MR_HAN,
    Desk,
    granted,
    person,
)
from plugward.kernel import Reading
from plugward.kernel.envelope import ANONYMOUS, acting_as
from plugward.kernel.refusals import NotAllowed, SignInNeeded
from plugward.kernel.testing import TRANSPORTS, Transport
from plugward.kit.ids import new_id

WRONG = "a-guess-that-fails"
MLPS3: dict[str, Any] = {"password_rule": "mlps3", "password_days": 90}


@pytest.fixture(params=TRANSPORTS)
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(DR_LIN, transport=request.param)


async def test_a_doctor_signs_in_works_and_signs_out(desk: Desk) -> None:
    """登录 → 每个请求都认得出本人 → 退出后同一会话号不再有效。"""
    who, token = await desk.sign_in()
    assert (who.staff, who.name, who.campus, who.roles) == (
        DR_LIN.id,
        "林予安",
        "C1",
        ("doctor",),
    )
    again = await desk.ask(token)
    assert again.session == who.session
    assert again.actor().id == f"staff:{DR_LIN.id}"
    assert "identity.break-glass" in again.actor().permissions

    with desk.at():
        await desk.identity.sign_out(hash_of_token(token))
    with pytest.raises(SignInNeeded):
        await desk.ask(token)
    [ended] = desk.bench.published(SessionsEnded)
    assert (ended.sessions, ended.reason) == ((who.session,), EndReason.SIGNED_OUT)


async def test_sec_identity_13_a_session_is_opaque_new_at_each_sign_in_and_ends_after_12_h(
    desk: Desk,
) -> None:
    first, token = await desk.sign_in()
    second, other = await desk.sign_in()
    assert first.session != second.session
    kept = await desk.bench.service.store.read(_everything)
    assert token not in kept
    assert other not in kept
    assert GOOD not in kept
    assert hash_of_token(token).hex() in kept

    desk.bench.clock.set("2026-03-02 19:59:59")
    with desk.at():
        await desk.identity.unlock(Unlock(token=token, password=GOOD))
    await desk.ask(token)
    desk.bench.clock.set("2026-03-02 20:00:00")
    with pytest.raises(SignInNeeded):
        await desk.ask(token)


def _everything(read: Reading) -> str:
    """All that is kept about accounts and sessions, the answers to repeats included."""
    done = read.rows(accounts.metadata.tables["identity_sys_done"].select())
    return repr(
        (
            read.find(accounts, Credentials, limit=100),
            read.find(sessions, SessionRow, limit=100),
            [bytes(row.answer) for row in done],
        )
    )


async def test_sec_identity_10_an_idle_screen_locks_and_only_the_password_opens_it(
    desk: Desk,
) -> None:
    """5 分钟无操作 → 服务器拒绝一切，只能解锁。"""
    who, token = await desk.sign_in()
    desk.bench.clock.set("2026-03-02 08:04:00")
    assert (await desk.ask(token)).session == who.session
    desk.bench.clock.set("2026-03-02 08:08:59")
    await desk.ask(token, is_quiet=True)  # a panel refreshing itself keeps nobody signed in
    desk.bench.clock.set("2026-03-02 08:09:00")
    with pytest.raises(SessionLocked) as locked:
        await desk.ask(token)
    assert locked.value.http_status == 423
    with pytest.raises(SessionLocked):
        await desk.ask(token, is_quiet=True)

    with desk.at(), pytest.raises(WrongCredentials):
        await desk.identity.unlock(Unlock(token=token, password=WRONG))
    with desk.at():
        await desk.identity.unlock(Unlock(token=token, password=GOOD))
    assert (await desk.ask(token)).session == who.session


async def test_sec_identity_10_a_locked_screen_stays_locked_over_a_restart() -> None:
    desk = Desk(DR_LIN)
    _, token = await desk.sign_in()
    with desk.at():
        await desk.identity.lock(hash_of_token(token))
    desk.bench.service._live = type(desk.bench.service._live)()  # the memory of a new process
    with pytest.raises(SessionLocked):
        await desk.ask(token)


async def test_sec_identity_10_activity_survives_a_restart_of_the_server() -> None:
    desk = Desk(DR_LIN)
    _, token = await desk.sign_in()
    desk.bench.clock.set("2026-03-02 08:04:00")
    await desk.ask(token)
    await desk.bench.tick()
    desk.bench.service._live = type(desk.bench.service._live)()  # the memory of a new process
    desk.bench.clock.set("2026-03-02 08:08:00")
    await desk.ask(token)


async def test_sec_identity_03_errors_at_one_place_never_lock_the_doctor_at_another() -> None:
    """一处连错 20 次，另一处第一次就能登录。"""
    desk = Desk(DR_LIN)
    await desk.employ()
    waits = []
    for _ in range(20):
        try:
            await desk.sign_in(password=WRONG, address="10.9.9.9")
        except TryLater as later:
            waits.append(later.wait_s)
            desk.bench.clock.set(desk.bench.clock.now() + timedelta(seconds=later.wait_s))
        except WrongCredentials:
            pass
    assert waits == [1, 2, 4, 8, 16, 32, 64, 900]
    who, _ = await desk.sign_in(address="10.1.0.7")
    assert who.staff == DR_LIN.id


async def test_sec_identity_03_a_device_once_used_is_a_place_of_its_own() -> None:
    """Whoever guesses behind the same address translator does not make the owner wait."""
    desk = Desk(DR_LIN)
    await desk.sign_in(address="10.1.0.1", device="desk-6")
    for _ in range(3):
        with pytest.raises(WrongCredentials):
            await desk.sign_in(password=WRONG, address="10.1.0.1", device="made-up")
    with pytest.raises(TryLater):
        await desk.sign_in(address="10.1.0.1", device="made-up-again")
    await desk.sign_in(address="10.1.0.1", device="desk-6")


async def test_sec_identity_03_many_tries_at_once_gain_nothing() -> None:
    desk = Desk(DR_LIN)
    await desk.employ()
    door = desk.bench.service._door
    keys = 0
    for _ in range(50):
        try:
            door.begin("D10247", "address:10.9.9.9")
            keys += 1
        except TryLater:
            pass
    assert keys == 3


async def test_unknown_wrong_and_disabled_look_alike() -> None:
    desk = Desk(DR_LIN, person("D1", "停用者", state=AccountState.DISABLED))
    refused = []
    for staff_no, password in (("D10247", "wrong"), ("D99999", GOOD), ("D1", GOOD)):
        with pytest.raises(WrongCredentials) as refusal:
            await desk.sign_in(staff_no, password)
        refused.append((refusal.value.code, refusal.value.values))
    assert refused[0] == refused[1] == refused[2]


@pytest.mark.parametrize(
    ("rule", "password", "good"),
    [
        *(
            ("modern", p, False)
            for p in (
                "short-one-7",  # 11 characters
                "Password2024!!",
                "password1234",
                "qwertyuiop12",
                "123456789012",
                "aaaaaaaaaaaa",
                "abcabcabcabcabc",
                "P@ssw0rd1234",
                "Woaini5201314",
                "summer2024winter",
                "admin123admin1",
                "1qaz2wsx3edc4rfv",
                "Qwer1234!@#$",
                "hospital@2025",
                "iloveyou123456",
                "D10247-changban",  # the staff number
                "linyuan-changban",  # the name as it is typed
                "林予安在六号诊室坐诊看病人们",  # the name as it is written
                "shifan-diyi-7-xk",  # the hospital's own word
                "x" * 129,
            )
        ),
        *(
            ("modern", p, True)
            for p in (
                GOOD,
                "correct-horse-battery",
                "xK9#mp2Lq8vT",
                "mlgb-4471-turing",
                "春眠不觉晓处处闻啼鸟声声",
                "tbn7vq2xmw4k",
                "seven kettles on the roof",
                "gehen-wir-heute-aus",
                "0xDEAD-c0ffee-b47",
                "蓝色的船停在第七号码头边上",
            )
        ),
        *(
            ("mlps3", p, False)
            for p in (
                "Ab1!xyz",  # 7 characters
                "abcdefgh",
                "kvbqmzrt",
                "kvbqmzrtwp",
                "KVBQMZRT",
                "73914620",
                "kvbq7391",
                "KVBQ7391",
                "Abc12345",
                "Abcd1234",
                "Hosp!tal1",
                "Passw0rd!",
                "Qwer1234",
                "Admin@123",
                "Woaini520",
                "D10247Kv!",
                "Linyuan7!",
                "Shifan!77q",
                "Aaaa1111!",
                "1Qaz2wsx",
            )
        ),
        *(
            ("mlps3", p, True)
            for p in (
                "Yx7!kd02",
                "kV7#mq2P",
                "Tr0ub4dor&3xyz",
                "xK9#mp2Lq8vT",
                "Zhaoyun-7-cb",
                "q7!Wm4zR",
                "Rk4-vv9-Tpl",
                "N0rd-s33.kueste",
                "8Uh!zzT4o",
                "kettle-Roof-7",
            )
        ),
    ],
)
def test_sec_identity_02_password_presets(rule: str, password: str, good: bool) -> None:
    about = words_about("D10247", "林予安", "示范市第一医院 shifan")
    if good:
        check_password(password, rule=rule, about=about)
    else:
        with pytest.raises(WeakPassword):
            check_password(password, rule=rule, about=about)


async def test_sec_identity_02_ten_thousand_common_ones_and_argon2id() -> None:
    assert len(common_passwords()) >= 10_000
    hashed = await Hasher().hash(GOOD)
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_new_password_ends_the_other_sessions_and_the_old_one_does_not_come_back() -> None:
    desk = Desk(DR_LIN)
    here, token = await desk.sign_in()
    _, elsewhere = await desk.sign_in()
    new = "seven kettles on the roof"
    with desk.working(here), pytest.raises(WeakPassword):
        await desk.identity.change_password(
            ChangePassword(token=token, current=GOOD, new="password1234")
        )
    with desk.working(here):
        await desk.identity.change_password(ChangePassword(token=token, current=GOOD, new=new))
    await desk.ask(token)
    with pytest.raises(SignInNeeded):
        await desk.ask(elsewhere)
    with desk.working(here), pytest.raises(SamePassword):
        await desk.identity.change_password(ChangePassword(token=token, current=new, new=GOOD))


async def test_an_expired_password_leaves_nothing_but_changing_it() -> None:
    """mlps3：口令到期后只能改密码。"""
    desk = Desk(DR_LIN, **MLPS3)
    await desk.employ()
    before = await desk.bench.service.store.read(
        lambda read: read.get(accounts, Credentials, DR_LIN.id)
    )
    await desk.bench.service.store.work(
        lambda work: work.update(
            accounts,
            before=before,
            after=before.replace(password_at=work.now - timedelta(days=91)),
        )
    )
    who, token = await desk.sign_in()
    assert who.must_change_password
    with desk.working(who), pytest.raises(NotAllowed):
        await desk.identity.staff((DR_LIN.id,))
    with desk.working(who):
        await desk.identity.change_password(
            ChangePassword(token=token, current=GOOD, new="Rk4-vv9-Tpl")
        )
    after = await desk.ask(token)
    assert not after.must_change_password
    assert "identity.directory" in after.permissions


async def test_people_see_and_end_their_own_sessions_and_nobody_elses() -> None:
    desk = Desk(DR_LIN, MR_HAN)
    here, token = await desk.sign_in(address="10.1.0.7")
    there, elsewhere = await desk.sign_in(address="10.2.0.7")
    other, _ = await desk.sign_in(MR_HAN.staff_no)
    with desk.working(here):
        lines = await desk.identity.my_sessions()
        assert {line.id for line in lines} == {here.session, there.session}
        assert {line.address for line in lines} == {"10.1.0.7", "10.2.0.7"}
        await desk.identity.end_my_session(there.session)
    with desk.working(here), pytest.raises(SessionNotFound):
        await desk.identity.end_my_session(other.session)
    with pytest.raises(SignInNeeded):
        await desk.ask(elsewhere)
    await desk.ask(token)


async def test_nobody_signs_in_at_a_campus_without_a_role_there() -> None:
    desk = Desk(DR_LIN)
    with pytest.raises(NoWorkHere):
        await desk.sign_in(campus="C2")


async def test_the_first_administrator_comes_in_by_a_code_that_works_once() -> None:
    """首次启动：控制台一次性代码 → 设定密码 → 之后不再发放。"""
    desk = Desk()
    await desk.employ()
    first = await first_administrator(desk.bench.runtime)
    second = await first_administrator(desk.bench.runtime)
    assert first is not None
    assert second is not None

    def using(code: str) -> Activate:
        return Activate(staff_no="admin", code=code, password=GOOD, token=new_id().hex)

    with desk.at(), pytest.raises(WrongCredentials):
        await desk.identity.activate(using(first.code))  # the later one made it void
    with desk.at():
        who = await desk.identity.activate(using(second.code))
    assert (who.roles, who.campuses) == (("administrator",), ("*",))
    with desk.at(), pytest.raises(WrongCredentials):
        await desk.identity.activate(using(second.code))
    assert await first_administrator(desk.bench.runtime) is None
    await desk.bench.prove()


async def test_a_one_time_code_runs_out() -> None:
    desk = Desk()
    await desk.employ()
    first = await first_administrator(desk.bench.runtime)
    assert first is not None
    desk.bench.clock.set("2026-03-05 08:00:00")
    with desk.at(), pytest.raises(WrongCredentials):
        await desk.identity.activate(
            Activate(staff_no="admin", code=first.code, password=GOOD, token=new_id().hex)
        )


async def test_a_screen_in_the_waiting_hall_never_locks() -> None:
    hall = person("TV1001", "候诊厅大屏", granted("screen", "C1"), kind=AccountKind.SCREEN)
    desk = Desk(hall)
    _, token = await desk.sign_in("TV1001")
    desk.bench.clock.set("2026-03-20 08:00:00")
    who = await desk.ask(token, is_quiet=True)
    assert who.locks_at is None


async def test_a_lost_answer_and_a_repeated_sign_in_make_one_session() -> None:
    desk = Desk(DR_LIN, transport=Transport.STRICT)
    await desk.employ()
    request, same = new_id(), SignIn(staff_no="D10247", password=GOOD, token=new_id().hex)
    sessions_seen = set()
    for _ in range(2):
        with acting_as(ANONYMOUS, request=request):
            sessions_seen.add((await desk.identity.sign_in(same)).session)
    assert len(sessions_seen) == 1

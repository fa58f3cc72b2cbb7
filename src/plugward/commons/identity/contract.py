"""Identity 身份: who works here, what they may do, and who sits at which screen now.

One person has one account and many grants; a grant is a role at named campuses (and, if need be,
departments) with a reason and an end. A session belongs to one account at one workplace; its
reference is made by the edge, of 128 random bits, and only its hash is kept. What a session may do
is merged from the roles that the boards in the rack declare.

The edge says where a call comes from: the envelope's actor carries ``device`` and ``address``.
They are never taken from a request.
"""

from enum import StrEnum
from hashlib import sha256
from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import (
    Actor,
    ActorKind,
    Conflict,
    Event,
    Forbidden,
    Invalid,
    Message,
    NotFound,
    command,
    contract,
    query,
)
from plugward.kit.message import Clinical, Identifying, Plain, Secret
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, DepartmentCode, PatientId, StaffId

SessionId = NewType("SessionId", UUID)
GrantId = NewType("GrantId", UUID)
OpeningId = NewType("OpeningId", UUID)


class AccountKind(StrEnum):
    PERSON = "person"  # 职工
    SCREEN = "screen"  # 大屏、叫号屏


class AccountState(StrEnum):
    INVITED = "invited"  # 待激活
    ACTIVE = "active"  # 在用
    DISABLED = "disabled"  # 停用


class EndReason(StrEnum):
    """Why a session ended."""

    SIGNED_OUT = "signed-out"  # 退出
    ENDED_BY_OWNER = "ended-by-owner"  # 本人在别处结束
    ENDED_BY_ADMINISTRATOR = "ended-by-administrator"  # 管理员结束
    DISABLED = "disabled"  # 账号停用
    RIGHTS_CHANGED = "rights-changed"  # 岗位权限变更
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a reason, not a password
    EXPIRED = "expired"  # 到期


class OpeningReason(StrEnum):
    """Why somebody had to open a record that is not theirs 越权查阅原因."""

    EMERGENCY = "emergency"  # 抢救
    CROSS_CAMPUS = "cross-campus"  # 跨院区诊治
    COVER = "cover"  # 临时顶班
    CRITICAL_VALUE = "critical-value"  # 危急值处置
    OTHER = "other"  # 其他


class OpeningState(StrEnum):
    OPEN = "open"  # 待审核
    JUSTIFIED = "justified"  # 合理
    UNJUSTIFIED = "unjustified"  # 不合理


class Role(Message):
    """A bundle of permissions, as the boards in the rack declare it."""

    name: Plain
    permissions: tuple[Plain, ...]


class Grant(Message):
    """A role at campuses, and if departments are named, only there. No end: until revoked."""

    id: GrantId
    role: Plain
    campuses: tuple[CampusCode, ...]
    departments: tuple[DepartmentCode, ...] = ()
    reason: Plain = ""
    until: Instant | None = None


class OpenAccount(Message):
    """A new account. ``code`` is a one-time code of at least 80 random bits made by the caller;
    with it the person sets the first password (``activate``)."""

    id: StaffId
    staff_no: Plain
    name: Identifying
    title: Plain = ""
    department: DepartmentCode = DepartmentCode("")
    kind: AccountKind = AccountKind.PERSON
    grants: tuple[Grant, ...] = ()
    code: Secret = ""


class Account(Message):
    """An account as administration and colleagues see it."""

    id: StaffId
    staff_no: Plain
    name: Identifying
    title: Plain
    department: DepartmentCode
    kind: AccountKind
    state: AccountState
    grants: tuple[Grant, ...]
    is_demo: bool = False


class StaffMember(Message):
    """What other boards may show of a person: for lists and signatures."""

    id: StaffId
    staff_no: Plain
    name: Identifying
    title: Plain
    department: DepartmentCode


class SignIn(Message):
    """``token`` is the new session's reference: 128 random bits made by the edge for this try."""

    staff_no: Plain
    password: Secret
    token: Secret
    campus: CampusCode = CampusCode("")  # empty: the first campus the person works at
    workplace: Plain = ""
    language: Plain = "zh-CN"


class DemoSignIn(Message):
    """One click on a role, in the demo only, from this very machine only."""

    staff_no: Plain
    token: Secret
    door: "Door"
    campus: CampusCode = CampusCode("")
    workplace: Plain = ""
    language: Plain = "zh-CN"


class Activate(Message):
    """A person sets the password with the one-time code of a new or reset account."""

    staff_no: Plain
    code: Secret
    password: Secret
    token: Secret
    language: Plain = "zh-CN"


class Unlock(Message):
    """Back to a locked screen; ``token`` is that session's reference."""

    token: Secret
    password: Secret


class ChangePassword(Message):
    """By the person, in a running session. Every other session of the person ends."""

    token: Secret
    current: Secret
    new: Secret


class Opened(Message):
    """One patient's record this person has opened by breaking the glass, and until when."""

    patient: PatientId
    until: Instant


class SignedIn(Message):
    """A running session, and who acts in it."""

    session: SessionId
    staff: StaffId
    staff_no: Plain
    name: Identifying
    title: Plain
    kind: AccountKind
    campus: CampusCode
    workplace: Plain
    department: DepartmentCode
    language: Plain
    roles: tuple[Plain, ...]
    permissions: tuple[Plain, ...]
    campuses: tuple[CampusCode, ...]
    departments: tuple[DepartmentCode, ...]
    opened: tuple[Opened, ...]
    must_change_password: bool
    is_demo: bool
    started_at: Instant
    ends_at: Instant
    locks_at: Instant | None  # None: never locks (screens)

    def actor(self, *, device: str | None = None, address: str | None = None) -> Actor:
        """Who acts in every call of this session."""
        return Actor(
            id=f"staff:{self.staff}",
            kind=ActorKind.PERSON,
            permissions=frozenset(self.permissions),
            campuses=tuple(self.campuses),
            departments=tuple(self.departments),
            roles=self.roles,
            device=device,
            address=address,
            opened=tuple(o.patient for o in self.opened),
        )


class SessionLine(Message):
    """One of a person's own sessions."""

    id: SessionId
    campus: CampusCode
    workplace: Plain
    device: Plain
    address: Plain
    started_at: Instant
    seen_at: Instant
    is_locked: bool


class Door(Message):
    """How the request came in: the HTTP Host, and whether somebody forwarded it."""

    host: Plain = ""
    is_forwarded: bool = False


class DemoPerson(Message):
    """A one-click role on the login page of the demo."""

    staff_no: Plain
    name: Identifying
    title: Plain
    role: Plain
    campus: CampusCode
    department: DepartmentCode


class Place(Message):
    """A campus or department as the login page offers it."""

    code: Plain
    name_zh: Plain
    name_en: Plain
    campus: CampusCode


class Welcome(Message):
    """What the login page needs before anybody is signed in."""

    is_demo: bool
    campuses: tuple[Place, ...]
    departments: tuple[Place, ...]
    demo_people: tuple[DemoPerson, ...]
    password_rule: Plain


class BreakGlass(Message):
    """Open one patient's record without being on the team 打破玻璃: reason, words, four hours."""

    id: OpeningId
    patient: PatientId
    reason: OpeningReason
    words: Clinical


class Opening(Message):
    """An opened record, waiting for the review of somebody else."""

    id: OpeningId
    patient: PatientId
    reason: OpeningReason
    words: Clinical
    staff: StaffId
    staff_no: Plain
    name: Identifying
    campus: CampusCode
    state: OpeningState
    opened_at: Instant
    until: Instant
    review_by: Instant
    reviewed_by: StaffId | None = None
    reviewed_at: Instant | None = None
    finding: Clinical = ""


class StaffChanged(Event, tag="identity.staff.changed.v1", key="staff.id"):
    """An account was opened, changed, disabled: for read copies of names."""

    staff: StaffMember
    state: AccountState


class SessionStarted(Event, tag="identity.session.started.v1", key="staff"):
    staff: StaffId
    session: SessionId
    campus: CampusCode


class SessionsEnded(Event, tag="identity.sessions.ended.v1", key="staff"):
    """Whoever keeps something for these sessions (a stream, a cache) lets go of it now."""

    staff: StaffId
    sessions: tuple[SessionId, ...]
    reason: EndReason


class SessionLockedByOwner(Event, tag="identity.session.locked.v1", key="staff"):
    """Streams of the session close; drafts stay sealed."""

    staff: StaffId
    session: SessionId


class RecordOpened(Event, tag="identity.record.opened.v1", key="patient"):
    """Somebody broke the glass: department head and privacy officer are to know at once."""

    opening: OpeningId
    patient: PatientId
    staff: StaffId
    reason: OpeningReason
    campus: CampusCode
    until: Instant
    review_by: Instant


class OpeningReviewed(Event, tag="identity.opening.reviewed.v1", key="patient"):
    opening: OpeningId
    patient: PatientId
    staff: StaffId
    state: OpeningState


class WrongCredentials(Forbidden):
    """工号或密码不正确。"""

    http_status = 401


class TryLater(Forbidden):
    """尝试次数过多，请 {wait_s} 秒后再试。"""

    http_status = 429
    wait_s: int


class SessionLocked(Forbidden):
    """屏幕已锁定，请 {name}（{staff_no}）输入密码解锁。"""

    http_status = 423
    staff_no: Plain
    name: Identifying


class NoWorkHere(Forbidden):
    """您在该院区没有岗位：{campus}。"""

    campus: Plain


class PasswordFault(StrEnum):
    """What is wrong with a proposed password."""

    TOO_SHORT = "too-short"  # 太短
    TOO_LONG = "too-long"  # 超过 128 个字符
    COMMON = "common"  # 常见密码、键盘顺序、重复
    ABOUT_YOU = "about-you"  # 含工号、姓名或医院用词
    TOO_FEW_KINDS = "too-few-kinds"  # 大写、小写、数字、符号不足三类


class WeakPassword(Invalid):
    """密码不符合要求：{fault}。"""

    fault: PasswordFault


class SamePassword(Invalid):
    """新密码不能与最近用过的密码相同。"""


class WeakCode(Invalid):
    """一次性激活码长度不足。"""


class OnePersonOneAccount(Conflict):
    """工号 {staff_no} 或该职工已有账号，一人一号。"""

    staff_no: Plain


class RoleUnknown(Invalid):
    """没有岗位角色 {role}。"""

    role: Plain


class GrantOutsideRights(Forbidden):
    """不能授予自己无权管理的院区：{campus}。"""

    campus: Plain


class AccountNotFound(NotFound):
    """没有该账号。"""


class SessionNotFound(NotFound):
    """没有该会话。"""


class NotYourself(Forbidden):
    """不能对自己的账号进行此操作。"""


class DemoOnlyHere(Forbidden):
    """一键登录仅限演示环境本机使用。"""


class OpeningNotFound(NotFound):
    """没有该越权查阅记录。"""


class ReasonNeeded(Invalid):
    """请写明查阅原因（至少 {characters} 个字）。"""

    characters: int


def hash_of_token(token: str) -> bytes:
    """What is kept and passed around of a session's reference."""
    return sha256(token.encode()).digest()


@contract("identity")
class Identity(Protocol):
    """Signing in and out, accounts and grants, and the glass that may be broken."""

    # ── the edge asks, before it knows who it is ────────────────────────────────────────────
    @query(permission="identity.sign-in", audited=False)
    async def welcome(self, door: Door) -> Welcome:
        """Campuses and departments for the login page; in the demo, on this machine, its people."""
        ...

    @command(permission="identity.sign-in")
    async def sign_in(self, request: SignIn) -> SignedIn:
        """Start a session. Refuses with ``WrongCredentials``, ``TryLater`` or ``NoWorkHere``."""
        ...

    @command(permission="identity.sign-in")
    async def demo_sign_in(self, request: DemoSignIn) -> SignedIn:
        """Start a session of a demo person. Refuses with ``DemoOnlyHere``."""
        ...

    @command(permission="identity.sign-in")
    async def activate(self, request: Activate) -> SignedIn:
        """Set the password with a one-time code, and start a session. Refuses with
        ``WrongCredentials``, ``TryLater`` or ``WeakPassword``."""
        ...

    @query(permission="identity.sign-in", audited=False)
    async def session(self, token_hash: bytes, is_quiet: bool = False) -> SignedIn:
        """Who acts under this reference. The edge asks for every request, and keeps no copy.

        Each question shows that the person is there, unless ``is_quiet`` (a page refreshing
        itself). Refuses with ``SignInNeeded`` (none, or ended) or ``SessionLocked``.
        """
        ...

    @command(permission="identity.sign-in")
    async def unlock(self, request: Unlock) -> SignedIn:
        """Go on with a locked session. Refuses with ``WrongCredentials`` or ``TryLater``."""
        ...

    @command(permission="identity.sign-in")
    async def lock(self, token_hash: bytes) -> None:
        """Lock the screen. A reference that is unknown or ended changes nothing."""
        ...

    @command(permission="identity.sign-in")
    async def sign_out(self, token_hash: bytes) -> None:
        """End this session. A reference that is unknown or ended changes nothing."""
        ...

    # ── one's own ───────────────────────────────────────────────────────────────────────────
    @command(permission="identity.own")
    async def change_password(self, request: ChangePassword) -> None:
        """Refuses with ``WrongCredentials``, ``TryLater``, ``WeakPassword``, ``SamePassword``."""
        ...

    @query(permission="identity.own")
    async def my_sessions(self) -> tuple[SessionLine, ...]:
        """The caller's running sessions, newest first."""
        ...

    @command(permission="identity.own")
    async def end_my_session(self, session: SessionId) -> None:
        """End one of the caller's own sessions. Refuses with ``SessionNotFound``."""
        ...

    # ── colleagues ──────────────────────────────────────────────────────────────────────────
    @query(permission="identity.directory")
    async def staff(self, ids: tuple[StaffId, ...]) -> tuple[StaffMember, ...]:
        """Names for ids (at most 100); unknown ids are left out."""
        ...

    @query(permission="identity.directory")
    async def colleagues(
        self, campus: CampusCode, role: Plain = "", limit: int = 200
    ) -> tuple[StaffMember, ...]:
        """Active people with a grant at a campus of the caller, by staff number."""
        ...

    # ── administration ──────────────────────────────────────────────────────────────────────
    @query(permission="identity.administer")
    async def accounts(self, after: Plain = "", limit: int = 100) -> tuple[Account, ...]:
        """Accounts by staff number, after one, at most 200."""
        ...

    @query(permission="identity.administer")
    async def roles(self) -> tuple[Role, ...]:
        """The roles and what they hold now, with the boards that are plugged in."""
        ...

    @command(permission="identity.administer")
    async def open_account(self, request: OpenAccount) -> Account:
        """Open an account. Refuses with ``OnePersonOneAccount``, ``RoleUnknown``, ``WeakCode`` or
        ``GrantOutsideRights``."""
        ...

    @command(permission="identity.administer")
    async def grant(self, staff: StaffId, grant: Grant) -> Account:
        """Add a grant; the person's sessions end. Refuses with ``AccountNotFound``,
        ``RoleUnknown``, ``NotYourself`` or ``GrantOutsideRights``."""
        ...

    @command(permission="identity.administer")
    async def revoke(self, staff: StaffId, grant: GrantId) -> Account:
        """Take a grant away; the person's sessions end."""
        ...

    @command(permission="identity.administer")
    async def disable(self, staff: StaffId, reason: Plain) -> Account:
        """Nobody signs in with this account any more; its sessions end at once."""
        ...

    @command(permission="identity.administer")
    async def enable(self, staff: StaffId, reason: Plain) -> Account:
        """Take the account into use again."""
        ...

    @command(permission="identity.administer")
    async def reset_password(self, staff: StaffId, code: Secret) -> Account:
        """The old password is void, sessions end, ``code`` lets the person set a new one."""
        ...

    @command(permission="identity.administer")
    async def end_sessions(self, staff: StaffId) -> None:
        """End every session of a person."""
        ...

    # ── breaking the glass ──────────────────────────────────────────────────────────────────
    @command(permission="identity.break-glass")
    async def break_glass(self, request: BreakGlass) -> Opening:
        """Open one patient's record for four hours, to be reviewed by somebody else. Refuses with
        ``ReasonNeeded``."""
        ...

    @query(permission="identity.review-openings")
    async def openings(
        self, state: OpeningState = OpeningState.OPEN, limit: int = 100
    ) -> tuple[Opening, ...]:
        """Opened records of the caller's campuses, the oldest first."""
        ...

    @command(permission="identity.review-openings")
    async def review_opening(
        self, opening: OpeningId, state: OpeningState, finding: Clinical
    ) -> Opening:
        """Say whether it was justified. Refuses with ``OpeningNotFound`` or ``NotYourself``."""
        ...

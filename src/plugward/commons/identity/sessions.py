"""Sessions 会话: steps of their life, each one unit of work, and who acts in one."""

from collections.abc import Mapping
from datetime import timedelta

from plugward.kernel import Message, Reading, Settings, Work
from plugward.kernel.refusals import SignInNeeded
from plugward.kit.message import Plain, Secret
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, StaffId

from . import accounts as administration
from . import glass
from .contract import (
    AccountKind,
    AccountState,
    EndReason,
    NoWorkHere,
    SessionId,
    SessionLockedByOwner,
    SessionNotFound,
    SessionStarted,
    SignedIn,
    StaffChanged,
    WrongCredentials,
)
from .rules import (
    ACCOUNT_LIFE,
    EVERYWHERE,
    MUST_CHANGE_PERMISSIONS,
    campuses_of,
    covers,
    rights,
    running,
    staff_of,
)
from .tables import Credentials, PlaceRow, SessionRow, accounts, places, sessions


class Wish(Message):
    """What a person asks for when a session begins. The reference comes as its hash."""

    token_hash: Secret
    campus: CampusCode = CampusCode("")
    workplace: Plain = ""
    language: Plain = "zh-CN"


class Rack:
    """What the boards that are plugged in now make of the roles, and this board's settings."""

    def __init__(self, roles: Mapping[str, frozenset[str]], settings: Settings) -> None:
        self.roles = roles
        self.settings = settings

    def must_change(self, account: Credentials, now: Instant) -> bool:
        """Whether the password has come of age (preset ``mlps3`` only)."""
        rule: str = self.settings["password_rule"]
        if rule == "modern" or account.password_at is None:
            return False
        if account.kind is AccountKind.SCREEN or account.is_demo:
            return False
        return now >= account.password_at + timedelta(days=self.settings["password_days"])

    def lasts(self, account: Credentials) -> timedelta:
        if account.kind is AccountKind.SCREEN:
            return timedelta(days=self.settings["screen_session_days"])
        return timedelta(hours=self.settings["session_hours"])


def start(work: Work, staff: StaffId, password_hash: str, wish: Wish, rack: Rack) -> SignedIn:
    """Begin a session, unless the account has changed since the password was looked at."""
    account = work.get(accounts, Credentials, staff, missing=WrongCredentials)
    if account.state is not AccountState.ACTIVE or account.password_hash != password_hash:
        raise WrongCredentials
    return begin(work, account, wish, rack)


def begin(work: Work, account: Credentials, wish: Wish, rack: Rack) -> SignedIn:
    row = SessionRow(
        id=SessionId(work.derive("session")),
        token_hash=wish.token_hash,
        staff=account.id,
        campus=_workplace(work, account, wish.campus),
        workplace=wish.workplace,
        language=wish.language,
        device=work.actor.device or "",
        address=work.actor.address or "",
        started_at=work.now,
        seen_at=work.now,
        ends_at=work.now + rack.lasts(account),
    )
    work.insert(sessions, row)
    work.publish(SessionStarted(staff=account.id, session=row.id, campus=row.campus))
    return signed_in(work, row, account, rack)


def _workplace(read: Reading, account: Credentials, wished: CampusCode) -> CampusCode:
    grants = running(account.grants, read.now)
    if wished:
        if not any(covers(g, wished) for g in grants):
            raise NoWorkHere(campus=wished)
        return wished
    named = [c for c in campuses_of(grants) if c != EVERYWHERE]
    if named:
        return named[0]
    if not grants:
        raise NoWorkHere(campus="")
    first = read.first(places, PlaceRow, is_campus=True, order_by="code")
    return first.campus if first else CampusCode("")


def signed_in(read: Reading, row: SessionRow, account: Credentials, rack: Rack) -> SignedIn:
    """Who acts in this session, with the rights of this moment."""
    granted = rights(running(account.grants, read.now), rack.roles, row.campus)
    must_change = rack.must_change(account, read.now)
    permissions = MUST_CHANGE_PERMISSIONS if must_change else granted.permissions
    return SignedIn(
        session=row.id,
        staff=account.id,
        staff_no=account.staff_no,
        name=account.name,
        title=account.title,
        kind=account.kind,
        campus=row.campus,
        workplace=row.workplace,
        department=account.department,
        language=row.language,
        roles=granted.roles,
        permissions=tuple(sorted(permissions)),
        campuses=granted.campuses,
        departments=granted.departments,
        opened=glass.opened_by(read, account.id),
        must_change_password=must_change,
        is_demo=account.is_demo,
        started_at=row.started_at,
        ends_at=row.ends_at,
        locks_at=None,
    )


def found(read: Reading, token_hash: str) -> tuple[SessionRow, Credentials]:
    """A running session and its owner, or ``SignInNeeded``."""
    row = read.first(sessions, SessionRow, token_hash=token_hash)
    if row is None or not administration.is_running(row, read.now):
        raise SignInNeeded
    account = read.get(accounts, Credentials, row.staff, missing=SignInNeeded)
    if account.state is not AccountState.ACTIVE:
        raise SignInNeeded
    return row, account


def lock(work: Work, token_hash: str) -> None:
    row = work.first(sessions, SessionRow, token_hash=token_hash)
    if row is None or row.locked_at or not administration.is_running(row, work.now):
        return
    work.update(sessions, before=row, after=row.replace(locked_at=work.now))
    work.publish(SessionLockedByOwner(staff=row.staff, session=row.id))


def unlock(work: Work, token_hash: str, password_hash: str, rack: Rack) -> SignedIn:
    row, account = found(work, token_hash)
    if account.password_hash != password_hash:
        raise WrongCredentials
    unlocked = row.replace(locked_at=None, seen_at=max(row.seen_at, work.now))
    work.update(sessions, before=row, after=unlocked)
    return signed_in(work, unlocked, account, rack)


def sign_out(work: Work, token_hash: str) -> None:
    row = work.first(sessions, SessionRow, token_hash=token_hash)
    if row is not None and administration.is_running(row, work.now):
        administration.end(work, row.staff, (row.id,), EndReason.SIGNED_OUT)


def mine(read: Reading, session: SessionId) -> SessionRow:
    """One of the caller's own running sessions."""
    row = read.get(sessions, SessionRow, session, missing=SessionNotFound)
    if row.staff != staff_of(read.actor) or not administration.is_running(row, read.now):
        raise SessionNotFound
    return row


def end_mine(work: Work, session: SessionId) -> None:
    row = mine(work, session)
    administration.end(work, row.staff, (session,), EndReason.ENDED_BY_OWNER)


def activate(
    work: Work, staff: StaffId, code_hash: str, password_hash: str, wish: Wish, rack: Rack
) -> SignedIn:
    """The first password, by the one-time code: the code is used up."""
    account = work.get(accounts, Credentials, staff, missing=WrongCredentials)
    if account.code_hash != code_hash:
        raise WrongCredentials
    ACCOUNT_LIFE.check(account.state, AccountState.ACTIVE)
    active = account.replace(
        state=AccountState.ACTIVE,
        password_hash=password_hash,
        password_at=work.now,
        code_hash=None,
        code_until=None,
    )
    work.update(accounts, before=account, after=active)
    work.publish(StaffChanged(staff=administration.member_of(active), state=active.state))
    return begin(work, active, wish, rack)


def change_password(work: Work, token_hash: str, current_hash: str, new_hash: str) -> None:
    """A new password; the person's other sessions end, this one goes on."""
    row, account = found(work, token_hash)
    if account.password_hash != current_hash:
        raise WrongCredentials
    changed = account.replace(
        password_hash=new_hash,
        password_at=work.now,
        earlier_hashes=administration.remembered(account),
    )
    work.update(accounts, before=account, after=changed)
    administration.end_all(work, account.id, EndReason.PASSWORD_CHANGED, but=row.id)


def save_seen(work: Work, seen: tuple[tuple[SessionId, Instant], ...]) -> None:
    """When people were last there, as far as the memory knows."""
    for session, at in seen:
        work.set_where(sessions, sessions.c.id == session, sessions.c.seen_at < at, seen_at=at)


def forget_old(work: Work, before: Instant) -> None:
    """Sessions that ended long ago."""
    work.delete_where(sessions, sessions.c.ends_at < before)

"""Steps of administration, each one unit of work: accounts, grants, passwords, sessions."""

from collections.abc import Collection
from datetime import timedelta

from plugward.kernel import NotFound, Reading, Work
from plugward.kit.time import Instant
from plugward.vocabulary import StaffId

from .contract import (
    Account,
    AccountKind,
    AccountNotFound,
    AccountState,
    EndReason,
    Grant,
    GrantId,
    GrantOutsideRights,
    NotYourself,
    OnePersonOneAccount,
    OpenAccount,
    RoleUnknown,
    SessionId,
    SessionsEnded,
    StaffChanged,
    StaffMember,
    WeakCode,
)
from .passwords import CODE_LENGTH_MIN, REMEMBERED
from .rules import ACCOUNT_LIFE, campuses_of, reaches, staff_of
from .tables import Credentials, SessionRow, accounts, sessions

SESSIONS_MAX = 200
STANDARD_ROLES = frozenset(
    (
        "doctor",
        "nurse",
        "cashier",
        "pharmacist",
        "registrar",
        "triage-nurse",
        "lab-technician",
        "manager",
        "steward",
        "integration-engineer",
        "administrator",
        "screen",
    )
)


class Terms:
    """What administration must know beside the tables."""

    def __init__(self, roles: Collection[str], code_hours: int) -> None:
        self.roles = STANDARD_ROLES | set(roles)
        self.code_until = timedelta(hours=code_hours)


def open_account(work: Work, request: OpenAccount, code_hash: str, terms: Terms) -> Account:
    """Open an account that its owner will activate with the code."""
    _check_grants(work, request.grants, terms)
    if len(request.code) < CODE_LENGTH_MIN:
        raise WeakCode
    taken = work.first(accounts, Account, staff_no=request.staff_no)
    if taken is not None or work.get_or_none(accounts, Account, request.id) is not None:
        raise OnePersonOneAccount(staff_no=request.staff_no)
    account = Credentials(
        id=request.id,
        staff_no=request.staff_no,
        name=request.name,
        title=request.title,
        department=request.department,
        kind=request.kind,
        state=AccountState.INVITED,
        grants=request.grants,
        code_hash=code_hash,
        code_until=work.now + terms.code_until,
        opened_at=work.now,
    )
    work.insert(accounts, account)
    _say(work, account)
    return account.public()


def grant(work: Work, staff: StaffId, given: Grant, terms: Terms) -> Account:
    account = _of_somebody_else(work, staff)
    _check_grants(work, (given,), terms)
    if (given.role == "screen") is not (account.kind is AccountKind.SCREEN):
        raise RoleUnknown(role=given.role)
    others = tuple(g for g in account.grants if g.id != given.id)
    return _changed(work, account, EndReason.RIGHTS_CHANGED, grants=(*others, given))


def revoke(work: Work, staff: StaffId, id: GrantId) -> Account:
    account = _of_somebody_else(work, staff)
    taken = tuple(g for g in account.grants if g.id == id)
    if not taken:
        raise NotFound
    _check_reach(work, taken)
    kept = tuple(g for g in account.grants if g.id != id)
    return _changed(work, account, EndReason.RIGHTS_CHANGED, grants=kept)


def disable(work: Work, staff: StaffId, reason: str) -> Account:
    account = _wholly_administered(work, staff)
    ACCOUNT_LIFE.check(account.state, AccountState.DISABLED)
    return _changed(
        work, account, EndReason.DISABLED, state=AccountState.DISABLED, state_reason=reason
    )


def enable(work: Work, staff: StaffId, reason: str) -> Account:
    account = _wholly_administered(work, staff)
    to = AccountState.ACTIVE if account.password_hash else AccountState.INVITED
    ACCOUNT_LIFE.check(account.state, to)
    return _changed(work, account, None, state=to, state_reason=reason)


def reset_password(work: Work, staff: StaffId, code: str, code_hash: str, terms: Terms) -> Account:
    account = _wholly_administered(work, staff)
    if len(code) < CODE_LENGTH_MIN:
        raise WeakCode
    if account.state is not AccountState.INVITED:
        ACCOUNT_LIFE.check(account.state, AccountState.INVITED)
    return _changed(
        work,
        account,
        EndReason.PASSWORD_CHANGED,
        state=AccountState.INVITED,
        password_hash=None,
        earlier_hashes=remembered(account),
        code_hash=code_hash,
        code_until=work.now + terms.code_until,
    )


def end_sessions(work: Work, staff: StaffId) -> None:
    _wholly_administered(work, staff)
    end_all(work, staff, EndReason.ENDED_BY_ADMINISTRATOR)


def remembered(account: Credentials) -> tuple[str, ...]:
    """The hashes of passwords that may not come back, newest first."""
    current = (account.password_hash,) if account.password_hash else ()
    return (*current, *account.earlier_hashes)[:REMEMBERED]


def end_all(
    work: Work, staff: StaffId, reason: EndReason, *, but: SessionId | None = None
) -> tuple[SessionId, ...]:
    """End the running sessions of a person, and say so."""
    ended = tuple(row.id for row in running_sessions(work, staff) if row.id != but)
    end(work, staff, ended, reason)
    return ended


def running_sessions(read: Reading, staff: StaffId | None) -> tuple[SessionRow, ...]:
    """The sessions of a person that have not ended, newest first."""
    return read.find(
        sessions,
        SessionRow,
        sessions.c.ends_at > read.now,
        staff=staff,
        ended_at=None,
        order_by="-started_at",
        limit=SESSIONS_MAX,
    )


def end(work: Work, staff: StaffId, ids: tuple[SessionId, ...], reason: EndReason) -> None:
    if not ids:
        return
    work.set_where(
        sessions,
        sessions.c.id.in_(ids),
        sessions.c.ended_at.is_(None),
        ended_at=work.now,
        end_reason=reason,
    )
    work.publish(SessionsEnded(staff=staff, sessions=ids, reason=reason))


def listed(read: Reading, after: str, limit: int) -> tuple[Account, ...]:
    """Accounts an administrator may see: those with a grant in reach, and those without any."""
    found = read.find(
        accounts, Account, accounts.c.staff_no > after, limit=limit, order_by="staff_no"
    )
    return tuple(a for a in found if _in_reach(read, a))


def member_of(account: Account) -> StaffMember:
    return StaffMember(**{f: getattr(account, f) for f in StaffMember.__struct_fields__})


def _changed(
    work: Work, account: Credentials, reason: EndReason | None, **changes: object
) -> Account:
    after = account.replace(**changes)
    work.update(accounts, before=account, after=after)
    if reason is not None:
        end_all(work, account.id, reason)
    _say(work, after)
    return after.public()


def _say(work: Work, account: Credentials) -> None:
    work.publish(StaffChanged(staff=member_of(account), state=account.state))


def _check_grants(work: Work, grants: tuple[Grant, ...], terms: Terms) -> None:
    for given in grants:
        if given.role not in terms.roles:
            raise RoleUnknown(role=given.role)
    _check_reach(work, grants)


def _check_reach(work: Work, grants: tuple[Grant, ...]) -> None:
    for given in grants:
        if not given.campuses or not reaches(work.actor, given.campuses):
            raise GrantOutsideRights(campus=",".join(given.campuses))


def _in_reach(read: Reading, account: Account) -> bool:
    campuses = campuses_of(account.grants)
    return not campuses or any(reaches(read.actor, (c,)) for c in campuses)


def _administered(work: Work, staff: StaffId) -> Credentials:
    account = work.get(accounts, Credentials, staff, missing=AccountNotFound)
    if not _in_reach(work, account):
        raise AccountNotFound
    return account


def _of_somebody_else(work: Work, staff: StaffId) -> Credentials:
    if staff_of(work.actor) == staff:
        raise NotYourself
    return _administered(work, staff)


def _wholly_administered(work: Work, staff: StaffId) -> Credentials:
    account = _of_somebody_else(work, staff)
    _check_reach(work, account.grants)
    return account


def is_running(row: SessionRow, now: Instant) -> bool:
    return row.ended_at is None and now < row.ends_at

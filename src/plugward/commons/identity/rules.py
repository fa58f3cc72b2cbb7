"""The rules of identity: rights from grants, delays after wrong passwords, who is at home."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from ipaddress import ip_address
from uuid import UUID

from plugward.kernel import Actor, Lifecycle, Message
from plugward.kit.message import Plain
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, DepartmentCode, StaffId

from .contract import AccountState, Door, Grant, OpeningState

EVERYWHERE = CampusCode("*")
"""A grant at every campus, also those to come."""

OWN_PERMISSIONS = frozenset({"identity.sign-in", "identity.own"})
"""What everybody with a session may do, whatever the role."""

MUST_CHANGE_PERMISSIONS = OWN_PERMISSIONS
"""What is left while an expired password waits to be changed."""

ERRORS_FREE = 2
ERRORS_MAX = 10
WAIT_MAX_S = 15 * 60

ACCOUNT_LIFE = Lifecycle(
    {
        AccountState.INVITED: {AccountState.ACTIVE, AccountState.DISABLED},
        AccountState.ACTIVE: {AccountState.DISABLED, AccountState.INVITED},
        AccountState.DISABLED: {AccountState.ACTIVE, AccountState.INVITED},
    }
)
OPENING_LIFE = Lifecycle(
    {
        OpeningState.OPEN: {OpeningState.JUSTIFIED, OpeningState.UNJUSTIFIED},
        OpeningState.JUSTIFIED: set(),
        OpeningState.UNJUSTIFIED: set(),
    }
)


class Rights(Message):
    """What a session at one campus may do, and at which campuses it sees rows."""

    roles: tuple[Plain, ...]
    permissions: frozenset[str]
    campuses: tuple[CampusCode, ...]
    departments: tuple[DepartmentCode, ...]


def merged_roles(
    declared: Iterable[Mapping[str, tuple[str, ...]]],
) -> dict[str, frozenset[str]]:
    """One table of roles from those that each plugged board declares."""
    merged: dict[str, set[str]] = {}
    for roles in declared:
        for role, permissions in roles.items():
            merged.setdefault(role, set()).update(permissions)
    return {role: frozenset(permissions) for role, permissions in merged.items()}


def running(grants: Iterable[Grant], now: Instant) -> tuple[Grant, ...]:
    """The grants that have not come to their end."""
    return tuple(g for g in grants if g.until is None or now < g.until)


def campuses_of(grants: Iterable[Grant]) -> tuple[CampusCode, ...]:
    """Every campus named by a grant, in the order they were granted."""
    return tuple(dict.fromkeys(c for g in grants for c in g.campuses))


def covers(grant: Grant, campus: CampusCode) -> bool:
    return campus in grant.campuses or EVERYWHERE in grant.campuses


def rights(
    grants: tuple[Grant, ...], roles: Mapping[str, frozenset[str]], campus: CampusCode
) -> Rights:
    """The rights of a session at ``campus``.

    Only grants that reach this campus count, so a cashier of campus 1 who manages campus 2 is a
    cashier here and a manager there. Another campus is seen only if the person may do there all
    that this session may do: nothing is carried from one campus to the other.
    """
    here = tuple(g for g in grants if covers(g, campus))
    permitted = _permitted(here, roles)
    if EVERYWHERE in campuses_of(here) and permitted <= _permitted(
        tuple(g for g in here if EVERYWHERE in g.campuses), roles
    ):
        seen: tuple[CampusCode, ...] = (EVERYWHERE,)
    else:
        others = (c for c in campuses_of(grants) if c not in (campus, EVERYWHERE))
        alike = (
            c
            for c in others
            if permitted <= _permitted(tuple(g for g in grants if covers(g, c)), roles)
        )
        seen = (campus, *alike) if here else ()
    unlimited = any(not g.departments for g in here)
    departments = () if unlimited else tuple(dict.fromkeys(d for g in here for d in g.departments))
    return Rights(
        roles=tuple(dict.fromkeys(g.role for g in here)),
        permissions=permitted | OWN_PERMISSIONS,
        campuses=seen,
        departments=departments,
    )


def _permitted(grants: tuple[Grant, ...], roles: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*(roles.get(g.role, frozenset()) for g in grants))


def reaches(actor: Actor, campuses: Iterable[CampusCode]) -> bool:
    """Whether an administrator's own rights reach all of these campuses."""
    return actor.sees_all or all(actor.sees(c) for c in campuses)


def wait_s(errors: int) -> int:
    """Seconds to wait before the next try after so many errors of one account at one place."""
    if errors <= ERRORS_FREE:
        return 0
    if errors >= ERRORS_MAX:
        return WAIT_MAX_S
    return int(2 ** (errors - ERRORS_FREE - 1))


def staff_of(actor: Actor) -> StaffId | None:
    """The person behind an actor, if it is one with an account."""
    kind, _, id = actor.id.partition(":")
    try:
        return StaffId(UUID(id)) if kind == "staff" else None
    except ValueError:
        return None


def is_at_home(address: str | None, door: Door) -> bool:
    """Whether a request came from this very machine, by its own name, through nobody."""
    if door.is_forwarded or not address:
        return False
    try:
        near = ip_address(address).is_loopback
    except ValueError:
        return False
    return near and _host_name(door.host) in {"localhost", "127.0.0.1", "::1"}


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def locks_after(seen_at: Instant, idle_s: int) -> Instant:
    return seen_at + timedelta(seconds=idle_s)

"""What identity does, step by step. The steps themselves: ``sessions``, ``accounts``, ``glass``."""

import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from plugward.kernel import Message, Reading, Settings, Store, Work, in_work, reading
from plugward.kernel.refusals import SignInNeeded
from plugward.kernel.runtime import Runtime
from plugward.kit.time import Clock, Instant
from plugward.vocabulary import CampusCode, StaffId

from . import accounts as administration
from . import glass, sessions
from .contract import (
    Account,
    AccountKind,
    AccountState,
    Activate,
    BreakGlass,
    ChangePassword,
    DemoOnlyHere,
    DemoPerson,
    DemoSignIn,
    Door,
    Grant,
    GrantId,
    Identity,
    OpenAccount,
    Opening,
    OpeningId,
    OpeningState,
    Place,
    Role,
    SessionId,
    SessionLine,
    SessionLocked,
    SignedIn,
    SignIn,
    StaffMember,
    Unlock,
    Welcome,
    WrongCredentials,
    hash_of_token,
)
from .door import DoorKeeper
from .first import keep_apart
from .live import Live, LiveSessions
from .passwords import hash_of_code
from .rules import covers, is_at_home, locks_after, merged_roles, running, staff_of
from .tables import Credentials, PlaceRow, SessionRow, accounts, openings, places

M = TypeVar("M", bound=Message)
R = TypeVar("R")
DEMO_IDLE_S = 30 * 60
PLACES_MAX = 500
LIST_MAX = 200
ANYWHERE = CampusCode("")
STAFF_MAX = 1_000
SESSIONS_KEPT_DAYS = 180
SEEN_KEPT_HOURS = 24


class IdentityService(Identity):
    def __init__(self, store: Store, clock: Clock, settings: Settings, runtime: Runtime) -> None:
        self.store = store
        self._clock = clock
        self._settings = settings
        self._runtime = runtime
        self._live = LiveSessions()
        self._door = DoorKeeper(store, clock, settings)
        self._merged: tuple[tuple[str, ...], dict[str, frozenset[str]]] = ((), {})

    async def started(self) -> None:
        await self.store.work(keep_apart, bool(self._settings["demo"]))

    async def stopping(self) -> None:
        await self.demo.stop()
        await self.save_seen()

    # ── the edge asks ───────────────────────────────────────────────────────────────────────
    @reading
    def welcome(self, read: Reading, door: Door) -> Welcome:
        known = read.find(places, PlaceRow, limit=PLACES_MAX, order_by="code")
        at_home = self._settings["demo"] and is_at_home(read.actor.address, door)
        return Welcome(
            is_demo=self._settings["demo"],
            campuses=tuple(_part(p, Place) for p in known if p.is_campus),
            departments=tuple(_part(p, Place) for p in known if not p.is_campus),
            demo_people=_demo_people(read) if at_home else (),
            password_rule=self._settings["password_rule"],
        )

    async def sign_in(self, request: SignIn) -> SignedIn:
        account = await self._door.proven(request.staff_no, request.password)
        return await self._start(account, request)

    async def demo_sign_in(self, request: DemoSignIn) -> SignedIn:
        account, _ = await self._door.known(request.staff_no)
        if account is None or not await self.store.read(self._is_shown, account, request.door):
            raise DemoOnlyHere
        return await self._start(account, request)

    def _is_shown(self, read: Reading, account: Credentials, door: Door) -> bool:
        at_home = self._settings["demo"] and is_at_home(read.actor.address, door)
        return at_home and account.is_demo and account.state is AccountState.ACTIVE

    async def _start(self, account: Credentials, request: SignIn | DemoSignIn) -> SignedIn:
        wish = _wish(request.token, request.language, request.campus, request.workplace)
        hashed = account.password_hash or ""
        who = await self.store.work(sessions.start, account.id, hashed, wish, self._rack())
        return self._with_lock(who, who.started_at)

    async def activate(self, request: Activate) -> SignedIn:
        account, place = await self._door.known(request.staff_no)
        key = self._door.begin(request.staff_no, place)
        digest = hash_of_code(request.code)
        if account is None or not _code_opens(account, digest, self._clock.now()):
            raise WrongCredentials
        self._door.passed(key)
        hashed = await self._door.good_hash(account, request.password)
        wish = _wish(request.token, request.language)
        who = await self.store.work(
            sessions.activate, account.id, digest, hashed, wish, self._rack()
        )
        return self._with_lock(who, who.started_at)

    async def session(self, token_hash: bytes, is_quiet: bool = False) -> SignedIn:
        key, rack, now = token_hash.hex(), self._boards(), self._clock.now()
        live = self._live.get(key, now, rack)
        if live is None:
            changes = self._live.changes
            live = await self.store.read(_load, key, self._rack(), rack)
            if changes == self._live.changes:  # else what was read may be outdated already
                self._live.put(key, live)
        return self._still_there(live, now, is_quiet=is_quiet)

    def _still_there(self, live: Live, now: Instant, *, is_quiet: bool) -> SignedIn:
        who = live.signed_in
        if now >= who.ends_at:
            raise SignInNeeded
        seen_at = self._live.seen_at(who.session, live.seen_at)
        is_idle = now >= locks_after(seen_at, self._idle_s)
        if who.kind is AccountKind.PERSON and (live.locked or is_idle):
            raise SessionLocked(staff_no=who.staff_no, name=who.name)
        if not is_quiet:
            self._live.seen(who.session, now)
            seen_at = now
        if who.opened:
            who = who.replace(opened=tuple(o for o in who.opened if now < o.until))
        return self._with_lock(who, seen_at)

    async def unlock(self, request: Unlock) -> SignedIn:
        token_hash = hash_of_token(request.token).hex()
        _, owner = await self.store.read(sessions.found, token_hash)
        account = await self._door.proven(owner.staff_no, request.password)
        hashed = account.password_hash or ""
        who = await self.store.work(sessions.unlock, token_hash, hashed, self._rack())
        self._live.forget(who.staff)
        self._live.seen(who.session, self._clock.now())
        return self._with_lock(who, self._clock.now())

    async def lock(self, token_hash: bytes) -> None:
        await self.store.work(sessions.lock, token_hash.hex())
        self._live.forget_token(token_hash.hex())

    async def sign_out(self, token_hash: bytes) -> None:
        await self.store.work(sessions.sign_out, token_hash.hex())
        self._live.forget_token(token_hash.hex())

    def _with_lock(self, who: SignedIn, seen_at: Instant) -> SignedIn:
        if who.kind is AccountKind.SCREEN:
            return who
        return who.replace(locks_at=locks_after(seen_at, self._idle_s))

    @property
    def _idle_s(self) -> int:
        return DEMO_IDLE_S if self._settings["demo"] else int(self._settings["idle_lock_s"])

    # ── one's own ───────────────────────────────────────────────────────────────────────────
    async def change_password(self, request: ChangePassword) -> None:
        token_hash = hash_of_token(request.token).hex()
        _, owner = await self.store.read(sessions.found, token_hash)
        account = await self._door.proven(owner.staff_no, request.current)
        hashed = await self._door.good_hash(account, request.new)
        await self._changing(
            account.id, sessions.change_password, token_hash, account.password_hash or "", hashed
        )

    @reading
    def my_sessions(self, read: Reading) -> tuple[SessionLine, ...]:
        rows = administration.running_sessions(read, staff_of(read.actor))
        return tuple(self._line(row, read.now) for row in rows)

    def _line(self, row: SessionRow, now: Instant) -> SessionLine:
        seen_at = self._live.seen_at(row.id, row.seen_at)
        is_locked = row.locked_at is not None or now >= locks_after(seen_at, self._idle_s)
        shown = {f: getattr(row, f) for f in SessionLine.__struct_fields__ if hasattr(row, f)}
        return SessionLine(**{**shown, "seen_at": seen_at, "is_locked": is_locked})

    async def end_my_session(self, session: SessionId) -> None:
        row = await self.store.read(sessions.mine, session)
        await self._changing(row.staff, sessions.end_mine, session)

    # ── colleagues ──────────────────────────────────────────────────────────────────────────
    @reading
    def staff(self, read: Reading, ids: tuple[StaffId, ...]) -> tuple[StaffMember, ...]:
        return read.find(accounts, StaffMember, id=ids[:100], limit=100) if ids else ()

    @reading
    def colleagues(
        self, read: Reading, campus: CampusCode, role: str = "", limit: int = LIST_MAX
    ) -> tuple[StaffMember, ...]:
        if not read.actor.sees(campus):
            return ()
        active = read.find(
            accounts,
            Account,
            accounts.c.kind == AccountKind.PERSON,
            state=AccountState.ACTIVE,
            order_by="staff_no",
            limit=STAFF_MAX,
        )
        there = (a for a in active if _works(a, campus, role, read.now))
        return tuple(map(administration.member_of, there))[: _bounded(limit)]

    # ── administration ──────────────────────────────────────────────────────────────────────
    @reading
    def accounts(self, read: Reading, after: str = "", limit: int = 100) -> tuple[Account, ...]:
        return administration.listed(read, after, _bounded(limit))

    async def roles(self) -> tuple[Role, ...]:
        return tuple(
            Role(name=name, permissions=tuple(sorted(permissions)))
            for name, permissions in sorted(self._roles().items())
        )

    async def open_account(self, request: OpenAccount) -> Account:
        digest = hash_of_code(request.code)
        return await self._changing(
            request.id, administration.open_account, request, digest, self._terms()
        )

    async def grant(self, staff: StaffId, grant: Grant) -> Account:
        return await self._changing(staff, administration.grant, staff, grant, self._terms())

    async def revoke(self, staff: StaffId, grant: GrantId) -> Account:
        return await self._changing(staff, administration.revoke, staff, grant)

    async def disable(self, staff: StaffId, reason: str) -> Account:
        return await self._changing(staff, administration.disable, staff, reason)

    async def enable(self, staff: StaffId, reason: str) -> Account:
        return await self._changing(staff, administration.enable, staff, reason)

    async def reset_password(self, staff: StaffId, code: str) -> Account:
        return await self._changing(
            staff, administration.reset_password, staff, code, hash_of_code(code), self._terms()
        )

    async def end_sessions(self, staff: StaffId) -> None:
        await self._changing(staff, administration.end_sessions, staff)

    async def _changing(self, staff: StaffId, step: Callable[..., R], *args: Any) -> R:
        """One unit of work about a person, after which nobody goes on with the old rights."""
        try:
            return await self.store.work(step, *args)
        finally:
            self._live.forget(staff)

    # ── breaking the glass ──────────────────────────────────────────────────────────────────
    async def break_glass(self, request: BreakGlass) -> Opening:
        opening = await self.store.work(glass.break_glass, request, self._settings)
        self._live.forget(opening.staff)
        return opening

    @reading
    def openings(
        self, read: Reading, state: OpeningState = OpeningState.OPEN, limit: int = 100
    ) -> tuple[Opening, ...]:
        return read.find(
            openings, Opening, state=state, order_by="opened_at", limit=_bounded(limit)
        )

    @in_work
    def review_opening(
        self, work: Work, opening: OpeningId, state: OpeningState, finding: str
    ) -> Opening:
        return glass.review(work, opening, state, finding)

    # ── behind it ───────────────────────────────────────────────────────────────────────────
    @property
    def demo(self) -> Any:
        """The demo's people; ``plugward.commons.identity.demo.prepare`` lets them in."""
        return self._door.demo

    async def save_seen(self) -> None:
        """Write down when people were last there, so that a restart does not unlock a screen."""
        seen = tuple(self._live.unsaved())
        if seen:
            await self.store.work(sessions.save_seen, seen)
        self._live.prune(self._clock.now() - timedelta(hours=SEEN_KEPT_HOURS))

    @in_work
    def forget_old_sessions(self, work: Work) -> None:
        sessions.forget_old(work, work.now - timedelta(days=SESSIONS_KEPT_DAYS))

    @in_work
    def keep_place(self, work: Work, place: PlaceRow) -> None:
        """A campus or department as master data knows it now."""
        work.save_copy(places, place)

    @in_work
    def drop_place(self, work: Work, code: str) -> None:
        work.delete_where(places, places.c.code == code)

    def _boards(self) -> tuple[str, ...]:
        boards = self._runtime.boards.values()
        return tuple(f"{board.name} {board.manifest.version}" for board in boards)

    def _roles(self) -> dict[str, frozenset[str]]:
        """The roles of all plugged boards; merged again when one comes or goes."""
        boards = self._boards()
        if self._merged[0] != boards:
            manifests = [board.manifest.roles for board in self._runtime.boards.values()]
            self._merged = (boards, merged_roles(manifests))
        return self._merged[1]

    def _rack(self) -> sessions.Rack:
        return sessions.Rack(self._roles(), self._settings)

    def _terms(self) -> administration.Terms:
        return administration.Terms(self._roles(), self._settings["code_hours"])


def _load(read: Reading, token_hash: str, rack: sessions.Rack, boards: tuple[str, ...]) -> Live:
    row, account = sessions.found(read, token_hash)
    return Live(
        signed_in=sessions.signed_in(read, row, account, rack),
        locked=row.locked_at is not None,
        seen_at=row.seen_at,
        read_at=read.now,
        rack=boards,
    )


def _demo_people(read: Reading) -> tuple[DemoPerson, ...]:
    found = read.find(
        accounts, Account, is_demo=True, state=AccountState.ACTIVE, limit=100, order_by="staff_no"
    )
    return tuple(
        DemoPerson(
            staff_no=a.staff_no,
            name=a.name,
            title=a.title,
            role=a.grants[0].role,
            campus=a.grants[0].campuses[0],
            department=a.department,
        )
        for a in found
        if a.grants
    )


def _wish(
    token: str, language: str, campus: CampusCode = ANYWHERE, workplace: str = ""
) -> sessions.Wish:
    return sessions.Wish(
        token_hash=hash_of_token(token).hex(),
        campus=campus,
        workplace=workplace,
        language=language,
    )


def _code_opens(account: Credentials, digest: str, now: Instant) -> bool:
    return (
        account.state is AccountState.INVITED
        and account.code_until is not None
        and now < account.code_until
        and hmac.compare_digest(account.code_hash or "", digest)
    )


def _works(account: Account, campus: CampusCode, role: str, now: Instant) -> bool:
    return any(covers(g, campus) and role in ("", g.role) for g in running(account.grants, now))


def _part(row: Message, kind: type[M]) -> M:
    """The fields of a row that a message shows."""
    return kind(**{f: getattr(row, f) for f in kind.__struct_fields__})


def _bounded(limit: int) -> int:
    return max(1, min(limit, LIST_MAX))

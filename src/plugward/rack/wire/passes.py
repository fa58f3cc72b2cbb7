"""Passes 通行证: who calls, signed so that the callee need not believe the caller.

Three signatures, each by whoever knows: the rack *grants* a process its boards and what their
manifests need; an edge (portal, hub, identity) *states* which person or system acts, for one
minute; the calling board puts both into a *pass* for one callee. A board can pass a person on, but
neither invent one, nor do in a person's name what its own manifest does not need.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from plugward.kernel.codec import pack, unpack
from plugward.kernel.envelope import (
    ALL_CAMPUSES,
    ANONYMOUS,
    Actor,
    ActorKind,
    OfBoards,
    board_actor,
)
from plugward.kernel.manifest import Manifest
from plugward.kit.time import Clock, Instant

T = TypeVar("T")
PASS_S = 60  # a person whose account is closed is nobody everywhere after this
SKEW_S = 5  # between the clocks of two machines
KEPT_MAX = 4_096


class PassRefused(Exception):
    """The pass is forged, too old, or for somebody else. Says which, for the log."""


class Grant(msgspec.Struct, frozen=True):
    """The rack's word: this key belongs to this board, which needs these contracts."""

    site: str
    board: str
    key: bytes
    needs: tuple[str, ...]
    speaks_for: bool
    expires: Instant


class Statement(msgspec.Struct, frozen=True):
    """An edge's word: this is who acts."""

    grant: bytes
    actor: Actor
    expires: Instant


class Pass(msgspec.Struct, frozen=True):
    """A board's word: I call this board in that actor's name."""

    grant: bytes
    statement: bytes
    audience: str
    expires: Instant


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    body: bytes
    signature: bytes


class Credentials(msgspec.Struct, frozen=True):
    """What one process is given at its start: its key, and a grant for each of its boards."""

    site: str
    root: bytes
    private: bytes
    grants: dict[str, bytes]

    def to_bytes(self) -> bytes:
        return pack(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Credentials":
        found: Credentials = unpack(data, Credentials)
        return found

    @classmethod
    def read(cls, path: Path) -> "Credentials":
        return cls.from_bytes(path.read_bytes())


class Root:
    """The rack's own key. Only the supervisor has it."""

    def __init__(self, private: bytes) -> None:
        self.private = private
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def create(cls) -> "Root":
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    def credentials(
        self,
        manifests: Sequence[Manifest],
        *,
        site: str,
        now: Instant | None = None,
        days: float = 2.0,
        edge: bool = False,
    ) -> Credentials:
        """A key for one process and what its boards may call. ``edge``: may speak for persons."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        expires = (now or datetime.now(UTC)) + timedelta(days=days)
        grants = {
            manifest.name: _sign(
                self._key,
                Grant(
                    site,
                    manifest.name,
                    public,
                    tuple(sorted({manifest.name, *manifest.needs})),
                    edge,
                    expires,
                ),
            )
            for manifest in manifests
        }
        return Credentials(site, self.public, key.private_bytes_raw(), grants)


class Admitted(msgspec.Struct, frozen=True):
    """A pass that holds: who acts, cut to what the calling board may do, and which board calls."""

    actor: Actor
    caller: str
    audience: str
    statement: bytes
    expires: Instant


class Passes:
    """The passes of one process: those it makes and those it is shown."""

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._own = credentials
        self._clock = clock
        self._key = Ed25519PrivateKey.from_private_bytes(credentials.private)
        self._root = Ed25519PublicKey.from_public_bytes(credentials.root)
        self._grants = {board: self._granted(grant) for board, grant in credentials.grants.items()}
        self._made: OrderedDict[tuple[Actor, str, str], tuple[bytes, Instant]] = OrderedDict()
        self._seen: OrderedDict[bytes, Admitted] = OrderedDict()
        self._stated: OrderedDict[Actor, tuple[bytes, Instant]] = OrderedDict()
        self.revoked: frozenset[str] = frozenset()

    @property
    def boards(self) -> tuple[str, ...]:
        return tuple(self._grants)

    def caller(self, name: str) -> str:
        """The board a call goes out as. What no board asks for itself, the edge asks."""
        if name in self._grants:
            return name
        for board, grant in self._grants.items():
            if grant.speaks_for:
                return board
        return next(iter(self._grants), name)

    # ── made ────────────────────────────────────────────────────────────────────────────────
    def issue(self, actor: Actor, caller: str, audience: str) -> bytes:
        """A pass for a call. Raises ``PassRefused`` if this process may not speak for the actor."""
        wanted, now = (actor, caller, audience), self._clock.now()
        made = self._made.get(wanted)
        if made is not None and made[1] > now:
            return made[0]
        if caller not in self._grants:
            raise PassRefused(f"this process has no grant for {caller}")
        statement, until = self._statement(actor, caller, now)
        passed = Pass(self._own.grants[caller], statement, audience, until)
        # Made anew at half its life, so that what is passed on lives as long as a call may last.
        fresh_until = now + (until - now) / 2
        data = _sign(self._key, passed)
        _keep(self._made, wanted, (data, fresh_until))
        return data

    def _statement(self, actor: Actor, caller: str, now: Instant) -> tuple[bytes, Instant]:
        stated = self._stated.get(actor)
        if stated is not None and stated[1] > now:
            return stated
        board = caller
        if actor.kind is ActorKind.BOARD:
            board = actor.id.removeprefix("board:")
        if not self._may_state(self._grants.get(board), actor):
            raise PassRefused(f"{caller} may not speak for a {actor.kind}")
        until = now + timedelta(seconds=PASS_S)
        return _sign(self._key, Statement(self._own.grants[board], _plain(actor), until)), until

    def _may_state(self, grant: Grant | None, actor: Actor) -> bool:
        if grant is None:
            return False
        if actor.kind is ActorKind.BOARD:
            return actor.id == f"board:{grant.board}"
        if actor.kind is ActorKind.ANONYMOUS:
            return actor.permissions <= ANONYMOUS.permissions
        return grant.speaks_for

    # ── shown ───────────────────────────────────────────────────────────────────────────────
    def admit(self, data: bytes, *, caller: str, audience: str) -> Admitted:
        """Who acts, if everything holds. Raises ``PassRefused``."""
        admitted = self._seen.get(data)
        if admitted is None:
            admitted = self._looked_at(data)
            _keep(self._seen, data, admitted)
            _keep(self._stated, admitted.actor, (admitted.statement, admitted.expires))
        if admitted.caller != caller or admitted.audience != audience:
            raise PassRefused(f"a pass of {admitted.caller} for {admitted.audience}")
        if caller in self.revoked:
            raise PassRefused(f"{caller} is unplugged")
        if admitted.expires + timedelta(seconds=SKEW_S) < self._clock.now():
            raise PassRefused("too old")
        return admitted

    def claim(self, board: str, challenge: bytes) -> bytes:
        """Proof, for this challenge only, that this process may answer for a board."""
        return pack((self._own.grants[board], _sign(self._key, (board, challenge))))

    def claimed(self, data: bytes, challenge: bytes) -> str:
        """The board that somebody may answer for. Raises ``PassRefused``."""
        try:
            granted, proof = unpack(data, tuple[bytes, bytes])
        except msgspec.DecodeError:
            raise PassRefused("not a claim") from None
        grant = self._granted(granted)
        signed, said = _opened(proof, tuple[str, bytes])
        _verify(grant.key, signed)
        if said != (grant.board, challenge) or grant.board in self.revoked:
            raise PassRefused(f"a claim of {grant.board}")
        if grant.expires < self._clock.now():
            raise PassRefused("too old")
        return grant.board

    def _looked_at(self, data: bytes) -> Admitted:
        signed, passed = _opened(data, Pass)
        grant = self._granted(passed.grant)
        _verify(grant.key, signed)
        signed, statement = _opened(passed.statement, Statement)
        issuer = self._granted(statement.grant)
        _verify(issuer.key, signed)
        if not self._may_state(issuer, statement.actor):
            raise PassRefused(f"{issuer.board} spoke for a {statement.actor.kind}")
        return Admitted(
            _cut(statement.actor, issuer, grant),
            grant.board,
            passed.audience,
            passed.statement,
            min(passed.expires, statement.expires, grant.expires, issuer.expires),
        )

    def _granted(self, data: bytes) -> Grant:
        signed, grant = _opened(data, Grant)
        _check(self._root, signed)
        if grant.site != self._own.site:
            raise PassRefused(f"granted for the site {grant.site}")
        return grant


def _cut(actor: Actor, issuer: Grant, caller: Grant) -> Actor:
    """The actor with no more rights than the calling board's manifest needs."""
    if actor.kind is ActorKind.BOARD:
        own = board_actor(issuer.board, OfBoards(issuer.needs))
        return msgspec.structs.replace(own, on_behalf_of=actor.on_behalf_of)
    if caller.speaks_for or actor.kind is ActorKind.ANONYMOUS:
        return actor
    needs = frozenset(caller.needs)
    kept = frozenset(p for p in actor.permissions if p.partition(".")[0] in needs)
    return msgspec.structs.replace(actor, permissions=kept)


def _plain(actor: Actor) -> Actor:
    """A board's rights follow from its grant; they are not said again."""
    if actor.kind is ActorKind.BOARD:
        return msgspec.structs.replace(actor, permissions=frozenset(), campuses=ALL_CAMPUSES)
    return actor


def _sign(key: Ed25519PrivateKey, value: Any) -> bytes:
    body = pack(value)
    return pack(_Signed(body, key.sign(body)))


def _opened(data: bytes, kind: type[T]) -> tuple[_Signed, T]:
    """What was signed, not yet looked at: the signature is checked by whoever knows the key."""
    try:
        signed: _Signed = unpack(data, _Signed)
        return signed, unpack(signed.body, kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PassRefused("not a pass") from None


def _verify(key: bytes, signed: _Signed) -> None:
    _check(Ed25519PublicKey.from_public_bytes(key), signed)


def _check(key: Ed25519PublicKey, signed: _Signed) -> None:
    try:
        key.verify(signed.signature, signed.body)
    except InvalidSignature:
        raise PassRefused("forged") from None


K = TypeVar("K")
V = TypeVar("V")


def _keep(kept: "OrderedDict[K, V]", key: K, value: V) -> None:
    kept[key] = value
    if len(kept) > KEPT_MAX:
        kept.popitem(last=False)


__all__ = ["Admitted", "Credentials", "Grant", "PassRefused", "Passes", "Root"]

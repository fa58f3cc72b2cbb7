"""Callers 调用方: who may call over HTTP, from where, and what.

    # systems.toml
    [his]
    token_sha256 = "…"              # of the bearer token; plugward hub new-token his
    networks = ["10.3.0.0/16"]      # none: from anywhere the door is reached
    may_call = ["POST /orders", "GET /lab/*"]
    calls_per_s = 200

Without the file the door answers this machine only, and asks nobody who he is.
"""

import hashlib
import ipaddress
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from ..in_force import ABSENT, NEVER, mark_of
from .addresses import networks_of
from .asgi import Refusal
from .pace import Pace

ANONYMOUS = "this-machine"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="hub"'}


class CallersInvalid(ValueError):
    """``systems.toml`` cannot be used, and why."""


class Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One calling system."""

    token_sha256: str
    title: str = ""
    networks: tuple[str, ...] = ()
    may_call: tuple[str, ...] = ("*",)
    calls_per_s: float = 200.0


class Callers:
    """The callers of ``systems.toml``, and how fast each of them is calling."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._callers: dict[str, Caller] | None = None
        self._by_digest: dict[str, str] = {}
        self._pace = Pace()
        self._mark = NEVER

    def look(self) -> None:
        """Read the file again if it changed; ``CallersInvalid`` leaves what was known."""
        mark = mark_of(self._path)
        if mark == ABSENT:
            self._callers, self._mark = None, mark
            return
        if mark == self._mark:
            return
        self._mark = mark
        self._callers = self._callers if self._callers is not None else {}
        try:
            told = msgspec.convert(tomllib.loads(self._path.read_text("utf-8")), dict[str, Caller])
            for name, caller in told.items():
                networks_of(caller.networks)
                if len(caller.token_sha256) != hashlib.sha256().digest_size * 2:
                    raise CallersInvalid(f"systems.toml: {name}: token_sha256 is no SHA-256")
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
            raise CallersInvalid(f"systems.toml: {error}") from None
        self._callers = told
        self._by_digest = {caller.token_sha256: name for name, caller in told.items()}

    def admit(self, headers: Mapping[str, str], address: str, what: str, now: float) -> str:
        """The caller's name; ``Refusal`` says why not. ``what`` is ``POST /orders``."""
        if self._callers is None:
            if not _is_loopback(address):
                raise Refusal(401, "no caller is configured: systems.toml", _CHALLENGE)
            return ANONYMOUS
        name = self._named(headers.get("authorization", ""))
        caller = self._callers[name]
        if caller.networks and not _lies_in(address, caller.networks):
            raise Refusal(403, "not from this address")
        if not any(fnmatchcase(what, pattern) for pattern in caller.may_call):
            raise Refusal(403, "this was not granted")
        if not self._pace.has(name, caller.calls_per_s, now):
            raise Refusal(429, "too many calls", {"Retry-After": "1"})
        return name

    def _named(self, authorization: str) -> str:
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Refusal(401, "a bearer token is needed", _CHALLENGE)
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        # Looked up by its digest: how long that takes tells nothing about the token.
        name = self._by_digest.get(digest)
        if name is None:
            raise Refusal(401, "the token is not known", _CHALLENGE)
        return name


def _lies_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(network) for network in networks)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

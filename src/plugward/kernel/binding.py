"""Binding 院区绑定: which board answers a contract at which campus.

A contract is answered by the board of its name, except at campuses where the operator has bound it
to another board that implements it: an adapter in front of another vendor's system. The route an
operation declares says who is asked: the campus's board, whoever knows the id, or everybody.
"""

import asyncio
import typing
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from .contracts import Operation, Route
from .envelope import Envelope
from .manifest import Manifest
from .refusals import NotAcrossCampuses, NotFound, NotOffered, Refusal, Unavailable

Endpoint = Callable[[Operation, Any, Envelope], Any]
EVERYWHERE = "*"
"""``[campus."*"]``: every campus that is not named itself; then the own board answers nowhere."""


class Bindings(msgspec.Struct, frozen=True):
    """What the operator has bound: contract → campus → the board that answers there."""

    bound: Mapping[str, Mapping[str, str]] = {}

    @classmethod
    def of(cls, campuses: Mapping[str, Mapping[str, str]]) -> "Bindings":
        """From ``[campus.C2] lab = "lab_hl7"``, read as campus → contract → board."""
        bound: dict[str, dict[str, str]] = {}
        for campus, contracts in campuses.items():
            for contract, board in contracts.items():
                if board != contract:
                    bound.setdefault(contract, {})[campus] = board
        return cls(bound)

    def at(self, contract: str, campus: str) -> str:
        """The board that answers the contract at a campus."""
        bound = self.bound.get(contract, {})
        return bound.get(campus) or bound.get(EVERYWHERE, contract)

    def providers(self, contract: str) -> tuple[str, ...]:
        """Every board that answers the contract somewhere, its own board first."""
        bound = self.bound.get(contract, {})
        own = () if EVERYWHERE in bound else (contract,)
        return tuple(dict.fromkeys((*own, *bound.values())))

    def contract_of(self, board: str) -> str:
        """The contract a board answers for some campus; its own name if none."""
        found = (c for c, campuses in self.bound.items() if board in campuses.values())
        return next(found, board)

    def campuses_of(self, board: str) -> tuple[str, ...]:
        """Where a board is bound to answer; nowhere by name for a contract's own board."""
        campuses = self.bound.get(self.contract_of(board), {})
        return tuple(campus for campus, bound in campuses.items() if bound == board)

    def serves(self, board: str, campus: str) -> bool:
        """Whether a board does the work of its contract at a campus."""
        contract = self.contract_of(board)
        return contract not in self.bound or self.at(contract, campus) == board

    def widened(self, manifest: Manifest) -> Manifest:
        """The manifest of a caller: who needs a contract may call everybody who answers it."""
        needs = {
            provider: need
            for name, need in manifest.needs.items()
            for provider in self.providers(name)
            if provider != manifest.name
        }
        return msgspec.structs.replace(manifest, needs=needs)

    def problems(self, manifests: Mapping[str, Manifest]) -> Iterator[str]:
        """What is wrong with the bindings, given the boards there are; with what to do."""
        for contract, campuses in self.bound.items():
            for campus, board in campuses.items():
                where = f"[campus.{campus}] {contract} = {board!r}"
                found = manifests.get(board)
                if contract not in manifests:
                    yield f"{where}: no board is called {contract}; name an installed board."
                elif found is None:
                    yield f"{where}: no board is called {board}; install it, or name another."
                elif found.implements != contract:
                    what = found.implements or "no other board's contract"
                    yield (
                        f"{where}: {board} implements {what}; name a board whose board.toml has "
                        f"[implements] {contract}."
                    )
                elif not fits(manifests[contract].version, found.implements_version):
                    yield (
                        f"{where}: {board} implements {contract} {found.implements_version}, here "
                        f"is {manifests[contract].version}; use a release made for it."
                    )


NOTHING_BOUND = Bindings()


class Here:
    """Injected by its type: ``event.group.campus in here`` says whether this board does the work
    of its contract at that campus, or another one does."""

    def __init__(self, board: str, bindings: Bindings) -> None:
        self._board = board
        self._bindings = bindings

    def __contains__(self, campus: str) -> bool:
        return self._bindings.serves(self._board, campus)


# ── one call, several boards ─────────────────────────────────────────────────────────────────
_SILENT: ContextVar[set[str] | None] = ContextVar("plugward_silent", default=None)


@contextmanager
def partial_answers() -> Generator[set[str], None, None]:
    """Take what there is when a question goes to several campuses: the set names the campuses
    that did not answer (or the contract's own board) and must be shown. Without it such a question
    is ``Unavailable`` as a whole."""
    silent: set[str] = set()
    token = _SILENT.set(silent)
    try:
        yield silent
    finally:
        _SILENT.reset(token)


class Bound:
    """The endpoint of a contract that has several boards."""

    def __init__(self, contract: str, bindings: Bindings, at: Callable[[str], Endpoint]) -> None:
        self._contract = contract
        self._bindings = bindings
        self._at = at

    async def __call__(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        if operation.route is Route.ALL:
            return await self._all(operation, request, envelope)
        first = self._bindings.at(self._contract, campus_in(operation, request) or envelope.campus)
        if operation.route is Route.CAMPUS:
            return await self._ask(first, operation, request, envelope)
        return await self._owner(first, operation, request, envelope)

    async def _ask(self, board: str, operation: Operation, request: Any, envelope: Envelope) -> Any:
        return await self._at(board)(operation.of_board(board), request, envelope)

    async def _owner(
        self, first: str, operation: Operation, request: Any, envelope: Envelope
    ) -> Any:
        """Whoever knows the id. A refusal has changed nothing, so the next one can be asked; while
        one does not answer, nobody can say that there is no such thing."""
        refused: Refusal | None = None
        away: Unavailable | None = None
        for board in dict.fromkeys((first, *self._bindings.providers(self._contract))):
            try:
                return await self._ask(board, operation, request, envelope)
            except (NotFound, NotOffered) as refusal:
                refused = refused or refusal
            except Unavailable as silent:
                if operation.is_command and silent.reason not in NOTHING_HAPPENED:
                    raise  # it may have happened there: asking on could do it twice
                away = away or silent
        raise away or refused or NotFound

    async def _all(self, operation: Operation, request: Any, envelope: Envelope) -> Any:
        """Everybody, merged as the contract says."""
        if operation.merge is None:
            raise NotAcrossCampuses(operation=operation.full_name)
        boards = self._bindings.providers(self._contract)
        asked = (self._ask(board, operation, request, envelope) for board in boards)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        given: list[tuple[Any, ...]] = []
        silent: dict[str, Unavailable] = {}
        for board, answer in zip(boards, answers, strict=True):
            if isinstance(answer, Unavailable):
                silent[board] = answer
            elif isinstance(answer, NotOffered):
                given.append(())
            elif isinstance(answer, BaseException):
                raise answer
            else:
                given.append(answer)
        self._note(silent, anybody=len(silent) < len(boards))
        return operation.merge.of(given, getattr(request, "limit", None))

    def _note(self, silent: Mapping[str, Unavailable], *, anybody: bool) -> None:
        noted = _SILENT.get()
        if silent and (noted is None or not anybody):
            raise next(iter(silent.values()))
        if noted is not None:
            for board in silent:
                noted.update(self._bindings.campuses_of(board) or (board,))


NOTHING_HAPPENED = frozenset({"unplugged", "overloaded"})
"""Reasons of ``Unavailable`` that say: the command has certainly not been carried out."""


class _Reads(Protocol):
    def __call__(self, request: Any, /) -> Any: ...


def campus_in(operation: Operation, request: Any) -> str:
    """The campus a request names, if it names one."""
    read = _campus_of(operation.request)
    return str(read(request) or "") if read is not None else ""


@cache
def _campus_of(kind: type[msgspec.Struct]) -> _Reads | None:
    """Where a request says its campus: in a ``CampusCode`` of its own, or of its first message."""
    hints = typing.get_type_hints(kind)
    for name, hint in hints.items():
        if getattr(hint, "__name__", "") == "CampusCode":
            return attrgetter(name)
    for name, hint in hints.items():
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            for inner, part in typing.get_type_hints(hint).items():
                if getattr(part, "__name__", "") == "CampusCode":
                    return attrgetter(f"{name}.{inner}")
    return None


def fits(version: str, wanted: str) -> bool:
    """Whether a version lies in a range such as ``>=1,<2``."""
    have = _numbers(version)
    for part in wanted.replace(" ", "").split(","):
        sign = part.rstrip("0123456789.")
        limit = _numbers(part[len(sign) :])
        width = max(len(have), len(limit))
        a, b = _padded(have, width), _padded(limit, width)
        if not {">=": a >= b, "<=": a <= b, ">": a > b, "<": a < b, "==": a == b}[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _padded(version: tuple[int, ...], width: int) -> tuple[int, ...]:
    return (*version, *(0,) * (width - len(version)))

"""The board 插板: its parts, plugged together. ``board.py`` of every board makes one of these."""

import importlib
import inspect
import sys
import tomllib
import typing
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from .contracts import Contract, contract_of, is_contract
from .events.declare import Job, Reaction, job_of, reaction_of
from .facts import Fact, fact_of
from .interop import Declared, declared_of
from .manifest import Manifest, read_manifest
from .pages import HomePart, Page, home_of, page_of
from .proofs import Proof, proof_of
from .refusals import NotOffered
from .sagas import RESUME, Saga
from .store.migrations import Step, steps_of
from .store.tables import BoardTables


class BoardError(TypeError):
    """The parts of a board do not fit together; says which and why."""


class Board:
    """A board as the runtime sees it. Absent parts are simply absent."""

    def __init__(  # noqa: PLR0913 - one argument a part, all by name, all may be absent
        self,
        *,
        contract: type | None = None,
        service: type | None = None,
        tables: BoardTables | None = None,
        reactions: Sequence[Any] = (),
        jobs: Sequence[Any] = (),
        sagas: Sequence[Any] = (),
        pages: Sequence[Any] = (),
        home: Sequence[Any] = (),
        facts: Sequence[Any] = (),
        proofs: Sequence[Any] = (),
        interop: Sequence[Any] = (),
    ) -> None:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        module = str(frame.f_back.f_globals["__name__"])
        self.package = module.rpartition(".")[0]
        self.folder = Path(sys.modules[module].__file__ or "").parent
        self.manifest: Manifest = read_manifest(self.folder / "board.toml")
        self.contract: Contract | None = contract_of(contract) if contract else None
        self.service = service
        self.not_offered: tuple[str, ...] = ()
        if self.manifest.implements:
            self._implement()
        self.tables = tables or BoardTables(self.manifest.name)
        self.reactions: tuple[Reaction, ...] = tuple(map(reaction_of, reactions))
        self.sagas: tuple[Saga, ...] = tuple(sagas)
        resume = (RESUME,) if self.sagas else ()
        self.jobs: tuple[Job, ...] = (*map(job_of, jobs), *resume)
        self.pages: tuple[Page, ...] = tuple(map(page_of, pages))
        self.home: tuple[HomePart, ...] = tuple(map(home_of, home))
        self.facts: tuple[Fact, ...] = tuple(map(fact_of, facts))
        self.proofs: tuple[Proof, ...] = tuple(map(proof_of, proofs))
        self.interop: tuple[Declared, ...] = tuple(map(declared_of, interop))
        self._check()

    @property
    def name(self) -> str:
        return self.manifest.name

    @cached_property
    def migrations(self) -> tuple[Step, ...]:
        return steps_of(f"{self.package}.migrations")

    @cached_property
    def strings(self) -> dict[str, dict[str, dict[str, str]]]:
        """The message catalogues by language: ``strings["en"]["refusals"]["KitchenClosed"]``."""
        return {
            path.stem: tomllib.loads(path.read_text("utf-8"))
            for path in sorted((self.folder / "strings").glob("*.toml"))
        }

    @cached_property
    def constructor(self) -> dict[str, Any]:
        """What the service's constructor asks for, by parameter name."""
        if self.service is None:
            return {}
        # Any: looked up on the class, where ``__init__`` is this service's own.
        constructor: Any = inspect.getattr_static(self.service, "__init__")
        hints = typing.get_type_hints(constructor)
        names = list(inspect.signature(constructor).parameters)[1:]
        return {name: hints[name] for name in names}

    def needed_contracts(self) -> dict[str, Contract]:
        """Every contract any part of this board asks for, by name."""
        asked: list[Any] = list(self.constructor.values())
        for reaction in self.reactions:
            asked += reaction.needs.values()
        for job in self.jobs:
            asked += job.needs.values()
        for saga in self.sagas:
            for _, needs in saga.steps.values():
                asked += needs.values()
        for page in self.pages:
            asked += page.parameters.values()
        for part in self.home:
            asked += part.parameters.values()
        found = {contract_of(kind).name: contract_of(kind) for kind in asked if is_contract(kind)}
        found.pop(self.name, None)
        return found

    def _implement(self) -> None:
        """Answer another board's contract besides the own one, as far as the service goes."""
        wanted, own = self.manifest.implements, self.contract
        bases = own.protocol.__mro__[1:] if own is not None else ()
        base = next((contract_of(b) for b in bases if is_contract(b)), None)
        if own is None or self.service is None or base is None or base.name != wanted:
            raise BoardError(f"{self.name}: its contract must extend that of {wanted}")
        operations = {**base.of_board(self.name).operations, **own.operations}
        self.contract = msgspec.structs.replace(own, operations=operations)
        self.not_offered = tuple(
            name
            for name in self.contract.operations
            if getattr(self.service, name, None) in (None, getattr(self.contract.protocol, name))
        )
        refusing = dict.fromkeys(self.not_offered, _not_offered(self.name))
        self.service = type(self.service.__name__, (self.service,), refusing)

    def _check(self) -> None:
        if self.contract is not None and self.contract.name != self.name:
            raise BoardError(f"{self.package}: the contract says {self.contract.name!r}")
        if self.contract is not None and self.service is None:
            raise BoardError(f"{self.name}: a contract without a service")
        if self.tables.board != self.name:
            raise BoardError(f"{self.name}: its tables are prefixed {self.tables.board!r}")
        missing = set(self.needed_contracts()) - set(self.manifest.needs)
        if missing:
            raise BoardError(
                f"{self.name}: asks for {', '.join(sorted(missing))} without saying so in [needs]"
            )
        if self.contract is not None:
            of_others = f"{self.manifest.implements}."  # whose permissions stand in its manifest
            for operation in self.contract.operations.values():
                if not hasattr(self.service, operation.name):
                    raise BoardError(f"{operation.full_name} is not implemented")
                if operation.permission.startswith(of_others):
                    continue
                if operation.permission not in self.manifest.permissions:
                    raise BoardError(
                        f"{operation.full_name}: the permission {operation.permission!r} is not "
                        f"in board.toml"
                    )


def _not_offered(by: str) -> Any:
    async def refuse(self: Any, *args: Any) -> None:
        del self, args
        raise NotOffered(by=by)

    return refuse


def load_board(reference: str) -> Board:
    """Import ``package.board:board``."""
    module, _, attribute = reference.partition(":")
    found = getattr(importlib.import_module(module), attribute or "board")
    if not isinstance(found, Board):
        raise BoardError(f"{reference} is not a board")
    return found

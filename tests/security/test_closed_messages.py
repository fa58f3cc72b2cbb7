"""SEC-AUTHZ-01, SEC-AUTHZ-04: nothing is open by default; nothing is taken that is not declared."""

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, get_args

import msgspec
import pytest

from plugward.boards.lab.contract import Lab
from plugward.commons.portal.edge import decode
from plugward.kernel import Message, contract, query
from plugward.kernel.board import BoardError, load_board
from plugward.kernel.codec import pack, to_json, unpack
from plugward.kernel.contracts import ContractError, Operation, contract_of
from plugward.kernel.refusals import BadRequest
from plugward.rack.discover import discover
from tests.security.samples import Pool, request_of


def operations() -> list[Operation]:
    return [
        operation
        for board in discover().boards
        if board.contract is not None
        for operation in board.contract.operations.values()
    ]


# ── SEC-AUTHZ-01 ─────────────────────────────────────────────────────────────────────────────
def test_sec_authz_01_an_operation_without_a_permission_is_no_operation() -> None:
    with pytest.raises(ContractError, match="permission"):

        @contract("careless")
        class NoPermission(Protocol):
            @query(permission="")
            async def look(self) -> None: ...

    with pytest.raises(ContractError, match="neither @command nor @query"):

        @contract("careless")
        class NoMark(Protocol):
            async def look(self) -> None: ...


CARELESS = """
from plugward.boards.lab.contract import Lab
from plugward.boards.lab.service import LabService
from plugward.boards.lab.tables import tables
from plugward.kernel import Board

board = Board(contract=Lab, service=LabService, tables=tables)
"""


def test_sec_authz_01_a_board_whose_manifest_lacks_a_permission_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take one permission out of a real manifest: the board cannot be put together."""
    manifest = Path(contract_of(Lab).module.__file__ or "").with_name("board.toml")
    lines = manifest.read_text("utf-8").splitlines()
    package = tmp_path / "careless_lab"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "board.py").write_text(CARELESS)
    kept = [line for line in lines if not line.startswith('"lab.verify"')]
    assert len(kept) == len(lines) - 1
    kept = [line.replace('"lab.verify", ', "") for line in kept]  # nor does a role hold it
    (package / "board.toml").write_text("\n".join(kept))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BoardError, match=r"lab\.verify"):
        load_board("careless_lab.board:board")


# ── SEC-AUTHZ-04 ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.full_name)
def test_sec_authz_04_what_the_contract_does_not_know_is_refused_and_never_bound(
    operation: Operation,
) -> None:
    """At the HTTP edge an unknown field is refused, at the top and inside; on the internal wire, of
    mixed versions, it is ignored and binds nothing."""
    request = request_of(operation, Pool())
    plain = json.loads(to_json(request))
    assert decode(operation, json.dumps(plain).encode()) == request
    for path in _objects(plain):
        changed = json.loads(json.dumps(plain))
        _at(changed, path)["is_admin"] = True
        with pytest.raises(BadRequest):
            decode(operation, json.dumps(changed).encode())
    on_the_wire = msgspec.msgpack.decode(pack(request))
    on_the_wire["is_admin"] = True
    bound = unpack(msgspec.msgpack.encode(on_the_wire), operation.request)
    assert bound == request
    assert not hasattr(bound, "is_admin")


def _objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        yield path
        for key, part in value.items():
            yield from _objects(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _objects(part, (*path, index))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


# Who did it, when, at what price and in which state is ours to say and never the client's.
OURS = {
    "author", "actor", "signed_by", "signed_at", "verified_at", "issued_at", "recorded_at",
    "recorded_by", "created_by", "acknowledged_by", "withdrawn_by", "is_paid", "is_credited",
    "self_pay", "fund", "total", "balance", "receipt", "content_hash", "opened_by", "settled_at",
    "is_admin", "permissions", "roles",
}  # fmt: skip
# Operations whose caller may say so, and why.
MAY_SAY: dict[str, str] = {
    "orders.last_prescription": "a query: whose prescriptions are looked for",
    "drug_store.receive": "the goods receipt itself is what is handed in",
}


def test_sec_authz_04_no_client_says_who_did_it_or_what_it_costs() -> None:
    found = {
        f"{operation.full_name}: {name}"
        for operation in operations()
        if operation.full_name not in MAY_SAY
        for name in _field_names(operation.request)
        if name in OURS
    }
    assert found == set()


def test_sec_authz_04_the_finder_finds_what_it_is_for() -> None:
    class Inside(Message):
        is_paid: bool

    class Whole(Message):
        parts: tuple[Inside, ...]

    assert "is_paid" in set(_field_names(Whole))


def _field_names(hint: Any, seen: frozenset[Any] = frozenset()) -> Iterator[str]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in seen:
        inside = typing.get_type_hints(hint)
        for name in hint.__struct_fields__:
            yield name
            yield from _field_names(inside[name], seen | {hint})
    else:
        for part in get_args(hint):
            yield from _field_names(part, seen)

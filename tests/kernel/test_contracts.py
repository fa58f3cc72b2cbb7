"""A contract that could not keep its promises is refused when it is imported."""

from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import msgspec
import pytest

from plugward.kernel import Event, Message, Plain, command, contract, query
from plugward.kernel.contracts import ContractError, contract_of, is_contract
from plugward.kernel.message import tag_of
from plugward.kit.money import Money
from plugward.vocabulary import EncounterId, PatientId

from .hospital import MRS_CHEN, a_parcel
from .parcels.contract import Parcel, ParcelNotFound, ParcelReceived, Parcels


class Loose(msgspec.Struct):
    """Not frozen, so not a message."""

    text: str


class Outer(Message):
    inner: Loose


def declare(argument: Any = int, answer: Any = int) -> None:
    """A contract with one operation of these types."""

    async def ask(self: Any, value: Any) -> Any:
        """Ask."""

    ask.__annotations__ = {"value": argument, "return": answer}
    protocol = type("Shop", (Protocol,), {"ask": query(permission="shop.ask")(ask)})
    contract("shop")(protocol)


@pytest.mark.parametrize(
    "wrong", [list[int], dict[str, int], set[int], object, Any, Loose, Outer, tuple[Loose, ...]]
)
def test_what_is_not_deeply_frozen_is_refused_at_import(wrong: Any) -> None:
    with pytest.raises(ContractError, match=r"shop\.ask"):
        declare(argument=wrong)
    with pytest.raises(ContractError, match="its answer"):
        declare(answer=wrong)


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "right",
    [int, str, UUID, Colour, Money, Parcel, Plain, PatientId, Parcel | None, tuple[Parcel, ...]],
)
def test_messages_enums_scalars_and_tuples_are_accepted(right: Any) -> None:
    declare(argument=right, answer=right)


def test_an_operation_names_its_permission() -> None:
    with pytest.raises(ContractError, match="names no permission"):

        @contract("shop")
        class Shop(Protocol):
            @query(permission="")
            async def ask(self) -> int: ...


def test_an_operation_is_a_query_or_a_command() -> None:
    with pytest.raises(ContractError, match="neither @command nor @query"):

        @contract("shop")
        class Shop(Protocol):
            async def ask(self) -> int: ...


def test_an_operation_is_async_and_fully_typed() -> None:
    with pytest.raises(ContractError, match="async def"):

        @contract("shop")
        class Slow(Protocol):
            @query(permission="shop.ask")
            def ask(self) -> int: ...

    with pytest.raises(ContractError, match="has no type"):

        @contract("shop")
        class Vague(Protocol):
            @command(permission="shop.ask")
            async def ask(self, value) -> int: ...  # type: ignore[no-untyped-def]  # on purpose


def test_only_a_contract_is_a_contract() -> None:
    assert is_contract(Parcels)
    assert not is_contract(Parcel)

    class Child(Parcels, Protocol):
        """Inherits the methods, but is not the public face."""

    assert not is_contract(Child)
    with pytest.raises(ContractError, match="decorate it with @contract"):
        contract_of(Parcel)


def test_messages_are_frozen_and_keyword_only() -> None:
    parcel = a_parcel()
    with pytest.raises(AttributeError):
        parcel.name = "别人"  # type: ignore[misc]  # on purpose
    with pytest.raises(TypeError):
        Money(100)  # type: ignore[call-arg,misc]  # on purpose
    assert parcel.replace(name="别人") != parcel
    assert parcel.replace(name=parcel.name) == parcel


def test_a_contract_knows_its_events_refusals_and_messages() -> None:
    found = contract_of(Parcels)
    assert found.name == "parcels"
    assert ParcelReceived in found.events
    assert ParcelNotFound in found.refusals
    assert Parcel in found.messages
    assert ParcelReceived not in found.messages
    assert tag_of(ParcelReceived) == "parcels.parcel.received.v1"
    assert found.operations["receive"].is_command
    assert not found.operations["parcel"].is_command


def test_whom_a_call_concerns_is_found_from_its_types() -> None:
    """审计日志记录涉及的患者，不靠各插板自报。"""
    operations = contract_of(Parcels).operations
    parcel = a_parcel()
    receive = operations["receive"]
    assert list(receive.subjects_of_request(receive.request(parcel))) == [("patient", MRS_CHEN)]
    of = operations["parcels_of"]
    assert list(of.subjects_of_request(of.request(MRS_CHEN))) == [("patient", MRS_CHEN)]
    assert list(of.subjects_of_answer((parcel, parcel))) == [("patient", MRS_CHEN)] * 2
    assert list(operations["wait"].subjects_of_answer(1)) == []


class Visit(Message):
    encounter: EncounterId | None
    earlier: "tuple[Visit, ...]" = ()


def test_a_message_that_holds_itself_is_no_endless_search() -> None:
    @contract("shop")
    class Shop(Protocol):
        @query(permission="shop.ask")
        async def ask(self, visit: Visit) -> Visit: ...

    ask = contract_of(Shop).operations["ask"]
    nobody = Visit(encounter=None)
    assert list(ask.subjects_of_answer(nobody)) == []
    somebody = Visit(encounter=EncounterId(MRS_CHEN))
    assert list(ask.subjects_of_answer(somebody)) == [("encounter", MRS_CHEN)]


def test_an_event_says_its_name_and_its_key() -> None:
    class Rung(Event, tag="shop.bell.rung.v1", key="bell.id"):
        bell: Parcel

    parcel = a_parcel()
    assert Rung.key_of(Rung(bell=parcel)) == parcel.id
    assert tag_of(Rung) == "shop.bell.rung.v1"
    assert msgspec.json.decode(msgspec.json.encode(Rung(bell=parcel)))["type"] == tag_of(Rung)

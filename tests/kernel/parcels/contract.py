"""Parcels 收发室: what is received for a patient and handed out once."""

from enum import StrEnum
from typing import Protocol
from uuid import UUID

from plugward.kernel import (
    Conflict,
    Event,
    Identifying,
    Message,
    NotFound,
    command,
    contract,
    query,
)
from plugward.vocabulary import CampusCode, PatientId


class ParcelState(StrEnum):
    HERE = "here"  # 待领
    HANDED_OUT = "handed-out"  # 已领


class Parcel(Message):
    id: UUID
    campus: CampusCode
    addressee: PatientId
    name: Identifying
    state: ParcelState = ParcelState.HERE


class ParcelReceived(Event, tag="parcels.parcel.received.v1", key="parcel.id"):
    parcel: Parcel


class ParcelHandedOut(Event, tag="parcels.parcel.handed_out.v1", key="parcel.id"):
    parcel: Parcel


class StepTaken(Event, tag="parcels.step.taken.v1", key="way"):
    """One of many facts, for the tests of order."""

    way: UUID
    number: int


class ParcelNotFound(NotFound):
    """没有这个包裹。"""


class AlreadyHandedOut(Conflict):
    """包裹 {parcel} 的状态为 {state}，不能再次领取。"""

    parcel: UUID
    state: ParcelState


@contract("parcels")
class Parcels(Protocol):
    """Receiving and handing out."""

    @command(permission="parcels.receive")
    async def receive(self, parcel: Parcel) -> Parcel:
        """Receive a parcel."""
        ...

    @command(permission="parcels.receive")
    async def receive_slowly(self, parcel: Parcel) -> Parcel:
        """Receive a parcel once the gate is open."""
        ...

    @command(permission="parcels.hand")
    async def hand_out(self, parcel: UUID) -> Parcel:
        """Refuses with ``ParcelNotFound`` or ``AlreadyHandedOut``."""
        ...

    @command(permission="parcels.hand")
    async def lose(self, parcel: Parcel) -> None:
        """Our bug: fails after it has written."""
        ...

    @command(permission="parcels.hand")
    async def walk(self, ways: tuple[UUID, ...], steps: int) -> int:
        """Publish so many steps, one after the other over all ways."""
        ...

    @command(permission="parcels.hand")
    async def give_up(self, parcel: UUID) -> None:
        """Raises a time-out of its own, which is nobody's answer."""
        ...

    @query(permission="parcels.read")
    async def parcel(self, parcel: UUID) -> Parcel:
        """Refuses with ``ParcelNotFound``."""
        ...

    @query(permission="parcels.read")
    async def parcels_of(self, addressee: PatientId) -> tuple[Parcel, ...]:
        """A patient's parcels."""
        ...

    @query(permission="parcels.read")
    async def wait(self) -> int:
        """Answers once the gate is open."""
        ...

    @query(permission="parcels.read")
    async def count_wrongly(self) -> int:
        """Answers with a text although it promised a number."""
        ...

    @query(permission="parcels.read")
    async def peek_and_write(self, parcel: Parcel) -> Parcel:
        """A query that tries to change something."""
        ...

"""Ward: people stay, and the stay costs something."""

from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import Event, Identifying, Message, Plain, command, contract
from plugward.kit.money import Money
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode

StayId = NewType("StayId", UUID)


class Stay(Message):
    id: StayId
    campus: CampusCode
    room: Plain
    patient_name: Identifying
    began_at: Instant
    ended_at: Instant | None = None
    cost: Money = Money(fen=0)
    meals: int = 0


class StayBegun(Event, tag="ward.stay.begun.v1", key="stay.id"):
    stay: Stay


class StayEnded(Event, tag="ward.stay.ended.v1", key="stay.id"):
    stay: Stay


class RoomOpened(Event, tag="ward.room.opened.v1", key="code"):
    code: Plain
    name: Plain


@contract("ward")
class Ward(Protocol):
    @command(permission="ward.use")
    async def begin(self, stay: Stay) -> StayId:
        """Somebody comes."""
        ...

    @command(permission="ward.use")
    async def end(self, stay: Stay) -> StayId:
        """Somebody goes."""
        ...

    @command(permission="ward.use")
    async def name_room(self, code: Plain, name: Plain) -> Plain:
        """Say what a room is called from now on."""
        ...

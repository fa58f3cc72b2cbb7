"""Parcels, received and handed out; with a gate that tests keep shut for a while."""

import asyncio
from typing import Any, cast
from uuid import UUID

from plugward.kernel import Reading, Settings, Store, Work, in_work, reading
from plugward.vocabulary import PatientId

from .contract import (
    AlreadyHandedOut,
    Parcel,
    ParcelHandedOut,
    ParcelNotFound,
    ParcelReceived,
    Parcels,
    ParcelState,
    StepTaken,
)
from .tables import parcels


class ParcelService(Parcels):
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.gate = asyncio.Event()
        self.runs = 0

    @in_work
    def receive(self, work: Work, parcel: Parcel) -> Parcel:
        self.runs += 1
        work.insert(parcels, parcel)
        work.publish(ParcelReceived(parcel=parcel))
        return parcel

    async def receive_slowly(self, parcel: Parcel) -> Parcel:
        await self.gate.wait()
        return await self._receive(parcel)

    @in_work
    def _receive(self, work: Work, parcel: Parcel) -> Parcel:
        self.runs += 1
        work.insert(parcels, parcel)
        work.publish(ParcelReceived(parcel=parcel))
        return parcel

    @in_work
    def hand_out(self, work: Work, parcel: UUID) -> Parcel:
        before = work.get(parcels, Parcel, parcel, missing=ParcelNotFound)
        if before.state is ParcelState.HANDED_OUT:
            raise AlreadyHandedOut(parcel=parcel, state=before.state)
        after = before.replace(state=ParcelState.HANDED_OUT)
        work.update(parcels, before=before, after=after)
        work.publish(ParcelHandedOut(parcel=after))
        return after

    @in_work
    def lose(self, work: Work, parcel: Parcel) -> None:
        work.insert(parcels, parcel)
        raise KeyError(parcel.name)

    @in_work
    def walk(self, work: Work, ways: tuple[UUID, ...], steps: int) -> int:
        for number in range(steps):
            work.publish(StepTaken(way=ways[number % len(ways)], number=number))
        return steps

    async def give_up(self, parcel: UUID) -> None:
        raise TimeoutError(str(parcel))

    @reading
    def parcel(self, read: Reading, parcel: UUID) -> Parcel:
        return read.get(parcels, Parcel, parcel, missing=ParcelNotFound)

    @reading
    def parcels_of(self, read: Reading, addressee: PatientId) -> tuple[Parcel, ...]:
        return read.find(parcels, Parcel, limit=100, addressee=addressee)

    async def wait(self) -> int:
        await self.gate.wait()
        return 1

    async def count_wrongly(self) -> int:
        return cast("Any", "seven")

    async def peek_and_write(self, parcel: Parcel) -> Parcel:
        return await self._receive(parcel)

"""Pharmacists 药师: pick what is paid for, scan every pack, hand it out."""

from datetime import timedelta

import msgspec

from plugward.boards.pharmacy.contract import DispenseTask, NobodyWaiting, TaskState
from plugward.commons.identity.seed import demo_staff_id
from plugward.kernel.envelope import Actor
from plugward.kernel.refusals import Refusal
from plugward.kit.time import Instant

from ..cast import Member
from .hospital import Hospital
from .patient import Visits

LOOK_AGAIN_S = 40
SCAN_S = 4
OVERTIME = timedelta(hours=3)


class Pharmacist:
    """One window."""

    def __init__(
        self,
        hospital: Hospital,
        member: Member,
        window: str,
        visits: Visits,
        *,
        only_known: bool = False,
    ) -> None:
        """``only_known``: leave the patients of others (the demo's visitor) to them."""
        self._hospital = hospital
        self._member = member
        self._window = window
        self._visits = visits
        self._only_known = only_known
        self._actor: Actor = hospital.cast.actor(member)

    async def work(self, begins: Instant, ends: Instant) -> None:
        """Serve the window until the day is over."""
        hospital, world = self._hospital, self._hospital.world
        await world.until(begins)
        while world.now() < ends + OVERTIME and not hospital.doors_close:
            if not self._visits.drugs_due(self._member.campus):
                await world.sleep(LOOK_AGAIN_S)
                continue
            try:
                task = await self._next()
            except NobodyWaiting:
                await world.sleep(LOOK_AGAIN_S)
                continue
            await self._serve(task)

    async def _picked_by_another(self, task: DispenseTask) -> None:
        """Controlled drugs pass through two persons' hands (四查十对)."""
        colleague = demo_staff_id(f"second pharmacist {self._member.campus}")
        other = self._hospital.cast.actor(msgspec.structs.replace(self._member, id=colleague))
        if task.picked_by:
            return
        pharmacy = self._hospital.pharmacy
        with self._hospital.step("lay aside for a second person", self._actor):
            await pharmacy.suspend(task.id, "须双人核对")
        with self._hospital.step("pick by a second person", other):
            await pharmacy.pick(task.id)
        with self._hospital.step("call to the window", self._actor):
            await pharmacy.call(task.id, self._window)

    async def _next(self) -> DispenseTask:
        hospital = self._hospital
        if self._only_known:
            return await self._next_known()
        with hospital.cast.acting(self._actor):
            called = await hospital.pharmacy.call_next(self._member.campus, self._window)
        hospital.journal.did("call to the window")
        return called

    async def _next_known(self) -> DispenseTask:
        hospital, ready = self._hospital, (TaskState.TO_PICK, TaskState.PICKED)
        with hospital.cast.acting(self._actor):
            waiting = await hospital.pharmacy.queue(self._member.campus, ready)
        for task in waiting:
            if self._visits.of(task.encounter) is not None:
                with hospital.step("call to the window", self._actor):
                    return await hospital.pharmacy.call(task.id, self._window)
        raise NobodyWaiting

    async def _serve(self, task: DispenseTask) -> None:
        hospital = self._hospital
        with hospital.cast.acting(self._actor):
            sheet = await hospital.pharmacy.task(task.id)
        if any(line.is_controlled for line in sheet.lines):
            await self._picked_by_another(task)
        await hospital.world.sleep(SCAN_S * sum(line.open - line.scanned for line in sheet.lines))
        for line in sheet.lines:
            for _ in range(line.open - line.scanned):
                with hospital.step("scan pack", self._actor):
                    await hospital.pharmacy.scan(task.id, line.item)
        try:
            with hospital.step("dispense", self._actor):
                done = await hospital.pharmacy.dispense(task.id)
        except Refusal:
            return  # counted; it stays on the pharmacy's list
        hospital.journal.waited(
            "paid → drugs", (hospital.world.now() - done.paid_at).total_seconds()
        )
        self._visits.has_drugs(task.encounter)

"""The slow day 慢速的一天: in the demo, patients keep coming while the visitor works.

It leaves to the visitor what is the visitor's: Dr Lin's queue, and the drugs of Dr Lin's patients.
"""

import asyncio
import logging
from datetime import timedelta

from plugward.kernel.clock import SystemClock
from plugward.kernel.refusals import Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.time import milliseconds

from ..cast import Member
from ..people import make_person
from .doctor import Doctor
from .hospital import Hospital
from .laboratory import Laboratory
from .menu import read_menu
from .patient import PatientPath, Visit, Visits
from .pharmacist import Pharmacist
from .world import World

_log = logging.getLogger("plugward.demo")
VISITORS_DOCTOR = "林予安"
EVERY_S = (25, 95)
LONG = timedelta(days=30)


class SlowDay:
    """Patients at random intervals; doctors, windows and the laboratory serve them."""

    def __init__(self, runtime: Runtime, staff: tuple[Member, ...], speed: float) -> None:
        clock = runtime.clock
        assert isinstance(clock, SystemClock)
        self._speed = max(speed, 0.01)
        self._world = World(runtime, clock, seed=milliseconds(clock.now()))
        self._hospital = Hospital(self._world, staff)
        self._visits = Visits()

    async def run(self) -> None:
        """Until cancelled. A refusal ends one patient's visit, never the day."""
        try:
            await self._staff_begin()
            await self._patients_come()
        except (Refusal, Unavailable) as problem:
            _log.warning("the demo's day has ended: %s", problem)
        finally:
            await self._world.close()

    async def _staff_begin(self) -> None:
        hospital, world = self._hospital, self._world
        menu = await read_menu(hospital, "C1")
        now = world.now()
        for member in hospital.on_duty_everywhere("doctor"):
            if member.name != VISITORS_DOCTOR:
                world.begin(Doctor(hospital, member, menu, self._visits).work(now, now + LONG))
        for number, member in enumerate(hospital.on_duty_everywhere("pharmacist"), start=2):
            window = Pharmacist(hospital, member, f"{number}号窗", self._visits, only_known=True)
            world.begin(window.work(now, now + LONG))
        for member in hospital.on_duty_everywhere("lab-technician"):
            world.begin(Laboratory(hospital, member, self._visits).work(now, now + LONG))

    async def _patients_come(self) -> None:
        hospital, world, number = self._hospital, self._world, 0
        places = [
            (m.campus, m.department)
            for m in hospital.on_duty_everywhere("doctor")
            if m.campus in {"C1", "C2"}
        ]
        while True:
            await asyncio.sleep(world.chance.uniform(*EVERY_S) / self._speed)
            number += 1
            campus, department = world.chance.choice(places)
            if not hospital.on_duty("registrar", campus):
                campus, department = places[0]
            person = make_person(
                world.chance, 5_000 + number, hospital.today, milliseconds(world.now())
            )
            visit = Visit(person, campus, department)
            world.begin(PatientPath(hospital, visit, self._visits).live(world.now()))

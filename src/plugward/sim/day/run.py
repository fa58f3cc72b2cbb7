"""A whole day: prepare, let everybody live, settle, report."""

import time
from collections.abc import Callable
from datetime import timedelta

from plugward.boards.registration.contract import Registrations
from plugward.commons.hub.outside import HubOutside
from plugward.commons.masterdata.contract import Domain
from plugward.commons.masterdata.seed import drafts
from plugward.kernel.audit import AuditReport, audit_runtime
from plugward.kernel.clock import ManualClock, SystemClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.runtime import Runtime
from plugward.kit.time import Instant, hospital_date, hospital_midnight, milliseconds

from ..cast import Cast, Ids, Member
from ..clinics import PERIODS, sessions_of
from ..foundation import lay_foundation, planner
from ..outside.demo import connect_registration
from ..outside.payment import Faults, PaymentChannel
from ..people import make_person
from ..staff import day_staff
from .doctor import Doctor
from .hospital import Hospital
from .laboratory import Laboratory
from .menu import read_menu
from .patient import PatientPath, Visit, Visits
from .pharmacist import Pharmacist
from .report import DayReport, report_of
from .world import World

OPENS = timedelta(hours=8)
MORNING_ENDS = timedelta(hours=12)
AFTERNOON_ENDS = timedelta(hours=17, minutes=30)
LAST = timedelta(hours=21)
PER_SLOT = 6
FAULTS = Faults(lost_after=0.01, lost_before=0.005, declined=0.01)
# Share of arrivals in each half hour from 07:30 on: two peaks, as outpatient halls have them.
ARRIVALS = (6, 11, 12, 11, 9, 7, 5, 3, 1, 1, 2, 4, 6, 7, 6, 4, 3, 1)
Tell = Callable[[int], None]


def connect_payment_channel(runtime: Runtime, seed: int, faults: Faults) -> PaymentChannel:
    """Stand the simulated channel where the hub's outside calls go, with or without the hub."""
    outside = runtime.outside
    if not isinstance(outside, HubOutside):
        runtime.outside = outside = HubOutside(runtime.meters)
    channel = PaymentChannel(seed=seed, faults=faults)
    outside.connect("payment-channel", channel)
    return channel


class Day:
    """One simulated day on a running hospital."""

    def __init__(
        self, runtime: Runtime, clock: ManualClock | SystemClock, *, visits: int, seed: int
    ) -> None:
        self._runtime = runtime
        self._visits_wanted = visits
        self.world = World(runtime, clock, seed)
        self.channel = connect_payment_channel(runtime, seed, FAULTS)
        self.hospital = Hospital(self.world, day_staff(visits))
        self.visits = Visits()

    async def run(self, tell: Tell = lambda _: None) -> tuple[DayReport, AuditReport]:
        """Everything from the first light to the audit."""
        started = time.perf_counter()
        midnight = hospital_midnight(self.hospital.today)
        await self.prepare()
        self.hospital.old_system = await connect_registration(self._runtime)
        people = self._people_come(midnight)
        await self._staff_begin(midnight)
        self.world.begin(self._count(people, tell))
        await self.world.run_to(midnight + LAST)
        await self._runtime.quiet(patience_s=120)
        if self.hospital.old_system is not None:
            await self.hospital.old_system.close()
        tell(self._visits_wanted)
        if self.world.problems:
            raise self.world.problems[0]
        seconds = time.perf_counter() - started
        report = report_of(self.hospital, self.visits, seconds, await self._runtime.parked())
        return report, await audit_runtime(self._runtime)

    async def prepare(self) -> None:
        """Catalogues, stock and today's clinics."""
        hospital = self.hospital
        cast: Cast = hospital.cast
        await lay_foundation(self._runtime, cast, hospital.ids, packs=self._visits_wanted * 40)
        await publish_clinics(
            self._runtime, cast, hospital.ids, hospital.on_duty_everywhere("doctor")
        )
        await self._runtime.quiet(patience_s=120)

    async def _staff_begin(self, midnight: Instant) -> None:
        hospital, world = self.hospital, self.world
        doctors = hospital.on_duty_everywhere("doctor")
        menu = await read_menu(hospital, doctors[0].campus)
        for member in doctors:
            world.begin(
                Doctor(hospital, member, menu, self.visits).work(
                    midnight + OPENS, midnight + AFTERNOON_ENDS
                )
            )
        for number, member in enumerate(hospital.on_duty_everywhere("pharmacist"), start=1):
            window = Pharmacist(hospital, member, f"{number}号窗", self.visits)
            world.begin(window.work(midnight + OPENS, midnight + AFTERNOON_ENDS))
        for member in hospital.on_duty_everywhere("lab-technician"):
            bench = Laboratory(hospital, member, self.visits)
            world.begin(bench.work(midnight + OPENS, midnight + AFTERNOON_ENDS))

    def _people_come(self, midnight: Instant) -> list[Visit]:
        """Draw today's patients and let each begin the day at their own time."""
        chance, doctors = self.world.chance, self.hospital.on_duty_everywhere("doctor")
        people = []
        for number in range(self._visits_wanted):
            doctor: Member = chance.choice(doctors)
            person = make_person(
                chance, number, self.hospital.today, milliseconds(self.world.now())
            )
            visit = Visit(person, doctor.campus, doctor.department)
            half_hour = chance.choices(range(len(ARRIVALS)), ARRIVALS)[0]
            arrives = midnight + timedelta(
                minutes=7 * 60 + 30 + half_hour * 30, seconds=chance.uniform(0, 1_800)
            )
            self.world.begin(PatientPath(self.hospital, visit, self.visits).live(arrives))
            people.append(visit)
        return people

    async def _count(self, people: list[Visit], tell: Tell) -> None:
        """Progress: how many have gone home."""
        while any(not visit.is_finished for visit in people):
            tell(sum(visit.is_finished for visit in people))
            await self.world.sleep(300)
        self.hospital.doors_close = True


async def publish_clinics(
    runtime: Runtime, cast: Cast, ids: Ids, doctors: tuple[Member, ...]
) -> None:
    """Today's sessions of these doctors. Published again they are the same."""
    registration = runtime.client(Registrations)
    actor = planner(cast)
    names = {d.code: d.name_zh for d in drafts(Domain.DEPARTMENT)}
    day = hospital_date(runtime.clock.now())
    for session in sessions_of(doctors, day, names, per_slot=PER_SLOT, periods=PERIODS):
        with acting_as(actor, campus=session.campus, request=ids.new()):
            await registration.publish_session(session)

"""The simulated hospital: clients of the real contracts, the staff on duty, and today's clinics."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from plugward.boards.billing.contract import Billing
from plugward.boards.calling.contract import Calling
from plugward.boards.drug_store.contract import DrugStore
from plugward.boards.encounters.contract import Encounters
from plugward.boards.lab.contract import Lab
from plugward.boards.orders.contract import Orders
from plugward.boards.patients.contract import Patients
from plugward.boards.pharmacy.contract import Pharmacy
from plugward.boards.records.contract import Records
from plugward.boards.registration.contract import Registrations
from plugward.kernel.envelope import Actor
from plugward.kernel.refusals import Refusal, Unavailable
from plugward.kit.time import hospital_date

from ..cast import Cast, Ids, Member
from ..outside.registration import RegistrationSystem
from .journal import Journal
from .world import World


class Hospital:
    """Everything an actor of the day can reach."""

    def __init__(self, world: World, staff: tuple[Member, ...]) -> None:
        runtime = world.runtime
        self.world = world
        self.staff = staff
        self.journal = Journal()
        self.ids = Ids(world.clock, world.chance)
        self.cast = Cast(runtime, self.ids)
        self.patients = runtime.client(Patients)
        self.registration = runtime.client(Registrations)
        self.calling = runtime.client(Calling)
        self.encounters = runtime.client(Encounters)
        self.records = runtime.client(Records)
        self.orders = runtime.client(Orders)
        self.billing = runtime.client(Billing)
        self.pharmacy = runtime.client(Pharmacy)
        self.drug_store = runtime.client(DrugStore)
        self.lab = runtime.client(Lab)
        self.doors_close = False
        self.old_system: RegistrationSystem | None = None
        """The main campus's old registration system, where the hub is plugged in."""

    @property
    def today(self) -> date:
        return hospital_date(self.world.now())

    def on_duty(self, role: str, campus: str) -> tuple[Member, ...]:
        return tuple(m for m in self.staff if m.role == role and m.campus == campus)

    def on_duty_everywhere(self, role: str) -> tuple[Member, ...]:
        return tuple(m for m in self.staff if m.role == role)

    def actor(self, role: str, campus: str) -> Actor:
        """One of the staff of a role at a campus, drawn by chance."""
        return self.cast.actor(self.world.chance.choice(self.on_duty(role, campus)))

    @contextmanager
    def step(self, what: str, actor: Actor) -> Iterator[None]:
        """One request of one actor; counted when it went well, refusals are counted and raised."""
        try:
            with self.cast.acting(actor) as request:
                yield
        except Refusal as refusal:
            self.journal.refused(f"{what}: {refusal.code}")
            raise
        except Unavailable as away:
            self.journal.unavailable(away.board)
            raise
        self.journal.acknowledged(request)
        self.journal.did(what)

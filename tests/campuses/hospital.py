"""A hospital whose campus C2 has another vendor's laboratory system, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

from plugward.boards.encounters.contract import EncounterKind, Encounters, OpenEncounter
from plugward.boards.lab.contract import Lab, ReportLine
from plugward.boards.orders.contract import NewLine, Orders, SignGroup
from plugward.boards.patients.contract import ID_CARD, Patient, Patients, RegisterPatient
from plugward.commons.hub.contract import Hub, System, SystemStatus
from plugward.commons.masterdata.contract import Domain, MasterData
from plugward.commons.masterdata.seed import drafts
from plugward.kernel.binding import Bindings
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id
from plugward.sim.foundation import planner
from plugward.sim.people import id_card
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    Identifier,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
    Sex,
)
from plugward_lab_hl7.board import board as lab_hl7
from vendor_lis import VendorLis

from ..journeys.house import HBA1C, LEFT_OUT, URINE_ACR, House

C1, C2 = CampusCode("C1"), CampusCode("C2")
BOARDS = ("hub", "masterdata", "patients", "encounters", "orders", "lab", "lab_hl7")
BORN = date(1959, 3, 2)
DOCTOR = a_tester(campuses=("C1", "C2"), id="doctor")
ENGINEER = Actor(
    id="staff:engineer",
    kind=ActorKind.PERSON,
    permissions=frozenset({"hub.configure", "hub.watch"}),
    campuses=("*",),
)


class Hospital:
    """Two campuses, one patient index; the vendor's system stands beside."""

    def __init__(self, house: House, lis: VendorLis) -> None:
        self.house = house
        self.lis = lis
        self.lab = house.client(Lab)

    @property
    def hub_port(self) -> int:
        return int(self.house.runtime.plugged["hub"].service.port)

    async def register(self, campus: str, number: int = 7, name: str = "陈玕") -> Patient:
        with acting_as(DOCTOR, campus=campus):
            registered = await self.house.client(Patients).register(
                RegisterPatient(
                    id=PatientId(new_id()),
                    campus=CampusCode(campus),
                    name=name,
                    sex=Sex.FEMALE,
                    birth_date=BORN,
                    identifiers=(
                        Identifier(system=ID_CARD, value=id_card(BORN, Sex.FEMALE, number)),
                    ),
                )
            )
        return registered.patient

    async def order(self, patient: Patient, campus: str, *items: str) -> tuple[OrderLineId, ...]:
        """A doctor of that campus sees the patient and signs urgent tests."""
        encounter = EncounterId(new_id())
        department = DepartmentCode(f"{campus}-CARD")
        lines = tuple(
            NewLine(id=OrderLineId(new_id()), kind=OrderKind.LAB, item=item, is_urgent=True)
            for item in items
        )
        with acting_as(DOCTOR, campus=campus):
            await self.house.client(Encounters).open(
                OpenEncounter(
                    id=encounter,
                    patient=patient.id,
                    patient_name=patient.name,
                    campus=CampusCode(campus),
                    department=department,
                    kind=EncounterKind.OUTPATIENT,
                )
            )
        await self.house.quiet()
        with acting_as(DOCTOR, campus=campus):
            await self.house.client(Orders).sign(
                SignGroup(
                    id=OrderGroupId(new_id()),
                    encounter=encounter,
                    patient=patient.id,
                    campus=CampusCode(campus),
                    department=department,
                    lines=lines,
                    indication="2型糖尿病",
                )
            )
        await self.house.quiet()
        return tuple(line.id for line in lines)

    async def at_the_vendor(self, orders: int) -> list[str]:
        """Wait until so many requests stand in the vendor's books; their numbers, in order."""
        await eventually(lambda: len(self.lis.orders) >= orders)
        return list(self.lis.orders)

    async def send(self, text: str) -> str:
        answer = await self.lis.send(self.hub_port, text)
        await self.house.quiet()
        return answer

    async def reports(self, patient: Patient) -> tuple[ReportLine, ...]:
        with acting_as(DOCTOR, campus="C1"):
            person = await self.house.client(Patients).person_of(patient.id)
            return await self.lab.reports_of(person)

    async def status(self) -> SystemStatus:
        with acting_as(ENGINEER):
            [found] = await self.house.client(Hub).systems()
        return found


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a stranger's books have no event of ours
            await asyncio.sleep(0.01)


async def two_tests(house: House) -> None:
    """The catalogue, as far as these stories need it."""
    masterdata = house.client(MasterData)
    for domain in (Domain.LAB_ITEM, Domain.LAB_PANEL):
        entries = tuple(d for d in drafts(domain) if d.code in (HBA1C, URINE_ACR))
        if entries:
            with acting_as(planner(house.cast)):
                preview = await masterdata.preview(domain, entries)
                await masterdata.publish(domain, entries, "two tests", preview.digest)
    await house.quiet()


@asynccontextmanager
async def hospital(folder: Path) -> AsyncIterator[Hospital]:
    lis = VendorLis()
    port = await lis.start()
    house = House(
        folder,
        Transport.STRICT,
        left_out=LEFT_OUT - {"hub"},
        settings={"hub": {"mllp_port": 0, "data_folder": str(folder)}},
        more=[lab_hl7],
        bindings=Bindings.of({"C2": {"lab": "lab_hl7"}}),
    )
    house.boards = {name: house.boards[name] for name in BOARDS}
    await house.runtime.start(house.boards.values())
    try:
        await two_tests(house)
        with acting_as(ENGINEER):
            await house.client(Hub).configure(
                System(
                    code="LIS-C2",
                    name="他厂检验系统（模拟）",
                    campus=C2,
                    application="VLIS",
                    facility="C2LAB",
                    may_send=("ORU^R01",),
                    takes=("lab_hl7.order",),
                    host="127.0.0.1",
                    port=port,
                    charset="GB 18030-2000",
                )
            )
        yield Hospital(house, lis)
    finally:
        await house.close()
        await lis.stop()

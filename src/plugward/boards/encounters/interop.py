"""ADT 就诊消息 from outside registration systems, and what a shared document says of a visit."""

from uuid import UUID

from plugward.boards.patients.contract import Patients, local_system
from plugward.kernel.documents import Visit, about_visit
from plugward.kernel.interop import Received, Rejected, Why, inbound
from plugward.kit.ids import derive
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId

from .contract import EncounterKind, Encounters, OpenEncounter

KINDS = {"O": EncounterKind.OUTPATIENT, "E": EncounterKind.EMERGENCY}
"""HL7 table 0004. Inpatients (I) are not opened here."""

_VISITS = UUID("01890000-0000-7000-8000-000000000001")
"""The root of ids for visit numbers of outside systems: one number, one encounter, for ever."""


@inbound("ADT^A04", permissions={"patients.read", "encounters.read", "encounters.open"})
async def open_visit(message: Received, encounters: Encounters, patients: Patients) -> None:
    """外部系统已挂号的患者到院：打开一次就诊；同一就诊号只打开一次。"""
    encounter = visit(message.campus, message.need("PV1-19", "缺少就诊号"))
    if await encounters.many((encounter,)):
        return
    number = message.need("PID-3.1", "缺少患者号")
    patient = await patients.identify(local_system(message.campus), number)
    if patient is None:
        raise Rejected("PID-3", Why.UNKNOWN_KEY, "没有该号码的患者")
    department = message.text("PV1-3.1") or message.need("PV1-10", "缺少科室")
    await encounters.open(
        OpenEncounter(
            id=encounter,
            patient=patient.id,
            patient_name=patient.name,
            campus=CampusCode(message.campus),
            department=DepartmentCode(department),
            kind=message.choice("PV1-2", KINDS),
            doctor_name=message.text("PV1-7.2"),
        )
    )


@inbound("ADT^A08", permissions={"encounters.read"})
async def visit_is_known(message: Received, encounters: Encounters) -> None:
    """更新就诊：就诊号须已知，否则请发送方先发 A04。"""
    number = message.text("PV1-19")
    if number and not await encounters.many((visit(message.campus, number),)):
        raise Rejected("PV1-19", Why.UNKNOWN_KEY, "没有该就诊号")


def visit(campus: str, number: str) -> EncounterId:
    """The encounter of an outside system's visit number at a campus."""
    return EncounterId(derive(_VISITS, campus, number))


@about_visit
async def visit_of_document(encounter: UUID, encounters: Encounters) -> Visit:
    """共享文档所属的就诊。"""
    found = await encounters.get(EncounterId(encounter))
    return Visit(
        number=found.id.hex,
        began_at=found.started_at or found.arrived_at,
        doctor=found.doctor_name,
    )

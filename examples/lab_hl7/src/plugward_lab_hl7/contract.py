"""Laboratory by HL7 外部检验系统: the laboratory's contract, answered by another vendor's system.

What the other system does itself (drawing, the bench, verifying) is not offered here; whoever asks
for it is told to do it there. Its requests carry a short number of ours, because its field for it
holds twelve characters; its results come back under that number.
"""

from enum import StrEnum
from typing import Protocol

from plugward.boards.lab.contract import Lab, LabRequest, Report, Result
from plugward.kernel import (
    Clinical,
    Conflict,
    Event,
    Identifying,
    Message,
    NotFound,
    Plain,
    command,
    contract,
)
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, PatientId, ReportId


class Progress(StrEnum):
    """How far the other system is with a request (HL7 table 0123, as it uses it)."""

    WORKING = "working"  # 标本已接收或结果未审
    FINAL = "final"  # 已审核
    CORRECTED = "corrected"  # 更正
    WRONG = "wrong"  # 作废


class Placed(LabRequest, kw_only=True):
    """A request as it goes to the other system: under our short number, by its own code."""

    placer: Plain
    code: Plain  # empty: no code is known, nothing is sent
    is_sent: bool = False


class OutsideReport(Message):
    """What the other system says about one request. ``id`` follows from its message."""

    id: ReportId
    placer: Plain
    number: Plain  # its report number
    barcode: Plain
    foreign_patient: Identifying  # its own number of the patient
    our_patient: Identifying  # the number we sent, as it gives it back
    progress: Progress
    results: tuple[Result, ...]
    verified_by: Plain
    measured_at: Instant | None
    source: Plain


class TestsPlaced(Event, tag="lab_hl7.tests.placed.v1", key="patient"):
    """Requests of one group may start: they go to the other system."""

    __test__ = False  # not a test of ours, whatever its name

    patient: PatientId
    campus: CampusCode
    requests: tuple[Placed, ...]


class TestCancelled(Event, tag="lab_hl7.test.cancelled.v1", key="request.patient"):
    """A request that was sent shall not be carried out."""

    __test__ = False  # not a test of ours, whatever its name

    request: Placed
    reason: Clinical = ""


class PlacerUnknown(NotFound):
    """没有该申请号。"""


class WrongPatient(Conflict):
    """结果的患者与申请的患者不一致，已拒收，请核对标本。"""

    placer: Plain


@contract("lab_hl7")
class LabHl7(Lab, Protocol):
    """The laboratory of a campus whose system is another vendor's."""

    @command(permission="lab_hl7.results")
    async def take(self, told: OutsideReport) -> Report | None:
        """A report, a correction, a void one, or word that the work has begun. Refuses with
        ``PlacerUnknown`` or ``WrongPatient``."""
        ...

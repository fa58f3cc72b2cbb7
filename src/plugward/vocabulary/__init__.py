"""Vocabulary 共用词汇: the hospital words that boards share. Types only, no behaviour."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NewType
from uuid import UUID

from plugward.kit.message import Masked, Message, Plain
from plugward.kit.time import Instant

PatientId = NewType("PatientId", UUID)
EncounterId = NewType("EncounterId", UUID)
AppointmentId = NewType("AppointmentId", UUID)
SlotId = NewType("SlotId", UUID)
TicketId = NewType("TicketId", UUID)
NoteId = NewType("NoteId", UUID)
OrderGroupId = NewType("OrderGroupId", UUID)
OrderLineId = NewType("OrderLineId", UUID)
ChargeId = NewType("ChargeId", UUID)
BillId = NewType("BillId", UUID)
PrescriptionId = NewType("PrescriptionId", UUID)
SpecimenId = NewType("SpecimenId", UUID)
ReportId = NewType("ReportId", UUID)
StaffId = NewType("StaffId", UUID)
WardId = NewType("WardId", UUID)

CampusCode = NewType("CampusCode", str)
"""院区 code from master data, such as ``C1``."""
DepartmentCode = NewType("DepartmentCode", str)
"""科室 code from master data, such as ``C1-CARD``."""


class Code(Message):
    """A concept of a code system. Its display text is looked up, never carried."""

    system: Plain
    code: Plain


class Identifier(Message):
    """A number that people read (门诊号, 医保号 …), issued by the owner of its system."""

    system: Plain
    value: Masked


class Sex(StrEnum):
    """性别, FHIR administrative-gender."""

    MALE = "male"  # 男
    FEMALE = "female"  # 女
    OTHER = "other"  # 其他
    UNKNOWN = "unknown"  # 未知


class OrderKind(StrEnum):
    """What an order line asks for 医嘱类别."""

    DRUG = "drug"  # 药品
    LAB = "lab"  # 检验
    EXAM = "exam"  # 检查
    TREATMENT = "treatment"  # 治疗


class InsuranceClass(StrEnum):
    """医保类别: how far the basic medical insurance carries an item."""

    A = "甲"  # 全部纳入
    B = "乙"  # 个人先行自付一部分
    C = "丙"  # 自费


class ChargeRequest(Message):
    """ "Please price this fact" 计费请求: what happened or was ordered, never what it costs.

    ``line`` names the order line (or appointment) it comes from; the charge's id follows from it.
    Without a line the id follows from the event that carried the request.
    """

    encounter: EncounterId
    item: Plain
    quantity: int | Decimal
    performed_at: Instant
    line: UUID | None = None


class DayOf(Message):
    """A hospital day at one campus: the key of daily closings and lists."""

    campus: CampusCode
    day: date

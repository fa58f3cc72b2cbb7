"""Other boards' facts about a visit, as billing hears them."""

from datetime import UTC, date, datetime
from uuid import UUID

from plugward.boards.encounters.contract import Encounter, EncounterKind, EncounterState
from plugward.boards.lab.contract import Specimen, SpecimenCollected, SpecimenState
from plugward.boards.orders.contract import (
    GroupSigned,
    LineWithdrawn,
    OrderGroup,
    OrderLine,
    WithdrawReason,
)
from plugward.kit.ids import new_id
from plugward.vocabulary import (
    ChargeRequest,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
    SpecimenId,
)

from .desk import C1

SIGNED_AT = datetime(2026, 3, 2, 2, 26, tzinfo=UTC)


def a_visit(
    encounter: EncounterId, name: str, state: EncounterState = EncounterState.PLANNED
) -> Encounter:
    return Encounter(
        id=encounter,
        patient=PatientId(new_id()),
        patient_name=name,
        campus=C1,
        department=DepartmentCode("C1-CARD"),
        kind=EncounterKind.OUTPATIENT,
        day=date(2026, 3, 2),
        state=state,
        doctor_name="林予安",
    )


def a_signed_group(encounter: EncounterId, **lines: UUID) -> GroupSigned:
    """A doctor signed one line an item."""
    group, patient = OrderGroupId(new_id()), PatientId(new_id())
    signed = tuple(
        OrderLine(
            id=OrderLineId(line),
            kind=OrderKind.EXAM,
            item=item,
            group=group,
            encounter=encounter,
            patient=patient,
            campus=C1,
            name_zh=item,
            name_en=item,
            spec="",
            unit="次",
        )
        for item, line in lines.items()
    )
    return GroupSigned(
        group=OrderGroup(
            id=group,
            encounter=encounter,
            patient=patient,
            campus=C1,
            department=DepartmentCode("C1-CARD"),
            author="staff:lin",
            signed_at=SIGNED_AT,
            indication="",
            lines=signed,
        ),
        charges=tuple(
            ChargeRequest(
                encounter=encounter,
                item=line.item,
                quantity=1,
                performed_at=SIGNED_AT,
                line=line.id,
            )
            for line in signed
        ),
    )


def a_collected_specimen(encounter: EncounterId, line: OrderLineId) -> SpecimenCollected:
    return SpecimenCollected(
        specimen=Specimen(
            id=SpecimenId(new_id()),
            barcode="L0000001",
            encounter=encounter,
            patient=PatientId(new_id()),
            campus=C1,
            department=DepartmentCode("C1-CARD"),
            author="staff:lin",
            requests=(line,),
            title_zh="钾",
            title_en="Potassium",
            container="黄管",
            is_urgent=False,
            state=SpecimenState.COLLECTED,
            collected_by="staff:he",
            collected_at=SIGNED_AT,
        )
    )


def withdrawn(group: GroupSigned, item: str) -> LineWithdrawn:
    line = next(line for line in group.group.lines if line.item == item)
    return LineWithdrawn(
        line=line,
        reason=WithdrawReason.ENTERED_BY_MISTAKE,
        withdrawn_by="staff:lin",
        withdrawn_at=SIGNED_AT,
    )

"""What the laboratory does when something happens elsewhere, and what it does by the clock."""

from plugward.boards.billing.contract import BillSettled, RefundMade
from plugward.boards.encounters.contract import EncounterArrived, EncounterKind, EncounterStarted
from plugward.boards.orders.contract import GroupSigned, LineWithdrawn
from plugward.boards.patients.contract import Patient, PatientRegistered, PatientUpdated
from plugward.commons.masterdata.contract import EntryPublished
from plugward.kernel import Here, every, on
from plugward.vocabulary import OrderLineId

from .contract import Subject
from .rules import panel_of, requests_of, test_of
from .service import LabService


@on(GroupSigned)
async def take_over_the_requests(event: GroupSigned, lab: LabService, here: Here) -> None:
    """医嘱签名，其中的检验项目成为检验申请；由其他系统检验的院区不在此列。"""
    new = requests_of(event.group)
    if new and event.group.campus in here:
        await lab.add_requests(new)


@on(LineWithdrawn)
async def cancel_a_withdrawn_request(event: LineWithdrawn, lab: LabService) -> None:
    """医嘱撤回，尚未采样的申请取消。"""
    await lab.cancel_request(event.line.id)


@on(BillSettled)
async def let_paid_requests_start(event: BillSettled, lab: LabService) -> None:
    """缴费成功，检验可以开始。"""
    lines = tuple(OrderLineId(line.line) for line in event.lines if line.line is not None)
    if lines:
        await lab.set_paid(lines, True)


@on(RefundMade)
async def stop_refunded_requests(event: RefundMade, lab: LabService) -> None:
    """退费完成，尚未采样的申请回到未缴费。"""
    lines = tuple(OrderLineId(line.line) for line in event.refund.lines if line.line is not None)
    if lines:
        await lab.set_paid(lines, False)


@on(EncounterArrived)
async def credit_an_arriving_emergency(event: EncounterArrived, lab: LabService) -> None:
    """急诊患者先检后付。"""
    if event.encounter.kind is EncounterKind.EMERGENCY:
        await lab.credit_emergency(event.encounter.id, event.encounter.campus)


@on(EncounterStarted)
async def credit_a_started_emergency(event: EncounterStarted, lab: LabService) -> None:
    """未经签到直接接诊的急诊患者，同样先检后付。"""
    if event.encounter.kind is EncounterKind.EMERGENCY:
        await lab.credit_emergency(event.encounter.id, event.encounter.campus)


@on(EntryPublished)
async def learn_the_catalogue(event: EntryPublished, lab: LabService) -> None:
    """主数据发布检验项目或组合的新版本，保存副本。"""
    test, panel = test_of(event.entry), panel_of(event.entry)
    if test is not None:
        await lab.learn_test(test)
    if panel is not None:
        await lab.learn_panel(panel)


@on(PatientRegistered)
async def know_a_new_patient(event: PatientRegistered, lab: LabService) -> None:
    """新建档患者的姓名、性别，用于标签与参考范围。"""
    await lab.know_subject(_subject(event.patient))


@on(PatientUpdated)
async def know_a_changed_patient(event: PatientUpdated, lab: LabService) -> None:
    """患者信息更正。"""
    await lab.know_subject(_subject(event.patient))


def _subject(patient: Patient) -> Subject:
    return Subject(id=patient.id, name=patient.name, sex=patient.sex, birth_date=patient.birth_date)


@every(15)
async def escalate_what_nobody_acknowledged(lab: LabService) -> None:
    """危急值到时无人确认，升级通知。"""
    if await lab.has_overdue():
        await lab.escalate_overdue()

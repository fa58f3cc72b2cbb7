"""What this board does: the part of the laboratory's contract that is ours at such a campus."""

from datetime import timedelta
from typing import Any

from plugward.boards.lab.contract import (
    Counts,
    CriticalAcknowledged,
    CriticalEscalated,
    CriticalId,
    CriticalNotFound,
    CriticalState,
    CriticalValue,
    LabRequest,
    NotCritical,
    Report,
    ReportLine,
    ReportNotFound,
    RequestState,
    Subject,
    Withdrawal,
)
from plugward.boards.patients.contract import Patients
from plugward.kernel import ActorKind, Reading, Settings, Store, Work, in_work, reading
from plugward.kernel.envelope import Call, calling, current_call
from plugward.vocabulary import CampusCode, EncounterId, OrderLineId, PatientId, ReportId

from ..contract import LabHl7, OutsideReport, Placed, PlacerUnknown
from ..tables import Reader, criticals, readers, reports, requests
from . import reporting, requesting
from .reporting import OPEN

LIST_MAX = 200
REPORTS_MAX = 100


class LabHl7Service(LabHl7):
    def __init__(self, store: Store, settings: Settings, patients: Patients) -> None:
        self.store = store
        self._settings = settings
        self._patients = patients

    # ── from other boards ───────────────────────────────────────────────────────────────────
    @in_work
    def add_requests(self, work: Work, new: tuple[LabRequest, ...]) -> None:
        requesting.take_over(work, new, self._settings)

    @in_work
    def cancel_request(self, work: Work, line: OrderLineId) -> None:
        requesting.cancel(work, line)

    @in_work
    def set_paid(self, work: Work, lines: tuple[OrderLineId, ...], campus: CampusCode) -> None:
        requesting.pay(work, lines, campus, self._settings)

    @in_work
    def set_unpaid(self, work: Work, lines: tuple[OrderLineId, ...], campus: CampusCode) -> None:
        requesting.unpay(work, lines, campus)

    @in_work
    def credit_emergency(self, work: Work, encounter: EncounterId, campus: CampusCode) -> None:
        requesting.credit(work, encounter, campus, self._settings)

    @in_work
    def credit(self, work: Work, encounter: EncounterId, reason: str) -> tuple[LabRequest, ...]:
        del reason  # it stands in the audit log, with who gave it
        found = work.first(requests, Placed, encounter=encounter)
        campus = CampusCode(found.campus if found else work.campus)
        return requesting.credit(work, encounter, campus, self._settings)

    # ── from the other system ───────────────────────────────────────────────────────────────
    async def take(self, told: OutsideReport) -> Report | None:
        request = await self._placed(told.placer)
        patient = await self._patients.get(request.patient)
        return await self._take(told, patient.local_number(request.campus))

    @reading
    def _placed(self, read: Reading, placer: str) -> Placed:
        found = read.first(requests, Placed, placer=placer)
        if found is None:
            raise PlacerUnknown
        return found

    @in_work
    def _take(self, work: Work, told: OutsideReport, our_number: str) -> Report | None:
        return reporting.take(work, told, our_number, self._settings)

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    @reading
    def counts(self, read: Reading, campus: CampusCode) -> Counts:
        def waiting(state: RequestState) -> int:
            return read.count(requests, campus=campus, state=state)

        asked, begun = waiting(RequestState.REQUESTED), waiting(RequestState.COLLECTED)
        return Counts(requested=asked, collected=begun, received=0, resulted=0)

    @reading
    def reports_of(
        self,
        read: Reading,
        patients: tuple[PatientId, ...],
        current_only: bool = True,
        limit: int = 50,
    ) -> tuple[ReportLine, ...]:
        state: dict[str, Any] = {"state": "issued"} if current_only else {}
        return read.find(
            reports,
            ReportLine,
            patient=patients,
            order_by=("-issued_at", "-version"),
            limit=max(1, min(limit, REPORTS_MAX)),
            **state,
        )

    @reading
    def requests_of(self, read: Reading, encounter: EncounterId) -> tuple[LabRequest, ...]:
        return read.find(
            requests, LabRequest, encounter=encounter, order_by="placer", limit=LIST_MAX
        )

    async def report(self, id: ReportId) -> Report:
        """Who opens a report is written down before it is shown: a withdrawal must reach them."""
        found = await self._report(id)
        call = current_call()
        if call is None or call.envelope.actor.kind is ActorKind.BOARD:
            return found
        # A unit of its own: the question itself changes nothing and stays a question.
        with calling(Call(call.envelope, operation="lab_hl7.reader")):
            await self._note_reader(id)
        return found

    @reading
    def _report(self, read: Reading, id: ReportId) -> Report:
        return read.get(reports, Report, id, missing=ReportNotFound)

    @in_work
    def _note_reader(self, work: Work, id: ReportId) -> None:
        work.insert_new(readers, Reader(report=id, reader=work.actor.id, first_at=work.now))

    @reading
    def versions(self, read: Reading, id: ReportId) -> tuple[ReportLine, ...]:
        found = read.get(reports, Report, id, missing=ReportNotFound)
        return read.find(
            reports, ReportLine, specimen=found.specimen, order_by="version", limit=LIST_MAX
        )

    @reading
    def withdrawals_for_me(self, read: Reading, limit: int = 20) -> tuple[Withdrawal, ...]:
        mine = read.find(
            readers, Reader, reader=read.actor.id, must_notice=True, limit=max(1, min(limit, 100))
        )
        void = read.find(reports, Report, id=tuple(r.report for r in mine), limit=REPORTS_MAX)
        return tuple(_withdrawal(report, read.actor.id) for report in void)

    @in_work
    def notice_withdrawal(self, work: Work, report: ReportId) -> None:
        mine = work.get_or_none(readers, Reader, (report, work.actor.id))
        if mine is None:
            raise ReportNotFound
        work.update(readers, before=mine, after=mine.replace(must_notice=False))

    async def subjects(self, patients: tuple[PatientId, ...]) -> tuple[Subject, ...]:
        return tuple(
            Subject(id=p.id, name=p.name, sex=p.sex, birth_date=p.birth_date)
            for p in await self._patients.summaries(patients)
        )

    # ── critical values ─────────────────────────────────────────────────────────────────────
    @reading
    def critical_values(
        self, read: Reading, campus: CampusCode, open_only: bool = True, limit: int = 100
    ) -> tuple[CriticalValue, ...]:
        state: dict[str, Any] = {"state": OPEN} if open_only else {}
        return read.find(
            criticals,
            CriticalValue,
            campus=campus,
            order_by="raised_at" if open_only else "-raised_at",
            limit=max(1, min(limit, LIST_MAX)),
            **state,
        )

    @reading
    def critical_value(self, read: Reading, id: CriticalId) -> CriticalValue:
        return read.get(criticals, CriticalValue, id, missing=CriticalNotFound)

    @in_work
    def acknowledge(self, work: Work, id: CriticalId, words: str = "") -> CriticalValue:
        critical = work.get(criticals, CriticalValue, id, missing=CriticalNotFound)
        if not critical.is_open:
            raise NotCritical
        done = critical.replace(
            state=CriticalState.ACKNOWLEDGED,
            acknowledged_by=work.actor.id,
            acknowledged_at=work.now,
            words=words,
        )
        work.update(criticals, before=critical, after=done)
        work.publish(CriticalAcknowledged(critical=done))
        return done

    @reading
    def has_overdue(self, read: Reading) -> bool:
        """Whether a critical value waits longer than it may."""
        late = (criticals.c.due_at <= read.now, criticals.c.level < self._levels)
        return read.first(criticals, CriticalValue, *late, state=OPEN) is not None

    @in_work
    def escalate_overdue(self, work: Work) -> None:
        late = (criticals.c.due_at <= work.now, criticals.c.level < self._levels)
        for critical in work.find(criticals, CriticalValue, *late, state=OPEN, limit=LIST_MAX):
            told = critical.replace(
                state=CriticalState.ESCALATED,
                level=critical.level + 1,
                escalated_at=work.now,
                due_at=work.now + timedelta(minutes=self._settings["critical_minutes"]),
            )
            work.update(criticals, before=critical, after=told)
            work.publish(CriticalEscalated(critical=told))

    @property
    def _levels(self) -> int:
        return int(self._settings["escalation_levels"])


def _withdrawal(report: Report, reader: str) -> Withdrawal:
    assert report.withdrawn_at is not None
    assert report.withdrawn_because is not None
    return Withdrawal(
        report=report.id,
        title_zh=report.title_zh,
        patient=report.patient,
        encounter=report.encounter,
        campus=report.campus,
        reader=reader,
        because=report.withdrawn_because,
        replaced_by=report.replaced_by,
        withdrawn_at=report.withdrawn_at,
    )

"""What the laboratory does. Each public method is one step; how it is done is in the modules."""

from typing import Any

from sqlalchemy import select

from plugward.kernel import (
    ActorKind,
    Clinical,
    Plain,
    Reading,
    Settings,
    Store,
    Work,
    in_work,
    reading,
)
from plugward.kernel.envelope import Call, calling, current_call
from plugward.vocabulary import (
    CampusCode,
    EncounterId,
    OrderLineId,
    PatientId,
    ReportId,
    SpecimenId,
)

from ..contract import (
    BenchView,
    Collect,
    Counts,
    CriticalId,
    CriticalNotFound,
    CriticalValue,
    Draft,
    EnterResults,
    Lab,
    LabRequest,
    OutsideResults,
    RejectReason,
    Report,
    ReportLine,
    ReportNotFound,
    ReportState,
    RequestState,
    Specimen,
    SpecimenNotFound,
    SpecimenState,
    Subject,
    SwapTubes,
    WaitingRequest,
    Withdrawal,
    WithdrawReason,
)
from ..rules import PanelVersion, TestVersion
from ..tables import (
    Reader,
    panel_versions,
    readers,
    reports,
    requests,
    specimens,
    subjects,
    test_versions,
)
from ..tables import (
    criticals as critical_table,
)
from . import criticals, drawing, reporting, resulting

LIST_MAX = 100
REQUESTS_MAX = 200


class LabService(Lab):
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self._settings = settings

    # ── drawing ─────────────────────────────────────────────────────────────────────────────
    @reading
    def waiting(
        self,
        read: Reading,
        campus: CampusCode,
        encounter: EncounterId | None = None,
        limit: int = LIST_MAX,
    ) -> tuple[WaitingRequest, ...]:
        return drawing.waiting(read, campus, encounter, limit, self._settings)

    @in_work
    def collect(self, work: Work, request: Collect) -> Specimen:
        return drawing.collect(work, request, self._settings)

    @in_work
    def credit(
        self, work: Work, encounter: EncounterId, reason: Clinical
    ) -> tuple[LabRequest, ...]:
        return drawing.give_credit(work, encounter, CampusCode(work.campus), reason)

    # ── the bench ───────────────────────────────────────────────────────────────────────────
    @in_work
    def receive(self, work: Work, barcode: Plain) -> Specimen:
        return drawing.receive(work, barcode)

    @in_work
    def reject(self, work: Work, specimen: SpecimenId, because: RejectReason) -> Specimen:
        found = work.get(specimens, Specimen, specimen, missing=SpecimenNotFound)
        return drawing.reject(work, found, because)

    @reading
    def worklist(
        self, read: Reading, campus: CampusCode, state: SpecimenState, limit: int = LIST_MAX
    ) -> tuple[BenchView, ...]:
        return resulting.worklist(read, campus, state, limit)

    @reading
    def counts(self, read: Reading, campus: CampusCode) -> Counts:
        requested = read.count(requests, campus=campus, state=RequestState.REQUESTED)
        by_state = resulting.counted(read, campus)
        return Counts(
            requested=requested,
            collected=by_state.get(SpecimenState.COLLECTED, 0),
            received=by_state.get(SpecimenState.RECEIVED, 0),
            resulted=by_state.get(SpecimenState.RESULTED, 0),
        )

    @reading
    def bench(self, read: Reading, barcode: Plain) -> BenchView:
        [view] = resulting.bench_views(read, (drawing.by_barcode(read, barcode),))
        return view

    @in_work
    def enter(self, work: Work, request: EnterResults) -> Draft:
        found = work.get(specimens, Specimen, request.specimen, missing=SpecimenNotFound)
        return resulting.enter(work, found, request.results, request.reason, work.actor.id)

    @in_work
    def outside(self, work: Work, request: OutsideResults) -> Specimen:
        specimen, draft = resulting.outside(work, request)
        is_trusted = request.is_final and self._settings["trust_outside_final"]
        if draft is None or draft.reason is not None or not is_trusted:
            return specimen  # nothing new, or a person looks at it first
        if resulting.missing_items(draft, resulting.tests_in(work, specimen)):
            return specimen
        verdict = reporting.Verdict(
            id=ReportId(work.derive("report", request.id)),
            by=f"{request.source} {request.verified_by}".strip()[:80],
        )
        reporting.issue(work, specimen, draft, verdict, self._settings)
        return work.get(specimens, Specimen, specimen.id)

    @in_work
    def verify(self, work: Work, specimen: SpecimenId, report: ReportId) -> Report:
        return reporting.verify(work, specimen, report, self._settings)

    # ── putting right ───────────────────────────────────────────────────────────────────────
    @in_work
    def withdraw(self, work: Work, report: ReportId, because: WithdrawReason) -> Report:
        return reporting.withdraw(work, report, because)

    @in_work
    def swap(self, work: Work, request: SwapTubes) -> tuple[Report, ...]:
        return reporting.swap(work, request, self._settings)

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    @reading
    def reports_of(
        self,
        read: Reading,
        patients: tuple[PatientId, ...],
        current_only: bool = True,
        limit: int = 50,
    ) -> tuple[ReportLine, ...]:
        if not patients:
            return ()
        state: dict[str, Any] = {"state": ReportState.ISSUED} if current_only else {}
        return read.find(
            reports,
            ReportLine,
            patient=patients,
            order_by=("-issued_at", "-version"),
            limit=max(1, min(limit, LIST_MAX)),
            **state,
        )

    @reading
    def requests_of(self, read: Reading, encounter: EncounterId) -> tuple[LabRequest, ...]:
        return read.find(
            requests,
            LabRequest,
            encounter=encounter,
            order_by=("signed_at", "id"),
            limit=REQUESTS_MAX,
        )

    async def report(self, id: ReportId) -> Report:
        """Who opens a report is written down before it is shown: a withdrawal must reach them."""
        found = await self._report(id)
        call = current_call()
        if call is None or call.envelope.actor.kind is ActorKind.BOARD:
            return found
        # A unit of its own: the question itself changes nothing and stays a question.
        with calling(Call(call.envelope, operation="lab.reader")):
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
        one = read.get(reports, ReportLine, id, missing=ReportNotFound)
        return read.find(reports, ReportLine, number=one.number, order_by="version", limit=LIST_MAX)

    @reading
    def withdrawals_for_me(self, read: Reading, limit: int = 20) -> tuple[Withdrawal, ...]:
        found = read.rows(
            select(reports, readers.c.reader)
            .join(readers, readers.c.report == reports.c.id)
            .where(
                readers.c.reader == read.actor.id,
                readers.c.must_notice.is_(True),
            )
            .order_by(reports.c.withdrawn_at.desc())
            .limit(max(1, min(limit, LIST_MAX)))
        )
        return tuple(
            Withdrawal(
                report=row.id,
                title_zh=row.title_zh,
                patient=row.patient,
                encounter=row.encounter,
                campus=row.campus,
                reader=row.reader,
                because=row.withdrawn_because,
                replaced_by=row.replaced_by,
                withdrawn_at=row.withdrawn_at,
            )
            for row in found
        )

    @in_work
    def notice_withdrawal(self, work: Work, report: ReportId) -> None:
        changed = work.set_where(
            readers,
            readers.c.report == report,
            readers.c.reader == work.actor.id,
            must_notice=False,
        )
        if not changed:
            raise ReportNotFound

    @reading
    def subjects(self, read: Reading, patients: tuple[PatientId, ...]) -> tuple[Subject, ...]:
        return drawing.subjects_seen(read, patients[:REQUESTS_MAX])

    # ── critical values ─────────────────────────────────────────────────────────────────────
    @reading
    def critical_values(
        self,
        read: Reading,
        campus: CampusCode,
        open_only: bool = True,
        limit: int = LIST_MAX,
    ) -> tuple[CriticalValue, ...]:
        return criticals.listed(read, campus, open_only, limit)

    @reading
    def critical_value(self, read: Reading, id: CriticalId) -> CriticalValue:
        return read.get(critical_table, CriticalValue, id, missing=CriticalNotFound)

    @in_work
    def acknowledge(self, work: Work, id: CriticalId, words: Clinical = "") -> CriticalValue:
        return criticals.acknowledge(work, id, words)

    @reading
    def has_overdue(self, read: Reading) -> bool:
        """Whether anything is to be escalated: a look costs less than a unit for nothing."""
        return criticals.has_overdue(read, self._settings)

    @in_work
    def escalate_overdue(self, work: Work) -> int:
        return criticals.escalate_overdue(work, self._settings)

    # ── what others say ─────────────────────────────────────────────────────────────────────
    @in_work
    def add_requests(self, work: Work, new: tuple[LabRequest, ...]) -> None:
        drawing.add(work, new)

    @in_work
    def cancel_request(self, work: Work, line: OrderLineId) -> None:
        drawing.cancel(work, line)

    @in_work
    def set_paid(self, work: Work, lines: tuple[OrderLineId, ...], is_paid: bool) -> None:
        drawing.set_paid(work, lines, is_paid)

    @in_work
    def credit_emergency(self, work: Work, encounter: EncounterId, campus: CampusCode) -> None:
        drawing.give_credit(work, encounter, campus, "emergency")

    @in_work
    def learn_test(self, work: Work, version: TestVersion) -> None:
        work.save_copy(test_versions, version)

    @in_work
    def learn_panel(self, work: Work, version: PanelVersion) -> None:
        work.save_copy(panel_versions, version)

    @in_work
    def know_subject(self, work: Work, subject: Subject) -> None:
        work.save_copy(subjects, subject)

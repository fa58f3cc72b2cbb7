"""A fake laboratory for other boards' tests: reports and critical values put in by hand.

Held to the contract by this board's own tests. It draws and measures nothing.
"""

from plugward.kit.time import Instant
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderLineId,
    PatientId,
    ReportId,
    SpecimenId,
)

from .contract import (
    BenchView,
    Collect,
    Counts,
    CriticalId,
    CriticalNotFound,
    CriticalState,
    CriticalValue,
    Draft,
    EnterResults,
    Flag,
    Lab,
    LabRequest,
    NotCritical,
    OutsideResults,
    RejectReason,
    Report,
    ReportLine,
    ReportNotFound,
    ReportState,
    RequestNotFound,
    Result,
    Specimen,
    SpecimenNotFound,
    SpecimenState,
    Subject,
    SwapTubes,
    WaitingRequest,
    Withdrawal,
    WithdrawReason,
)

CRITICAL = (Flag.CRITICAL_LOW, Flag.CRITICAL_HIGH)


class FakeLab(Lab):
    """Keeps what it is given. ``opened`` are the reports somebody has read, in order."""

    def __init__(self, reader: str = "staff:tester") -> None:
        self.reports: dict[ReportId, Report] = {}
        self.requests: dict[OrderLineId, LabRequest] = {}
        self.criticals: dict[CriticalId, CriticalValue] = {}
        self.people: dict[PatientId, Subject] = {}
        self.opened: list[ReportId] = []
        self.noticed: set[ReportId] = set()
        self.reader = reader

    # ── put in by hand ──────────────────────────────────────────────────────────────────────
    def put(self, report: Report) -> Report:
        """A report is there."""
        self.reports[report.id] = report
        return report

    def void(self, id: ReportId, at: Instant, replaced_by: ReportId | None = None) -> Report:
        """A report is withdrawn."""
        return self.put(
            self.reports[id].replace(
                state=ReportState.WITHDRAWN,
                withdrawn_at=at,
                withdrawn_because=WithdrawReason.WRONG_TUBE,
                replaced_by=replaced_by,
            )
        )

    # ── nothing is drawn or measured here: every tube is unknown ────────────────────────────
    async def waiting(
        self, campus: CampusCode, encounter: EncounterId | None = None, limit: int = 100
    ) -> tuple[WaitingRequest, ...]:
        del campus, encounter, limit
        return ()

    async def collect(self, request: Collect) -> Specimen:
        del request
        raise RequestNotFound

    async def credit(self, encounter: EncounterId, reason: str) -> tuple[LabRequest, ...]:
        del reason
        return await self.requests_of(encounter)

    async def receive(self, barcode: str) -> Specimen:
        del barcode
        raise SpecimenNotFound

    async def reject(self, specimen: SpecimenId, because: RejectReason) -> Specimen:
        del specimen, because
        raise SpecimenNotFound

    async def worklist(
        self, campus: CampusCode, state: SpecimenState, limit: int = 100
    ) -> tuple[BenchView, ...]:
        del campus, state, limit
        return ()

    async def counts(self, campus: CampusCode) -> Counts:
        del campus
        return Counts(requested=0, collected=0, received=0, resulted=0)

    async def bench(self, barcode: str) -> BenchView:
        del barcode
        raise SpecimenNotFound

    async def enter(self, request: EnterResults) -> Draft:
        del request
        raise SpecimenNotFound

    async def outside(self, request: OutsideResults) -> Specimen:
        del request
        raise SpecimenNotFound

    async def verify(self, specimen: SpecimenId, report: ReportId) -> Report:
        del specimen, report
        raise SpecimenNotFound

    async def withdraw(self, report: ReportId, because: WithdrawReason) -> Report:
        del report, because
        raise ReportNotFound

    async def swap(self, request: SwapTubes) -> tuple[Report, ...]:
        del request
        raise ReportNotFound

    # ── the contract's reading side ─────────────────────────────────────────────────────────
    async def reports_of(
        self, patients: tuple[PatientId, ...], current_only: bool = True, limit: int = 50
    ) -> tuple[ReportLine, ...]:
        found = [
            r
            for r in self.reports.values()
            if r.patient in patients and (r.is_current or not current_only)
        ]
        found.sort(key=lambda r: (r.issued_at, r.version), reverse=True)
        return tuple(map(_line, found[: min(limit, 100)]))

    async def requests_of(self, encounter: EncounterId) -> tuple[LabRequest, ...]:
        return tuple(r for r in self.requests.values() if r.encounter == encounter)

    async def report(self, id: ReportId) -> Report:
        if id not in self.reports:
            raise ReportNotFound
        self.opened.append(id)
        return self.reports[id]

    async def versions(self, id: ReportId) -> tuple[ReportLine, ...]:
        if id not in self.reports:
            raise ReportNotFound
        number = self.reports[id].number
        same = [r for r in self.reports.values() if r.number == number]
        return tuple(map(_line, sorted(same, key=lambda r: r.version)))

    async def withdrawals_for_me(self, limit: int = 20) -> tuple[Withdrawal, ...]:
        void = [
            r
            for r in self.reports.values()
            if not r.is_current and r.id in self.opened and r.id not in self.noticed
        ]
        return tuple(_withdrawal(r, self.reader) for r in void[:limit])

    async def notice_withdrawal(self, report: ReportId) -> None:
        if report not in self.opened:
            raise ReportNotFound
        self.noticed.add(report)

    async def subjects(self, patients: tuple[PatientId, ...]) -> tuple[Subject, ...]:
        return tuple(self.people[p] for p in patients if p in self.people)

    async def critical_values(
        self, campus: CampusCode, open_only: bool = True, limit: int = 100
    ) -> tuple[CriticalValue, ...]:
        found = [
            c
            for c in self.criticals.values()
            if c.campus == campus and (c.is_open or not open_only)
        ]
        return tuple(sorted(found, key=lambda c: c.raised_at, reverse=not open_only)[:limit])

    async def critical_value(self, id: CriticalId) -> CriticalValue:
        if id not in self.criticals:
            raise CriticalNotFound
        return self.criticals[id]

    async def acknowledge(self, id: CriticalId, words: str = "") -> CriticalValue:
        found = await self.critical_value(id)
        if not found.is_open:
            raise NotCritical
        self.criticals[id] = found.replace(
            state=CriticalState.ACKNOWLEDGED, acknowledged_by=self.reader, words=words
        )
        return self.criticals[id]


def a_report(
    patient: PatientId,
    encounter: EncounterId,
    *results: Result,
    id: ReportId,
    issued_at: Instant,
) -> Report:
    """A report of campus 1 as another board's test needs it; change it with ``replace``."""
    return Report(
        id=id,
        number="C1R260000001",
        version=1,
        specimen=SpecimenId(id),
        barcode="126030200001",
        encounter=encounter,
        patient=patient,
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        author="staff:tester",
        requests=(),
        title_zh="、".join(r.name_zh for r in results),
        title_en=", ".join(r.name_en for r in results),
        indication="",
        results=results,
        state=ReportState.ISSUED,
        collected_at=issued_at,
        received_at=issued_at,
        entered_by="staff:technician",
        verified_by="staff:technician",
        issued_at=issued_at,
        content_hash="",
    )


def _line(report: Report) -> ReportLine:
    shown = {f: getattr(report, f) for f in ReportLine.__struct_fields__ if hasattr(report, f)}
    quiet = (Flag.NORMAL, Flag.NOT_JUDGED)
    return ReportLine(
        **shown,
        abnormal=sum(r.flag not in quiet for r in report.results),
        critical=sum(r.flag in CRITICAL for r in report.results),
    )


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

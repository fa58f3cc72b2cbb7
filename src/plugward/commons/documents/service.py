"""What the documents board does. Each public method is one step of sharing what was signed."""

from typing import Any
from uuid import UUID

from plugward.commons.identity.contract import Identity
from plugward.commons.masterdata.contract import Domain, EntryNotFound, MasterData
from plugward.kernel import Plain, Reading, Settings, Store, Work, in_work, reading
from plugward.kernel.documents import Person, Sheet, Teller, Told, Visit
from plugward.kernel.refusals import NotAllowed, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, EncounterId, PatientId, StaffId

from .cda import KINDS, Organisation
from .cda import check as objections
from .cda import write as written
from .contract import (
    DocumentKind,
    DocumentLine,
    DocumentNotFound,
    Documents,
    DocumentShared,
    Finding,
    KindUnknown,
    NotShareable,
    Severity,
    SharedDocument,
    WrittenDocument,
    Xml,
)
from .rules import composed, digest, packed, told, unpacked
from .tables import shared

LINES_MAX = 200
STAFF = "staff:"


class Kept(DocumentLine, kw_only=True):
    """A row: the line and its content."""

    content: bytes


class DocumentService(Documents):
    def __init__(
        self,
        store: Store,
        settings: Settings,
        runtime: Runtime,
        identity: Identity,
        masterdata: MasterData,
    ) -> None:
        self.store = store
        self._runtime = runtime
        self._identity = identity
        self._masterdata = masterdata
        self._custodian = Organisation(
            str(settings["organisation_code"]), str(settings["hospital_name"])
        )

    # ── writing ─────────────────────────────────────────────────────────────────────────────
    async def kinds(self) -> tuple[DocumentKind, ...]:
        codes = sorted(teller.code for teller in self._tellers(Told.DOCUMENT))
        return tuple(
            DocumentKind(code=code, title=KINDS[code].title, title_en=KINDS[code].title_en)
            for code in codes
        )

    async def write(self, code: Plain, id: UUID) -> WrittenDocument:
        sheet, content = await self._written(code, id)
        return WrittenDocument(
            id=sheet.id,
            code=code,
            version=sheet.version,
            patient=PatientId(sheet.patient),
            encounter=EncounterId(sheet.encounter),
            xml=content.decode(),
            findings=told(objections(content)),
        )

    async def check(self, xml: Xml) -> tuple[Finding, ...]:
        return told(objections(xml.encode()))

    async def _written(self, code: str, id: UUID) -> tuple[Sheet, bytes]:
        sheet: Sheet = await self._ask(self._teller(Told.DOCUMENT, code), id)
        person: Person = await self._ask(self._teller(Told.PERSON, code), sheet.patient)
        visit: Visit = await self._ask(self._teller(Told.VISIT, code), sheet.encounter)
        document = composed(
            code,
            sheet,
            person,
            visit,
            author=await self._staff(sheet.author),
            verifier=await self._staff(sheet.verifier),
            department=await self._department(sheet.department, sheet.signed_at),
            custodian=self._custodian,
        )
        return sheet, written(document)

    async def _ask(self, teller: Teller, id: UUID) -> Any:
        """In the caller's name: each board checks that person's rights and notes the access."""
        clients = {name: self._client(kind) for name, kind in teller.needs.items()}
        return await teller.function(id, **clients)

    def _client(self, protocol: type[Any]) -> Any:
        return self._runtime.client(protocol, caller="documents")

    def _tellers(self, kind: Told) -> list[Teller]:
        return [
            declared
            for board in self._runtime.boards.values()
            for declared in board.interop
            if isinstance(declared, Teller) and declared.kind is kind
        ]

    def _teller(self, kind: Told, code: str) -> Teller:
        for teller in self._tellers(kind):
            if kind is not Told.DOCUMENT or teller.code == code:
                return teller
        raise KindUnknown(document=code[:20])

    async def _staff(self, actor: str) -> str:
        """The name behind ``staff:…``; the id stands in where the directory does not answer."""
        if not actor.startswith(STAFF):
            return actor
        try:
            id = StaffId(UUID(actor.removeprefix(STAFF)))
            found = await self._identity.staff((id,))
        except (Unavailable, NotAllowed, ValueError):
            return actor
        return found[0].name if found else actor

    async def _department(self, code: str, at: Instant) -> str:
        try:
            return (await self._masterdata.entry_at(Domain.DEPARTMENT, code, at)).name_zh
        except (Unavailable, NotAllowed, EntryNotFound):
            return code

    # ── sharing ─────────────────────────────────────────────────────────────────────────────
    async def share(self, code: Plain, id: UUID) -> DocumentLine:
        sheet, content = await self._written(code, id)
        for finding in told(objections(content)):
            if finding.severity is Severity.ERROR:
                raise NotShareable(at=finding.at, words=finding.words)
        return await self._keep(code, sheet, content)

    @in_work
    def _keep(self, work: Work, code: Plain, sheet: Sheet, content: bytes) -> DocumentLine:
        line = DocumentLine(
            id=sheet.id,
            set=sheet.set,
            code=code,
            version=sheet.version,
            patient=PatientId(sheet.patient),
            encounter=EncounterId(sheet.encounter),
            campus=CampusCode(sheet.campus),
            signed_at=sheet.signed_at,
            shared_at=work.now,
            shared_by=work.actor.id,
            sha256=digest(content),
            replaces=sheet.replaces,
        )
        earlier = work.get_or_none(shared, Kept, sheet.id)
        if earlier is not None:  # what was shared stays what it was, whatever is written today
            return _line(earlier)
        work.insert(shared, Kept(**line.fields(), content=packed(content)))
        work.publish(
            DocumentShared(
                id=line.id,
                set=line.set,
                code=line.code,
                version=line.version,
                patient=line.patient,
                encounter=line.encounter,
                campus=line.campus,
                sha256=line.sha256,
                replaces=line.replaces,
            )
        )
        return line

    @reading
    def shared(
        self, read: Reading, patient: PatientId, limit: int = 50
    ) -> tuple[DocumentLine, ...]:
        size = max(1, min(limit, LINES_MAX))
        return read.find(
            shared,
            DocumentLine,
            limit=size,
            order_by=("-signed_at", "-version", "-id"),
            patient=patient,
        )

    @reading
    def document(self, read: Reading, id: UUID) -> SharedDocument:
        kept = read.get(shared, Kept, id, missing=DocumentNotFound)
        return SharedDocument(**_line(kept).fields(), xml=unpacked(kept.content).decode())


def _line(kept: Kept) -> DocumentLine:
    found = kept.fields()
    del found["content"]
    return DocumentLine(**found)

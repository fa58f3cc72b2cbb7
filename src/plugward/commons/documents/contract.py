"""Shared documents 共享文档: signed facts in the form that other hospitals and the region read.

A document is written from what a board signed. Writing it changes nothing; sharing keeps that
version for ever, byte for byte, under its digest. A correction is another version of the same set.
"""

from enum import StrEnum
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from plugward.kernel import (
    Event,
    Invalid,
    Message,
    NotFound,
    Plain,
    command,
    contract,
    query,
)
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, EncounterId, PatientId

Xml = Annotated[str, Meta(max_length=4_000_000, extra={"data_class": "phi"})]
"""A whole document."""


class Severity(StrEnum):
    ERROR = "error"  # 不符合标准，接收方可拒收
    WARNING = "warning"  # 可读，但应改进


class Finding(Message):
    """An objection: where in the document, and what to do. It never quotes a patient's value."""

    severity: Severity
    at: Plain
    words: Plain


class DocumentKind(Message):
    """A kind of document that the boards plugged in now have the facts for."""

    code: Plain  # C0002
    title: Plain
    title_en: Plain


class DocumentLine(Message):
    """A shared version in a list: whose, what and when, and nothing of what it says."""

    id: UUID
    set: UUID
    code: Plain
    version: int
    patient: PatientId
    encounter: EncounterId
    campus: CampusCode
    signed_at: Instant
    shared_at: Instant
    shared_by: Plain
    sha256: Plain
    replaces: UUID | None = None


class WrittenDocument(Message):
    """A document as it is written now, with what the standard objects to."""

    id: UUID
    code: Plain
    version: int
    patient: PatientId
    encounter: EncounterId
    xml: Xml
    findings: tuple[Finding, ...]

    @property
    def is_shareable(self) -> bool:
        return all(finding.severity is not Severity.ERROR for finding in self.findings)


class SharedDocument(DocumentLine, kw_only=True):
    """A shared version, byte for byte as it was shared."""

    xml: Xml


class DocumentShared(Event, tag="documents.document.shared.v1", key="patient"):
    """A version may be fetched from now on; it stands in place of the one it replaces."""

    id: UUID
    set: UUID
    code: Plain
    version: int
    patient: PatientId
    encounter: EncounterId
    campus: CampusCode
    sha256: Plain
    replaces: UUID | None = None


class DocumentNotFound(NotFound):
    """没有这份共享文档。"""


class KindUnknown(Invalid):
    """没有插板能提供文档类型 {document}。"""

    document: Plain


class NotShareable(Invalid):
    """文档不符合标准，不能签出：{at} {words}"""

    at: Plain
    words: Plain


@contract("documents")
class Documents(Protocol):
    """Writing, checking, sharing and reading documents."""

    @query(permission="documents.check")
    async def kinds(self) -> tuple[DocumentKind, ...]:
        """The kinds that can be written now."""
        ...

    @query(permission="documents.read")
    async def write(self, code: Plain, id: UUID) -> WrittenDocument:
        """The document of a signed source: a note's version, an order group, a report. The reader
        needs the right to read that source. Refuses with ``KindUnknown``, or as the source does."""
        ...

    @command(permission="documents.share")
    async def share(self, code: Plain, id: UUID) -> DocumentLine:
        """Keep this version for others to fetch. Sharing it again changes nothing. Refuses with
        ``KindUnknown`` or ``NotShareable``."""
        ...

    @query(permission="documents.read")
    async def shared(self, patient: PatientId, limit: int = 50) -> tuple[DocumentLine, ...]:
        """A patient's shared versions, the newest first, at most 200."""
        ...

    @query(permission="documents.read")
    async def document(self, id: UUID) -> SharedDocument:
        """One shared version, whole. Refuses with ``DocumentNotFound``."""
        ...

    @query(permission="documents.check")
    async def check(self, xml: Xml) -> tuple[Finding, ...]:
        """What the standard objects to in a document from anywhere; none means that it conforms."""
        ...

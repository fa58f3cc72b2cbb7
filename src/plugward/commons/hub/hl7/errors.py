"""Errors 报文错误: what is wrong with a message, where, and under which HL7 code."""

from enum import IntEnum

from .paths import Path


class ErrorCode(IntEnum):
    """HL7 table 0357, message error condition codes."""

    SEGMENT_SEQUENCE = 100
    REQUIRED_FIELD_MISSING = 101
    DATA_TYPE = 102
    TABLE_VALUE_NOT_FOUND = 103
    UNSUPPORTED_MESSAGE_TYPE = 200
    UNSUPPORTED_EVENT_CODE = 201
    UNSUPPORTED_PROCESSING_ID = 202
    UNSUPPORTED_VERSION = 203
    UNKNOWN_KEY = 204
    DUPLICATE_KEY = 205
    RECORD_LOCKED = 206
    INTERNAL = 207

    @property
    def label(self) -> str:
        """The standard's English words for this code."""
        return _LABELS[self]


_LABELS = {
    ErrorCode.SEGMENT_SEQUENCE: "Segment sequence error",
    ErrorCode.REQUIRED_FIELD_MISSING: "Required field missing",
    ErrorCode.DATA_TYPE: "Data type error",
    ErrorCode.TABLE_VALUE_NOT_FOUND: "Table value not found",
    ErrorCode.UNSUPPORTED_MESSAGE_TYPE: "Unsupported message type",
    ErrorCode.UNSUPPORTED_EVENT_CODE: "Unsupported event code",
    ErrorCode.UNSUPPORTED_PROCESSING_ID: "Unsupported processing id",
    ErrorCode.UNSUPPORTED_VERSION: "Unsupported version id",
    ErrorCode.UNKNOWN_KEY: "Unknown key identifier",
    ErrorCode.DUPLICATE_KEY: "Duplicate key identifier",
    ErrorCode.RECORD_LOCKED: "Application record locked",
    ErrorCode.INTERNAL: "Application internal error",
}


class Hl7Error(ValueError):
    """A message that cannot be read, built or accepted, and the place that is to blame."""

    def __init__(
        self,
        reason: str,
        *,
        code: ErrorCode,
        at: Path | None = None,
        shown: str = "",
    ) -> None:
        """``reason`` is English, for logs and ERR-7; ``shown`` is for people, in their language."""
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.at = at
        self.shown = shown or reason

    def __str__(self) -> str:
        return f"{self.at}: {self.reason}" if self.at else self.reason

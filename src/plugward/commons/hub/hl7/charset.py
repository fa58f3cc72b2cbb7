"""Character sets 字符集: MSH-18 in all its Chinese spellings, and how bytes become text.

Bytes are decoded *before* they are split: the second byte of a GB18030 character may be ``\\``,
``^``, ``|`` or ``~``. A decode never replaces a character; what does not decode is refused.
"""

from .errors import ErrorCode, Hl7Error
from .escapes import Separators, unescape
from .paths import Path

MSH_18 = Path("MSH", 1, 18)

UTF_8 = "UNICODE UTF-8"
"""How HL7 table 0211 spells it; "UTF-8" alone is not in the table but is often sent."""

CODECS = {
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GB 18030-2000": "gb18030",
    "GB18030-2000": "gb18030",
    "GB 18030": "gb18030",
    "GB18030": "gb18030",
    # GB18030 is a superset of both, so old senders' labels lose nothing.
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "GB 2312": "gb18030",
    "CHINESE": "gb18030",
    "ASCII": "ascii",
    "8859/1": "iso-8859-1",
    "ISO-8859-1": "iso-8859-1",
    "ISO8859-1": "iso-8859-1",
}
"""MSH-18 label (upper case) → Python codec."""

_BEFORE_LABEL = 17  # MSH-1 is the separator itself, so MSH-18 is the 18th piece of the line


def codec_of(label: str) -> str:
    """The codec of an MSH-18 label; refuses one that is not known."""
    codec = CODECS.get(label.strip().upper())
    if codec is None:
        raise Hl7Error(
            "character set is not one of table 0211 that is understood here",
            code=ErrorCode.TABLE_VALUE_NOT_FOUND,
            at=MSH_18,
            shown="MSH-18 字符集不受支持",
        )
    return codec


def decode(raw: bytes, codec: str) -> str:
    """Strictly: a failure is an error at MSH-18, never a replacement character."""
    try:
        return str(raw, codec)
    except UnicodeDecodeError as failure:
        raise Hl7Error(
            f"bytes at offset {failure.start} are not {codec}",
            code=ErrorCode.DATA_TYPE,
            at=MSH_18,
            shown=f"第 {failure.start} 字节起不是 {codec} 编码",
        ) from failure


def choose_codec(head: bytes, separators: Separators) -> str | None:
    """The codec that the first segment declares, or ``None`` when it declares nothing.

    The label is read from the bytes as they are. When a Chinese application name in MSH-3 to 17
    hides a separator byte, the count of fields is off and a label that fits a trial decode wins.
    """
    separator = separators.field.encode()
    if head.count(separator) == _BEFORE_LABEL:  # nearly always MSH-18 is the last field
        codec = CODECS.get(str(head[head.rfind(separator) + 1 :], "iso-8859-1"))
        if codec is not None:
            return codec
    fields = head.split(separator, _BEFORE_LABEL + 1)
    raw_label = fields[_BEFORE_LABEL] if len(fields) > _BEFORE_LABEL else b""
    if not head.isascii():
        for trial in ("utf-8", "gb18030"):
            try:
                decoded = str(head, trial).split(separators.field)
            except UnicodeDecodeError:
                continue
            said = decoded[_BEFORE_LABEL] if len(decoded) > _BEFORE_LABEL else ""
            if CODECS.get(_first_label(said, separators).upper()) == trial:
                return trial
    label = _first_label(str(raw_label, "iso-8859-1"), separators)
    return codec_of(label) if label else None


def _first_label(text: str, separators: Separators) -> str:
    # MSH-18 repeats: the first is the message's own set, the others are for ISO 2022 switches.
    return unescape(text.split(separators.repetition, maxsplit=1)[0], separators).strip()


def decode_undeclared(raw: bytes) -> tuple[str, str]:
    """Nothing declared: strict UTF-8, else GB18030. Returns the text and the codec."""
    try:
        return str(raw, "utf-8"), "utf-8"
    except UnicodeDecodeError:
        return decode(raw, "gb18030"), "gb18030"

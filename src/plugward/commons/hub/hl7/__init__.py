"""HL7 v2 报文编解码: a lazy codec that keeps the original bytes. Usable on its own.

>>> message = from_text("MSH|^~\\\\&|LIS|C1|HUB|C1|||ORU^R01|7|P|2.5.1\\rPID|1||P1||张^示例")
>>> message["PID-5.2"]
'示例'
"""

from .batch import Batch, is_batch, read_batch, write_batch
from .build import (
    Acknowledgement,
    Answer,
    SegmentData,
    acknowledge,
    build,
    header,
    read_answer,
    refuse_unread,
    timestamp,
)
from .charset import UTF_8
from .errors import ErrorCode, Hl7Error
from .escapes import STANDARD, Separators, escape, unescape
from .message import Message, Segment, from_text, parse
from .paths import Path, parse_path
from .values import Value

__all__ = [
    "STANDARD",
    "UTF_8",
    "Acknowledgement",
    "Answer",
    "Batch",
    "ErrorCode",
    "Hl7Error",
    "Message",
    "Path",
    "Segment",
    "SegmentData",
    "Separators",
    "Value",
    "acknowledge",
    "build",
    "escape",
    "from_text",
    "header",
    "is_batch",
    "parse",
    "parse_path",
    "read_answer",
    "read_batch",
    "refuse_unread",
    "timestamp",
    "unescape",
    "write_batch",
]

"""MLLP 最小底层协议: framed HL7 over TCP, in both directions. Knows frames, not messages."""

from .client import AnswerUnknown, MllpClient, NotSent
from .frames import Cutter, frame
from .server import Limits, MllpServer, Peer

__all__ = [
    "AnswerUnknown",
    "Cutter",
    "Limits",
    "MllpClient",
    "MllpServer",
    "NotSent",
    "Peer",
    "frame",
]

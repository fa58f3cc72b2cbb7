"""Frames 调用帧: what a call and its answer look like between two processes.

A call is one msgpack array that may grow at its end; releases N−1 and N+1 read it alike. An answer
begins with one byte that says what follows.
"""

from typing import Any
from uuid import UUID

import msgspec

from plugward.kernel.codec import pack, unpack
from plugward.kernel.problems import from_wire, to_wire
from plugward.kernel.refusals import Fault, Refusal, Unavailable

MAJOR = "v1"
ANSWER = b"\x00"
PROBLEM = b"\x01"
HOLD = b"\x02"  # still at it: not an answer, but a sign of life


class CallFrame(msgspec.Struct, frozen=True, array_like=True):
    """A call under way. Who calls is in ``warrant``; which operation, in the address."""

    warrant: bytes
    request: UUID
    campus: str
    trace: str
    deadline_ms: int
    arguments: msgspec.Raw


class Address(msgspec.Struct, frozen=True):
    """Where a call goes, and in which board's name. ``kind`` is ``call`` or ``face``."""

    kind: str
    board: str
    operation: str
    caller: str


def frame_of(frame: CallFrame) -> bytes:
    return pack(frame)


def read_frame(data: bytes) -> CallFrame:
    """Raises ``msgspec.ValidationError`` or ``DecodeError`` for anything else."""
    frame: CallFrame = unpack(data, CallFrame)
    return frame


def answer_of(value: Any) -> bytes:
    return ANSWER + pack(value)


def problem_of(error: Refusal | Unavailable | Fault) -> bytes:
    return PROBLEM + to_wire(error)


def read_answer(data: bytes, kind: Any) -> Any:
    """The answer, or the problem that was sent, raised."""
    body = memoryview(data)[1:]
    if data[:1] == PROBLEM:
        raise from_wire(bytes(body))
    return unpack(body, kind)  # type: ignore[arg-type]  # msgspec takes any buffer

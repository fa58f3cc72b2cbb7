"""Logs 日志: one JSON object a line, ids and codes only, never a value of a patient (SEC-DATA).

The guard is on as soon as a runtime exists, for every logger and every handler of the process: a
message type in a log call becomes its name, an exception becomes its type and where it was
raised. Its text stays out, because it may quote what somebody typed.
"""

import logging
import logging.handlers
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, TextIO, cast
from uuid import UUID

import msgspec

from ..envelope import current_call
from ..refusals import Fault, Refusal, Unavailable

ROOT = "plugward"
FILE_BYTES_MAX = 20_000_000
FILES_KEPT = 10
FRAMES_MAX = 30
LOOK_EVERY = 50
PARTS_MAX = 50
_OWN = (Unavailable, Fault)  # their texts are made of names and trace ids
_HARMLESS = (int, float, bool, UUID, date, timedelta, Decimal, Path, type(None))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def guard() -> None:
    """Clean every log record of this process before any handler sees it. Calling twice is fine."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Guarded):
        logging.setLogRecordFactory(_Guarded(make))


def write_json(to: Path | TextIO | None = None, *, level: int = logging.INFO) -> logging.Handler:
    """Write our logs as JSON lines to a file (0600, rotated) or a stream; stderr without one."""
    guard()
    handler: logging.Handler
    if isinstance(to, Path):
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = _PrivateFile(
            to, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8", delay=True
        )
    else:
        handler = logging.StreamHandler(to or sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    if logger.level == logging.NOTSET or logger.level > level:
        logger.setLevel(level)
    return handler


def stop_writing(handler: logging.Handler) -> None:
    """Undo ``write_json``."""
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()


class JsonLines(logging.Formatter):
    """Renders a record, ours or a library's, as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "at": datetime.fromtimestamp(record.created, UTC),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                event[name] = safe(value)
        _add_call(event)
        if record.exc_info and record.exc_info[0] is not None:
            event["error"] = str(record.exc_info[1])
            frames = traceback.extract_tb(record.exc_info[2])[-FRAMES_MAX:]
            event["frames"] = [f"{f.filename}:{f.lineno} {f.name}" for f in frames]
        return msgspec.json.encode(event, enc_hook=str).decode()


def safe(value: Any) -> Any:
    """What may stand in a log for this value."""
    if isinstance(value, (str, *_HARMLESS)):
        return value
    if isinstance(value, BaseException):
        return _safe_error(value)
    if isinstance(value, Mapping):
        entries = list(cast("Mapping[Any, Any]", value).items())[:PARTS_MAX]
        return {str(key): safe(part) for key, part in entries}
    if isinstance(value, tuple | list | set | frozenset):
        return [safe(part) for part in list(cast("Any", value))[:PARTS_MAX]]
    return _named(value)


def _named(value: Any) -> Any:
    """For what has a name of its own, the name; for everything else that there was something."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    return value.__name__ if isinstance(value, type) else f"[{type(value).__name__} withheld]"


def _safe_error(error: BaseException) -> str:
    if isinstance(error, Refusal):
        return error.code
    return str(error) if isinstance(error, _OWN) else type(error).__name__


class _Guarded:
    """Makes records whose arguments, extras and exceptions are safe."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*args, **kwargs)
        if record.args:
            record.args = _safe_arguments(record.args)
        if not isinstance(record.msg, str):
            record.msg = str(safe(record.msg))
        if record.exc_info:
            record.exc_info = without_text(record.exc_info)
        return record


def _safe_arguments(given: Any) -> Any:
    """The arguments of the message; a mapping stays one, for ``%(name)s``."""
    if isinstance(given, Mapping):
        entries = cast("Mapping[str, Any]", given)
        return {name: _shown(value) for name, value in entries.items()}
    arguments: tuple[Any, ...] = given
    return tuple(_shown(value) for value in arguments)


def _shown(value: Any) -> Any:
    cleaned = safe(value)
    return f"{cleaned}" if isinstance(cleaned, dict | list) else cleaned


def without_text(info: Any) -> Any:
    """The same exception information: its type and traceback, but not what it says."""
    kind, error, where = info
    if error is None or isinstance(error, _OWN):
        return (kind, error, where)
    withheld = _Withheld(f"{kind.__name__} (text withheld)")
    return (_Withheld, withheld, where)


class _Withheld(Exception):
    """Stands for an exception whose text may quote a patient."""

    def __str__(self) -> str:
        return str(self.args[0])


def _add_call(event: dict[str, Any]) -> None:
    """Who and what this line belongs to: ids only."""
    call = current_call()
    if call is not None:
        event.setdefault("trace", call.envelope.trace)
        event.setdefault("request", str(call.envelope.request))
        event.setdefault("actor", call.envelope.actor.id)
        if call.operation is not None:
            event.setdefault("operation", getattr(call.operation, "full_name", call.operation))


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotated file that only its owner may read."""

    _lines = 0

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the library's name
        """Every so many lines the file's size is looked at; the library would at every line, and
        would write each of them twice to know."""
        del record
        self._lines += 1
        if self._lines % LOOK_EVERY != 1 or self.stream is None:
            return False
        return os.fstat(self.stream.fileno()).st_size >= self.maxBytes

    def _open(self) -> Any:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(handle, self.mode, encoding=self.encoding)

"""Verdicts 结论: one thing that was looked at, how it is, and what to do, in both languages."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"  # goes on, but not for ever
    FAULT = "fault"
    UNKNOWN = "unknown"  # could not be looked at; the sentence says why


class Verdict(msgspec.Struct, frozen=True):
    """``zh`` and ``en`` say how it is; ``do_zh`` and ``do_en`` what to do about it."""

    id: str
    state: State
    zh: str
    en: str
    do_zh: str = ""
    do_en: str = ""


def ok(id_: str, zh: str, en: str) -> Verdict:
    return Verdict(id_, State.OK, zh, en)


def unknown(id_: str, zh: str, en: str) -> Verdict:
    return Verdict(id_, State.UNKNOWN, zh, en)


def fault(id_: str, zh: str, en: str, *, do: tuple[str, str], warning: bool = False) -> Verdict:
    """``do`` is the next step in Chinese and in English."""
    return Verdict(id_, State.WARNING if warning else State.FAULT, zh, en, *do)

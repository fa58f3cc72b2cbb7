"""Words 文案: every sentence the portal shows, from the catalogues of the boards and its own."""

import inspect
import re
import tomllib
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from plugward.kernel.board import Board
from plugward.kernel.refusals import Refusal
from plugward.kit.time import HOSPITAL_ZONE

CHINESE = "zh-CN"
ENGLISH = "en"
LANGUAGES = (CHINESE, ENGLISH)
_FIELD = re.compile(r"\{(\w+)\}")
_FOLDER = Path(__file__).parent / "strings"


@cache
def own_catalogue(language: str) -> dict[str, dict[str, str]]:
    """The portal's own words in one language."""
    return tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))


class Words:
    """Finds words by board, table and key; a board's own come before the portal's."""

    def __init__(self, boards: Iterable[Board]) -> None:
        self._boards = {board.name: board for board in boards}

    def say(self, key: str, language: str, *, board: str = "", table: str = "ui") -> str:
        """The word for ``key``. A missing one shows as its key: visible, and found by the tests."""
        for wanted in (language, CHINESE, ENGLISH):
            for catalogue in (self._of(board, wanted), own_catalogue(wanted)):
                found = catalogue.get(table, {}).get(key)
                if found is not None:
                    return found
        return key

    def refusal(self, refusal: Refusal, language: str) -> str:
        """The sentence of a refusal: its docstring in Chinese, the catalogue in English."""
        name = type(refusal).__name__
        sentence = inspect.getdoc(type(refusal)) or name
        if language != CHINESE:
            sentence = (
                self._of(refusal.board, language).get("refusals", {}).get(name)
                or own_catalogue(language).get("refusals", {}).get(name)
                or sentence
            )
        values = {
            field: self._worded(getattr(refusal, field, ""), refusal.board, language)
            for field in refusal.values.__struct_fields__
        }
        return fill(sentence, values)

    def _worded(self, value: Any, board: str, language: str) -> Any:
        """An instant in the hospital's time; a member of an enum by its word, in ``[values]``
        ``"PasswordFault.too-short"``, if there is one."""
        if isinstance(value, datetime):
            return f"{value.astimezone(HOSPITAL_ZONE):%m-%d %H:%M}"
        if not isinstance(value, Enum):
            return value
        key = f"{type(value).__name__}.{value.value}"
        word = self.say(key, language, board=board, table="values")
        return value.value if word == key else word

    def _of(self, board: str, language: str) -> dict[str, dict[str, str]]:
        found = self._boards.get(board)
        return found.strings.get(language, {}) if found else {}


def fill(sentence: str, values: dict[str, Any]) -> str:
    """Put values into ``{field}``s. Nothing else in the sentence is interpreted."""
    return _FIELD.sub(
        lambda found: str(values[found[1]]) if found[1] in values else found[0], sentence
    )

"""Passwords 密码: what a good one is, and argon2id without holding up anybody else."""

import asyncio
import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from itertools import product
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from plugward.kernel import Unavailable

from .contract import PasswordFault, WeakPassword

P = ParamSpec("P")
R = TypeVar("R")

LENGTH_MAX = 128
MODERN_LENGTH_MIN = 12
MLPS3_LENGTH_MIN = 8
MLPS3_KINDS_MIN = 3
CONTEXT_LENGTH_MIN = 3
REST_MIN = 6  # characters that must remain when everything guessable is taken out
REMEMBERED = 5  # earlier passwords that may not come back
CODE_LENGTH_MIN = 16  # 80 bits in base 32

HASHES_AT_ONCE = 4  # each takes 19 MiB
HASHES_WAITING_MAX = 64

# A hash of nothing anybody knows: an unknown staff number takes as long as a wrong password.
NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$"
    "VjZWvhnvb2e0EemzJGRRMg$yWmURMSSvjviA4xzHTuV5f0BqcpHHwBPD3ZoUs/xpPs"
)


# ── what everybody tries first: made by rules, no list is shipped ────────────────────────────
_WORD_TEXT = """
password passwort passw0rd secret letmein welcome login admin administrator root guest user test
master default change changeme temp private access system server database computer internet
iloveyou sunshine princess football baseball superman batman dragon monkey shadow michael jordan
jennifer freedom whatever trustno starwars pokemon samsung google facebook microsoft windows apple
summer winter spring autumn january february march april june july august september october
november december monday tuesday wednesday thursday friday saturday sunday hello world please
china beijing shanghai guangzhou shenzhen zhongguo woaini woaini520 aini nihao wodemima mima
mimamima yisheng hushi yiyuan yaofang keshi menzhen bingfang guahao shoufei jianyan doctor nurse
hospital clinic patient pharmacy medicine medical health healthcare surgery ward emergency cashier
laboratory radiology plugward demo sample example qwerty qwertyuiop asdfgh asdfghjkl zxcvbn
zxcvbnm qazwsx qazwsxedc wsxedc edcrfv abc abcd abcdef abcdefg abcdefgh aaa money lucky happy
family friend forever flower butterfly chocolate cookie cheese orange banana killer hunter soccer
hockey tigger buster ginger pepper charlie jessica thomas robert daniel
"""
_WORDS = tuple(_WORD_TEXT.split())
_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz")
_COLUMNS = ("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik", "9ol")
_TAILS = ("", "1", "12", "123", "1234", "12345", "123456", "!", "!!", "@", "#", "*", "520", "888")
_YEARS = tuple(str(year) for year in range(1950, 2036))
_LEET = str.maketrans("@4031!5$7+8", "aaoeiissttb")
_RUN_MIN = 3


@cache
def common_passwords() -> frozenset[str]:
    """More than ten thousand: every common word with every usual tail or year."""
    tails = (*_TAILS, *_YEARS)
    return frozenset(word + tail for word, tail in product(_WORDS, tails))


@cache
def _guessable() -> re.Pattern[str]:
    """Words, runs along the keyboard or alphabet (both ways), years, and repeats."""
    parts = {word for word in _WORDS if len(word) >= _RUN_MIN}
    for row in _ROWS:
        for line in (row, row[::-1]):
            for start in range(len(line) - _RUN_MIN + 1):
                for end in range(start + _RUN_MIN, len(line) + 1):
                    parts.add(line[start:end])
    parts.update(column for column in _COLUMNS)
    words = "|".join(re.escape(p) for p in sorted(parts, key=lambda p: (-len(p), p)))
    return re.compile(rf"{words}|(?:19|20)\d\d|(.+?)\1{{2,}}|(.)\2+")


def is_common(password: str) -> bool:
    """Whether little is left when all that is guessable is taken out."""
    plain = password.lower()
    if plain in common_passwords():
        return True
    rest = min(
        len(re.sub(r"[\W_\d]*$", "", _guessable().sub("", text)))
        for text in (plain, plain.translate(_LEET))
    )
    return rest < REST_MIN if len(password) >= MODERN_LENGTH_MIN else rest < REST_MIN // 2


def check_password(password: str, *, rule: str, about: tuple[str, ...]) -> None:
    """Refuse a password that breaks the preset ``modern`` or ``mlps3``.

    ``about`` are words of the person and the hospital: staff number, name, pinyin.
    """
    least = MODERN_LENGTH_MIN if rule == "modern" else MLPS3_LENGTH_MIN
    if len(password) < least:
        raise WeakPassword(fault=PasswordFault.TOO_SHORT)
    if len(password) > LENGTH_MAX:
        raise WeakPassword(fault=PasswordFault.TOO_LONG)
    if rule == "mlps3" and _kinds(password) < MLPS3_KINDS_MIN:
        raise WeakPassword(fault=PasswordFault.TOO_FEW_KINDS)
    plain = password.lower()
    if any(word.lower() in plain for word in about if len(word) >= CONTEXT_LENGTH_MIN):
        raise WeakPassword(fault=PasswordFault.ABOUT_YOU)
    if is_common(password):
        raise WeakPassword(fault=PasswordFault.COMMON)


def _kinds(password: str) -> int:
    kinds = (str.islower, str.isupper, str.isdigit)
    symbols = any(not c.isalnum() for c in password)
    return sum(any(kind(c) for c in password) for kind in kinds) + symbols


def words_about(staff_no: str, name: str, hospital_words: str) -> tuple[str, ...]:
    """What a password may not hold: staff number, name as written and as typed, the hospital."""
    from pypinyin import lazy_pinyin  # noqa: PLC0415 - slow to load, and seldom needed

    spelt = lazy_pinyin(name)
    return (staff_no, name, "".join(spelt), *hospital_words.split())


def hash_of_code(code: str) -> str:
    """One-time codes are random, so a plain hash keeps them."""
    return sha256(code.encode()).hexdigest()


class Hasher:
    """argon2id (t=2, m=19 MiB), a few at a time, never on the event loop's own thread."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._room = asyncio.Semaphore(HASHES_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str, *, patiently: bool = False) -> str:
        """Hash it; ``patiently`` for work in the background, which is not counted as a queue."""
        if patiently:
            async with self._room:
                return await asyncio.to_thread(self._hasher.hash, password)
        return await self._run(self._hasher.hash, password)

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Whether the password fits; without a hash it takes as long and never does."""
        fits = await self._run(self._verify, hashed or NOBODY, password)
        return fits and hashed is not None

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._waiting >= HASHES_WAITING_MAX:
            raise Unavailable("identity", "overloaded")
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(function, *args, **kwargs)
        finally:
            self._waiting -= 1

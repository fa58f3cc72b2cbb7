"""Synthetic people 虚构人员: names, ID cards, phones and addresses that belong to nobody.

Everything is drawn from a seed, so that the same seed makes the same people. ID cards carry the
right check digit but an area code that is not in use; phone numbers are from a test range.
"""

from datetime import date, timedelta
from random import Random
from uuid import UUID

import msgspec

from plugward.kit.ids import seeded_id
from plugward.vocabulary import Sex

_SURNAMES = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛范彭郎"
)
_GIVEN = {
    Sex.MALE: "建民志军文石国强伟明浩宇俊杰永平德海家宁学林博远子涵天佑振华立诚",
    Sex.FEMALE: "玉兰秀英美珍丽霞淑芬晓芳桂芬雨桐思琪欣怡梓萱静雯佳慧素琴彩霞若曦",
}
_STREETS = ("示范路", "样例街", "虚构大道", "演示巷", "测试里")
TWO_CHARACTERS = 0.75  # given names of two characters; a share, assumed
INSURED = 0.85
_AREA = "990106"  # not an administrative division in use
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_AGE_SHARES = (
    (0, 6, 8),
    (7, 17, 7),
    (18, 34, 20),
    (35, 49, 20),
    (50, 64, 23),
    (65, 79, 17),
    (80, 94, 5),
)


class Person(msgspec.Struct, frozen=True):
    """Somebody who does not exist."""

    id: UUID
    name: str
    sex: Sex
    born: date
    id_card: str
    phone: str
    address: str
    is_insured: bool


def id_card(born: date, sex: Sex, number: int) -> str:
    """An 18-place ID card number: area, birth date, serial (odd for men), check digit."""
    serial = number % 500 * 2 + (1 if sex is Sex.MALE else 0)
    body = f"{_AREA}{born:%Y%m%d}{serial:03}"
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + _CHECK[total % 11]


def make_person(chance: Random, number: int, today: date, milliseconds: int) -> Person:
    """The ``number``-th person of this seed."""
    sex = chance.choice((Sex.MALE, Sex.FEMALE))
    low, high, _ = chance.choices(_AGE_SHARES, [share for *_, share in _AGE_SHARES])[0]
    born = today - timedelta(days=chance.randint(low * 365 + 30, high * 366))
    given = _GIVEN[sex]
    first = chance.randrange(len(given))
    name = chance.choice(_SURNAMES) + given[first]
    if chance.random() < TWO_CHARACTERS:
        name += given[chance.randrange(len(given))]
    return Person(
        id=seeded_id(milliseconds, f"person:{number}:{chance.random()}".encode()),
        name=name,
        sex=sex,
        born=born,
        id_card=id_card(born, sex, number),
        phone=f"1990000{number % 10_000:04}",
        address=f"{chance.choice(_STREETS)}{chance.randint(1, 999)}号",
        is_insured=chance.random() < INSURED,
    )

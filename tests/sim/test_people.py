"""Invented people: one seed makes the same ones, and their cards have the right check digit."""

from datetime import date
from random import Random

from plugward.sim.people import id_card, make_person
from plugward.vocabulary import Sex

TODAY = date(2026, 3, 2)


def test_the_same_seed_makes_the_same_people() -> None:
    def crowd(seed: int) -> list[str]:
        chance = Random(seed)
        return [make_person(chance, n, TODAY, 1_772_000_000_000).id_card for n in range(50)]

    assert crowd(3) == crowd(3)
    assert crowd(3) != crowd(4)
    assert len(set(crowd(3))) == 50


def test_the_check_digit_is_that_of_the_standard() -> None:
    """GB 11643: the weighted sum of all places, the last counted once, is 1 modulo 11."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
    for number in range(40):
        card = id_card(date(1959, 3, 2), Sex.MALE, number)
        digits = [10 if c == "X" else int(c) for c in card]
        assert sum(d * w for d, w in zip(digits, weights, strict=True)) % 11 == 1
        assert int(card[16]) % 2 == 1

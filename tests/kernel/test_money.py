"""Money is whole fen; splitting and rounding lose nothing and add nothing."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugward.kit.money import ZERO, Money, UnitPrice

amounts = st.builds(Money, fen=st.integers(-(10**12), 10**12))
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any)
prices = st.decimals(0, 10**6, places=4).map(lambda yuan: UnitPrice(yuan=yuan))


@given(amounts, weights)
def test_the_parts_sum_to_the_whole(amount: Money, shares: list[int]) -> None:
    """按权重分摊：各份之和恒等于总额。"""
    parts = amount.allocate(shares)
    assert Money.total(parts) == amount
    assert len(parts) == len(shares)


@given(amounts, weights)
def test_nobody_gets_more_than_a_fen_beside_the_exact_share(
    amount: Money, shares: list[int]
) -> None:
    for part, share in zip(amount.allocate(shares), shares, strict=True):
        assert abs(part.fen * sum(shares) - amount.fen * share) < sum(shares)
        assert part.fen == 0 if share == 0 else part.fen * amount.fen >= 0


@given(amounts, weights)
def test_taking_back_is_split_like_paying(amount: Money, shares: list[int]) -> None:
    assert tuple(-part for part in amount.allocate(shares)) == (-amount).allocate(shares)


def test_the_first_lines_take_the_rest() -> None:
    assert Money(fen=100).allocate([1, 1, 1]) == (Money(fen=34), Money(fen=33), Money(fen=33))
    assert Money(fen=2).allocate([0, 1, 1, 1]) == (ZERO, Money(fen=1), Money(fen=1), ZERO)


@pytest.mark.parametrize("wrong", [[], [0, 0], [1, -1], [2, -1]])
def test_shares_that_mean_nothing_are_refused(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Money(fen=100).allocate(wrong)


@given(amounts, amounts, st.integers(-1_000, 1_000))
def test_sums_and_multiples_are_exact(one: Money, other: Money, times: int) -> None:
    assert (one + other).fen == one.fen + other.fen
    assert one + other - other == one
    assert (one * times).fen == one.fen * times
    assert (-one).fen == -one.fen
    assert (one < other) == (one.fen < other.fen)
    assert bool(one) == (one != ZERO)


@given(amounts)
def test_written_and_read_it_is_the_same(amount: Money) -> None:
    assert Money.of_yuan(str(amount).replace(",", "")) == amount


def test_it_reads_like_a_receipt() -> None:
    assert str(Money(fen=1_234_567)) == "12,345.67"
    assert str(Money(fen=-5)) == "-0.05"


def test_half_a_fen_is_an_error_not_a_rounding() -> None:
    with pytest.raises(ValueError, match="whole number of fen"):
        Money.of_yuan("0.005")
    for nonsense in ("1 / 2", "ten"):
        with pytest.raises(ArithmeticError):
            Money.of_yuan(nonsense)


def test_money_cannot_be_divided_nor_mixed_with_numbers() -> None:
    for wrong in (lambda: Money(fen=1) / 2, lambda: Money(fen=1) + 1):  # type: ignore[operator]  # on purpose
        with pytest.raises((TypeError, AttributeError)):
            wrong()


@given(prices, st.integers(0, 10_000))
def test_a_price_is_rounded_half_up_once_a_line(price: UnitPrice, quantity: int) -> None:
    exact = price.yuan * quantity * 100
    amount = price.extend(quantity)
    assert Decimal(amount.fen) == exact.quantize(Decimal(1), rounding=ROUND_HALF_UP)
    assert abs(Decimal(amount.fen) - exact) <= Decimal("0.5")


def test_a_price_has_at_most_four_decimals() -> None:
    assert UnitPrice(yuan=Decimal("0.8400")).extend(28) == Money(fen=2_352)
    assert UnitPrice(yuan=Decimal("0.0050")).extend(1) == Money(fen=1)
    assert UnitPrice(yuan=Decimal("2.5")).extend(Decimal("0.5")) == Money(fen=125)
    with pytest.raises(ValueError, match="four decimals"):
        UnitPrice(yuan=Decimal("0.00001"))

"""What the desk proposes: packs for the days, a repeated prescription, numbers read from text."""

from decimal import Decimal
from typing import Any

import pytest

from plugward.boards.clinic.contract import ChosenDiagnosis, NoteText, VitalUnreadable
from plugward.boards.clinic.rules import (
    LineChange,
    bmi_of,
    content_of,
    flags_of,
    packs_for,
    repeated,
    text_of,
    usual_line,
    vitals_of,
    with_change,
    with_line,
)
from plugward.boards.orders.contract import LineState, OrderableItem, OrderGroup, OrderLine
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
)

TIMES = {"QD": Decimal(1), "BID": Decimal(2), "QN": Decimal(1)}


def drug(item: str, name: str, usual: str, frequency: str, per_pack: int) -> OrderableItem:
    dose, unit = usual.split()
    return OrderableItem(
        kind=OrderKind.DRUG,
        item=item,
        name_zh=name,
        name_en=name,
        pinyin="",
        spec="",
        unit="盒",
        dose=Decimal(dose),
        dose_unit=unit,
        route="PO",
        frequency=frequency,
        doses_per_pack=Decimal(per_pack),
    )


AMLODIPINE = drug("D0034", "苯磺酸氨氯地平片", "5 mg", "QD", 28)
METFORMIN = drug("D0171", "盐酸二甲双胍缓释片", "0.5 g", "BID", 30)
SIMVASTATIN = drug("D0052", "辛伐他汀片", "20 mg", "QN", 14)


def line_id() -> OrderLineId:
    return OrderLineId(new_id())


@pytest.mark.parametrize(
    ("item", "dose", "days", "packs"),
    [
        (AMLODIPINE, "5", 28, 1),
        (AMLODIPINE, "10", 28, 2),  # 10 mg qd × 28 天
        (METFORMIN, "0.5", 28, 2),  # 0.5 g bid × 28 天 = 56 片
        (SIMVASTATIN, "40", 28, 4),
        (SIMVASTATIN, "20", 28, 2),
        (SIMVASTATIN, "20", 1, 1),
    ],
)
def test_packs_are_enough_for_the_days_and_no_more(
    item: OrderableItem, dose: str, days: int, packs: int
) -> None:
    """总量由单次剂量、频次、天数算出，向上取整到盒。"""
    line = usual_line(line_id(), item, TIMES, days).replace(dose=Decimal(dose))
    assert packs_for(line, item, TIMES) == packs


def test_halving_the_dose_proposes_half_the_packs_but_packs_by_hand_stay() -> None:
    """辛伐他汀 40 mg 改 20 mg：4 盒自动变 2 盒；手改盒数不被覆盖。"""
    line = usual_line(line_id(), SIMVASTATIN, TIMES, 28).replace(dose=Decimal(40), quantity=4)

    def change(**values: Any) -> LineChange:
        kept: dict[str, Any] = {"quantity": 4, "dose": Decimal(40), "frequency": "QN", "days": 28}
        return LineChange(line=line.id, **(kept | values))

    [halved] = with_change((line,), change(dose=Decimal(20)), SIMVASTATIN, TIMES)
    assert (halved.dose, halved.quantity) == (Decimal(20), 2)
    [by_hand] = with_change((line,), change(quantity=2), SIMVASTATIN, TIMES)
    assert (by_hand.dose, by_hand.quantity) == (Decimal(40), 2)
    [both] = with_change((line,), change(dose=Decimal(20), quantity=3), SIMVASTATIN, TIMES)
    assert both.quantity == 3


def test_the_same_item_again_takes_its_place_and_a_repeated_click_changes_nothing() -> None:
    first = usual_line(line_id(), AMLODIPINE, TIMES)
    again = usual_line(line_id(), AMLODIPINE, TIMES).replace(quantity=3)
    assert with_line((first,), again) == (again,)
    assert with_line((again,), again) == (again,)


def test_a_repeated_prescription_gets_ids_of_its_own_and_leaves_out_what_is_out_of_use() -> None:
    """续方：新编号；停用的药不带；再按一次不重复。"""
    group = OrderGroup(
        id=OrderGroupId(new_id()),
        encounter=EncounterId(new_id()),
        patient=PatientId(new_id()),
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        author="staff:tester",
        signed_at=hospital_time("2026-10-21 09:00"),
        indication="",
        lines=(),
    )
    lines = tuple(
        OrderLine(
            **usual_line(line_id(), item, TIMES, 28).fields(),
            group=group.id,
            encounter=group.encounter,
            patient=group.patient,
            campus=group.campus,
            name_zh=item.name_zh,
            name_en=item.name_en,
            spec="",
            unit="盒",
            state=LineState.DISPENSED,
        )
        for item in (AMLODIPINE, METFORMIN, SIMVASTATIN)
    )
    group, act = group.replace(lines=lines), new_id()
    basket = repeated((), group, ["D0034", "D0052"], act)
    assert [line.item for line in basket] == ["D0034", "D0052"]
    assert [line.days for line in basket] == [28, 28]
    assert not {line.id for line in basket} & {line.id for line in lines}
    assert repeated(basket, group, ["D0034", "D0052"], act) == basket


def test_vital_signs_are_read_as_doctors_write_them() -> None:
    vitals = vitals_of(
        NoteText(pressure=" 158／94 ", oxygen="98%", temperature="36.5", body="74/170", pulse="82")
    )
    assert (vitals.systolic_mmhg, vitals.diastolic_mmhg, vitals.oxygen_percent) == (158, 94, 98)
    assert (vitals.weight_kg, vitals.height_cm) == (Decimal(74), Decimal(170))
    assert bmi_of(vitals) == Decimal("25.6")
    assert flags_of(vitals) == {"pressure", "body"}


@pytest.mark.parametrize("text", ["158", "158/94/2", "abc", "1580/94"])
def test_what_cannot_be_read_is_never_guessed(text: str) -> None:
    with pytest.raises(VitalUnreadable):
        vitals_of(NoteText(pressure=text))


def test_a_signed_note_opens_for_correction_as_it_was_typed() -> None:
    typed = NoteText(
        complaint="头胀 1 周", plan="复诊", pressure="158/94", body="74/170", pulse="82"
    )
    content = content_of(typed, (ChosenDiagnosis(icd10="I10", name="高血压"),))
    assert text_of(content) == typed

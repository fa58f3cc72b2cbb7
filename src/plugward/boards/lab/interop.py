"""ORU 检验结果消息: what analysers and other laboratories' systems report."""

from uuid import UUID

from plugward.kernel import Refusal
from plugward.kernel.interop import Group, Received, Rejected, Why, inbound
from plugward.vocabulary import OrderLineId

from .contract import (
    ItemUnknown,
    Lab,
    NewResult,
    OutsideResults,
    ResultNotANumber,
    ResultNotAsked,
    ResultTwice,
    SpecimenNotFound,
)

FINAL = {"F": True, "C": True, "P": False, "R": False, "S": False, "I": False}
"""HL7 tables 0085 and 0123: final and corrected, and what is not finished."""
NOT_OBTAINED = ("X", "N", "D")
"""OBX-11: there is no value to take."""

WRONG_ITEM: dict[type[Refusal], tuple[str, Why, str]] = {
    ItemUnknown: ("3", Why.NOT_IN_TABLE, "检验项目不在目录中"),
    ResultNotAsked: ("3", Why.UNKNOWN_KEY, "该标本没有申请此项目"),
    ResultNotANumber: ("5", Why.WRONG_TYPE, "结果须为数值"),
    ResultTwice: ("3", Why.DUPLICATE_KEY, "项目结果重复"),
}


@inbound(
    "ORU^R01",
    permissions={"lab.interface"},
    blame={SpecimenNotFound: ("OBR-2", Why.UNKNOWN_KEY)},
)
async def take_results(message: Received, lab: Lab) -> None:
    """检验结果：每个 OBR 一份；项目或数值有误时指明是第几个 OBX。"""
    groups = message.groups("OBR")
    if not groups:
        raise Rejected("OBR", Why.SEQUENCE, "结果消息没有 OBR")
    for number, group in enumerate(groups):
        places = _places(message, group)
        try:
            await lab.outside(_results(message, group, places, number))
        except (ItemUnknown, ResultNotAsked, ResultNotANumber, ResultTwice) as refusal:
            field, why, words = WRONG_ITEM[type(refusal)]
            place = places.get(refusal.item, group["OBR"][0])
            raise Rejected(f"{place}-{field}", why, words) from refusal


def _places(message: Received, group: Group) -> dict[str, str]:
    """Item → the OBX it stands in, leaving out values that could not be obtained."""
    return {
        message.need(f"{place}-3.1", "缺少检验项目"): place
        for place in group.get("OBX", ())
        if message.text(f"{place}-11") not in NOT_OBTAINED
    }


def _results(
    message: Received, group: Group, places: dict[str, str], number: int
) -> OutsideResults:
    [obr] = group["OBR"]
    values = tuple(
        NewResult(item=item, value=_value(message, place)) for item, place in places.items()
    )
    if not values:
        raise Rejected(f"{obr}-4", Why.MISSING, "没有任何结果")
    barcode = message.text(f"{group['SPM'][0]}-2.1") if "SPM" in group else ""
    verifier = next((message.text(f"{place}-16.2") for place in places.values()), "")
    return OutsideResults(
        id=message.derive("results", number),
        source=message.sender,
        results=values,
        barcode=barcode,
        line=None if barcode else _line(message, f"{obr}-2.1"),
        is_final=message.choice(f"{obr}-25", FINAL, False),
        verified_by=verifier,
        measured_at=message.instant(f"{obr}-22"),
    )


def _value(message: Received, place: str) -> str:
    value = message.whole(f"{place}-5")
    if not value:
        raise Rejected(f"{place}-5", Why.MISSING, "缺少结果值")
    return value


def _line(message: Received, place: str) -> OrderLineId:
    text = message.need(place, "缺少申请号或条码")
    try:
        return OrderLineId(UUID(text))
    except ValueError:
        raise Rejected(place, Why.UNKNOWN_KEY, "没有该申请号") from None

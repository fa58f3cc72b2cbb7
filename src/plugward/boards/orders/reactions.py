"""What this board does when something happens elsewhere in the hospital."""

from plugward.commons.masterdata.contract import EntryPublished
from plugward.kernel import on

from .rules import item_of, usage_of
from .service import OrderService


@on(EntryPublished)
async def learn_what_can_be_ordered(event: EntryPublished, orders: OrderService) -> None:
    """主数据发布药品、检验、检查、治疗或用法频次的新版本，保存可开项目的副本。"""
    item = item_of(event.entry)
    if item is not None:
        await orders.learn_item(item)
    usage = usage_of(event.entry)
    if usage is not None:
        await orders.learn_usage(usage)

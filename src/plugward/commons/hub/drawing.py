"""Drawing 绘图: the systems map as places and strokes, throughput as chart options.

The numbers are the mock-up's: 930 by 288, five boxes on either side of the hub.
"""

from typing import Any, NamedTuple

from plugward.kernel.pages import Viewer
from plugward.kit.time import HOSPITAL_ZONE

from .contract import LineState, MinuteCount, SystemLine

BOXES = 5
TOP, STEP = 27, 48
LEFT, RIGHT = 64, 694
BOX_WIDTH = 172
HUB_LEFT, HUB_RIGHT, HUB_MIDDLE = 408, 522, 139
WIDEST, BUSY = 7.0, 1000.0
_ORDER = {LineState.DOWN: 0, LineState.DEGRADED: 1, LineState.OK: 2}


class Box(NamedTuple):
    """One system on the map, and its line to the hub."""

    line: SystemLine
    x: int
    y: int
    path: str
    width: float


class Map(NamedTuple):
    """What is drawn; ``more``: lines that found no place, the quiet ones."""

    boxes: tuple[Box, ...]
    more: int


def map_of(lines: tuple[SystemLine, ...]) -> Map:
    """Senders to the left, receivers to the right; what fails first, then the busiest."""
    boxes: list[Box] = []
    for is_receiver in (False, True):
        side = [one for one in lines if one.is_receiver is is_receiver]
        side.sort(key=lambda one: (_ORDER[one.state], -one.per_minute, one.code))
        boxes += [_box(one, place, is_receiver) for place, one in enumerate(side[:BOXES])]
    return Map(tuple(boxes), len(lines) - len(boxes))


def _box(line: SystemLine, place: int, is_receiver: bool) -> Box:
    y = TOP + STEP * place
    middle = y + 21
    if is_receiver:
        path = f"M{RIGHT + 14} {middle} C590 {middle},620 {HUB_MIDDLE},{HUB_RIGHT} {HUB_MIDDLE}"
    else:
        at = LEFT + BOX_WIDTH - 14
        path = f"M{at} {middle} C340 {middle},310 {HUB_MIDDLE},{HUB_LEFT} {HUB_MIDDLE}"
    width = round(1.6 + (WIDEST - 1.6) * min(1.0, line.per_minute / BUSY) ** 0.5, 1)
    return Box(line, RIGHT if is_receiver else LEFT, y, path, width)


def throughput_of(points: tuple[MinuteCount, ...], viewer: Viewer) -> dict[str, Any]:
    """Messages a minute and the share of errors, over the day."""
    times = [f"{point.at.astimezone(HOSPITAL_ZONE):%H:%M}" for point in points]
    rates = [round(point.error_rate * 100, 2) for point in points]
    counts = [point.per_minute for point in points]
    messages, errors = viewer.say("消息/分", "messages/min"), viewer.say("错误率 %", "errors %")
    option = {
        "grid": {"left": 44, "right": 44, "top": 26, "bottom": 22},
        "legend": {"top": 0, "left": 0},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "category", "data": times, "boundaryGap": False},
        "yAxis": [
            {"type": "value", "splitNumber": 2},
            {"type": "value", "splitNumber": 2, "splitLine": {"show": False}, "min": 0},
        ],
        "series": [
            {
                "name": messages,
                "type": "line",
                "data": counts,
                "showSymbol": False,
                "color": "--c1",
                "areaStyle": {"opacity": 0.12},
            },
            {
                "name": errors,
                "type": "line",
                "step": "end",
                "yAxisIndex": 1,
                "data": rates,
                "showSymbol": False,
                "color": "--danger-fill",
            },
        ],
    }
    busiest = max(counts, default=0)
    sentence = viewer.say(
        f"最近一天每刻钟的消息量与错误率，最高每分钟 {busiest:g} 条",
        f"Messages and errors by quarter of an hour over a day, at most {busiest:g} a minute",
    )
    rows = [
        [time, f"{count:g}", f"{rate:g}"]
        for time, count, rate in zip(times, counts, rates, strict=True)
    ]
    columns = [(viewer.say("时间", "time"), ""), (messages, "num"), (errors, "num")]
    return {"option": option, "sentence": sentence, "columns": columns, "rows": rows}

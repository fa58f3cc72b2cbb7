"""Prometheus 指标: the meters of a process in the text format that monitoring systems read."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from .meters import Meter, Meters, upper_bound_s

KIND = "text/plain; version=0.0.4; charset=utf-8"
_EVERY = 4  # one bound a doubling: enough for a chart, a quarter of the lines


class Gauge(msgspec.Struct, frozen=True):
    """One figure for each value of a label, as it is now."""

    name: str
    help: str
    label: str
    values: Mapping[str, float]


def exposition(meters: Meters, gauges: Sequence[Gauge] = ()) -> str:
    """Calls by outcome, a histogram of their times, and the gauges given."""
    found = sorted(meters.by_operation.items())
    return "\n".join((*_calls(found), *_times(found), *_gauges(gauges))) + "\n"


def _calls(found: list[tuple[str, Meter]]) -> Iterator[str]:
    yield "# HELP plugward_calls_total Calls of an operation by outcome."
    yield "# TYPE plugward_calls_total counter"
    for name, meter in found:
        for outcome, count in sorted(meter.outcomes.items()):
            labels = f'operation="{_escaped(name)}",outcome="{_escaped(outcome)}"'
            yield f"plugward_calls_total{{{labels}}} {count}"


def _times(found: list[tuple[str, Meter]]) -> Iterator[str]:
    yield "# HELP plugward_call_seconds Time of an operation."
    yield "# TYPE plugward_call_seconds histogram"
    for name, meter in found:
        operation = f'operation="{_escaped(name)}"'
        seen = 0
        for index, count in enumerate(meter.buckets[:-1]):  # the last one has no upper bound
            seen += count
            if index % _EVERY == _EVERY - 1:
                bound = f"{upper_bound_s(index):.6f}"
                yield f'plugward_call_seconds_bucket{{{operation},le="{bound}"}} {seen}'
        yield f'plugward_call_seconds_bucket{{{operation},le="+Inf"}} {meter.calls}'
        yield f"plugward_call_seconds_sum{{{operation}}} {meter.total_s:.6f}"
        yield f"plugward_call_seconds_count{{{operation}}} {meter.calls}"


def _gauges(gauges: Sequence[Gauge]) -> Iterator[str]:
    for gauge in gauges:
        yield f"# HELP {gauge.name} {gauge.help}"
        yield f"# TYPE {gauge.name} gauge"
        for value, figure in sorted(gauge.values.items()):
            yield f'{gauge.name}{{{gauge.label}="{_escaped(value)}"}} {figure:g}'


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

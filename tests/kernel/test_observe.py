"""What is seen of a running hospital: everything that helps, and nothing of a patient."""

import asyncio
import io
import json
import logging
import stat
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from plugward.kernel import Unavailable
from plugward.kernel.envelope import acting_as
from plugward.kernel.observe.logs import guard, safe, stop_writing, write_json
from plugward.kernel.observe.meters import Meters
from plugward.kernel.observe.prometheus import Gauge, exposition
from plugward.kernel.observe.traces import SPANS
from plugward.kernel.testing import a_tester
from plugward.kit.ids import new_id

from .hospital import a_parcel, hospital, outcome, received
from .labels.board import board as labels_board
from .labels.contract import Labels
from .parcels.board import board as parcels_board
from .parcels.contract import ParcelNotFound, Parcels

PLANTED = "审计测试·唯一串"
log = logging.getLogger("plugward.test")


class Colour(StrEnum):
    RED = "red"


# ── logs ─────────────────────────────────────────────────────────────────────────────────────
class Lines:
    """Our log, as the lines that were written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = write_json(self.stream, level=logging.DEBUG)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    before = logging.getLogger("plugward").level
    found = Lines()
    yield found
    stop_writing(found.handler)
    logging.getLogger("plugward").setLevel(before)


def test_a_line_is_one_json_object_with_its_time_and_its_level(lines: Lines) -> None:
    log.warning("parked %s after %d tries", "orders.group.signed.v1", 5, extra={"trace": "4711"})
    [line] = lines.all
    assert line["event"] == "parked orders.group.signed.v1 after 5 tries"
    assert (line["level"], line["logger"], line["trace"]) == ("warning", "plugward.test", "4711")
    assert line["at"].endswith("Z")


def test_a_message_type_in_a_log_is_only_its_name(lines: Lines) -> None:
    """日志里放不进报文：只留类型名。"""
    parcel = a_parcel(name=PLANTED)
    log.info("received %s", parcel)
    log.info("received %s of %r", [parcel], {"parcel": parcel})
    log.info("received %(parcel)s", {"parcel": parcel})
    log.info("received", extra={"parcel": parcel, "parcels": (parcel,)})
    log.info(parcel)
    assert PLANTED not in lines.text
    assert len(lines.all) == 5
    assert lines.text.count("[Parcel withheld]") == 7


def test_an_exceptions_text_stays_out_and_its_place_is_told(lines: Lines) -> None:
    def read(name: str) -> None:
        try:
            {}[name]
        except KeyError as error:
            raise ValueError(f"no such patient {name}") from error

    try:
        read(PLANTED)
    except ValueError as error:
        log.exception("could not read: %s", error)  # noqa: TRY401 - what is tested
        log.warning("could not read", exc_info=error, extra={"cause": error})
    assert PLANTED not in lines.text
    for line in lines.all:
        assert line["error"] == "ValueError (text withheld)"
        assert any("test_observe.py" in frame and "read" in frame for frame in line["frames"])
    assert lines.all[0]["event"] == "could not read: ValueError"


def test_other_handlers_of_the_process_are_guarded_too() -> None:
    guard()
    guard()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    foreign = logging.getLogger("some.library")
    foreign.addHandler(handler)
    try:
        int(PLANTED)
    except ValueError:
        foreign.exception("bound parameters %s", a_parcel(name=PLANTED))
    foreign.removeHandler(handler)
    assert "ValueError (text withheld)" in stream.getvalue()
    assert "[Parcel withheld]" in stream.getvalue()
    assert PLANTED not in stream.getvalue()


def test_what_names_or_measures_may_be_logged_and_nothing_else() -> None:
    some_id = new_id()
    for harmless in ("lab", 3, 2.5, True, None, some_id, date(2026, 3, 2), Decimal("1.50")):
        assert safe(harmless) == harmless
    assert safe(Colour.RED) == "red"
    assert safe(b"1234") == "[4 bytes]"
    assert safe(a_parcel()) == "[Parcel withheld]"
    assert safe(Unavailable("lab", "storage")) == "lab: storage"
    assert safe(ParcelNotFound()) == "parcels.ParcelNotFound"
    assert safe(OSError(PLANTED)) == "OSError"
    assert safe(object()) == "[object withheld]"


async def test_a_line_says_in_whose_call_it_was_written(lines: Lines) -> None:
    async with hospital() as runtime:
        service = runtime.plugged["parcels"].service
        service.gate.set()

        async def wait() -> int:
            log.info("waiting")
            return 1

        service.wait = wait
        with acting_as(a_tester()) as call:
            await runtime.client(Parcels).wait()
    [line] = [line for line in lines.all if line["event"] == "waiting"]
    assert line["trace"] == call.envelope.trace
    assert (line["actor"], line["operation"]) == ("staff:tester", "parcels.wait")


async def test_a_planted_patient_is_in_no_log_whatever_goes_wrong(
    lines: Lines, tmp_path: Path
) -> None:
    """埋一个唯一患者，让一切出错，然后翻遍日志。"""
    async with hospital(parcels_board, labels_board, folder=tmp_path) as runtime:
        client = runtime.client(Parcels)
        runtime.plugged["labels"].service.trouble = lambda event: 1 / len(event.parcel.name[:0])
        with acting_as(a_tester()):
            parcel = await client.receive(a_parcel(name=PLANTED))
            await outcome(client.receive(parcel))
            await outcome(client.lose(a_parcel(name=PLANTED)))
            await outcome(client.receive(a_parcel(name=PLANTED * 100)))
            await outcome(client.peek_and_write(a_parcel(name=PLANTED)))
        await asyncio.sleep(0.3)
    assert "唯一串" not in lines.text
    assert any(line["level"] == "error" for line in lines.all)


def test_a_log_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "plugward.jsonl"
    handler = write_json(path)
    log.warning("hello")
    stop_writing(handler)
    assert json.loads(path.read_text("utf-8"))["event"] == "hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log.warning("nobody listens any more")
    assert len(path.read_text("utf-8").splitlines()) == 1


# ── traces ───────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    SPANS.enable(provider)
    yield exporter
    SPANS.disable()


def found(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    [span] = [span for span in spans.get_finished_spans() if span.name == name]
    return span


async def test_a_call_over_two_boards_is_one_trace(spans: InMemorySpanExporter) -> None:
    async with hospital(parcels_board, labels_board) as runtime:
        parcel = await received(runtime)
        await runtime.quiet()
        spans.clear()
        with acting_as(a_tester()) as call:
            await runtime.client(Labels).owner_of(parcel.id)
    outer, inner = found(spans, "labels.owner_of"), found(spans, "parcels.parcel")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.context.trace_id == inner.context.trace_id == int(call.envelope.trace, 16)
    assert dict(outer.attributes or {})["plugward.outcome"] == "ok"
    assert dict(inner.attributes or {})["plugward.caller"] == "labels"


async def test_a_reaction_belongs_to_the_trace_of_its_cause(spans: InMemorySpanExporter) -> None:
    async with hospital(parcels_board, labels_board) as runtime:
        with acting_as(a_tester()) as call:
            await runtime.client(Parcels).receive(a_parcel())
        await runtime.quiet()
    heard = found(spans, "on:label_the_received")
    assert heard.context.trace_id == int(call.envelope.trace, 16)
    assert dict(heard.attributes or {})["plugward.tag"] == "parcels.parcel.received.v1"


async def test_a_refusal_is_an_outcome_and_a_fault_an_error_without_text(
    spans: InMemorySpanExporter,
) -> None:
    async with hospital() as runtime:
        with acting_as(a_tester()):
            await outcome(runtime.client(Parcels).hand_out(new_id()))
            await outcome(runtime.client(Parcels).lose(a_parcel(name=PLANTED)))
    refused, failed = found(spans, "parcels.hand_out"), found(spans, "parcels.lose")
    assert refused.status.is_unset
    assert dict(refused.attributes or {})["plugward.refusal"] == "parcels.ParcelNotFound"
    assert (failed.status.is_ok, failed.status.description) == (False, "fault")
    assert PLANTED not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_off_there_are_no_spans(spans: InMemorySpanExporter) -> None:
    SPANS.disable()
    async with hospital() as runtime:
        await received(runtime)
    assert spans.get_finished_spans() == ()


# ── metrics ──────────────────────────────────────────────────────────────────────────────────
def test_the_metrics_are_what_a_monitoring_system_reads() -> None:
    meters = Meters()
    for seconds in (0.000_01, 0.001, 0.004, 0.5, 30.0):
        meters.count("lab.collect", seconds, "ok")
    meters.count("lab.collect", 0.002, "conflict")
    gauges = (Gauge("plugward_board_up", "Plugged in.", "board", {"lab": 1, 'a"b': 0}),)
    families = {f.name: f for f in text_string_to_metric_families(exposition(meters, gauges))}

    calls = {s.labels["outcome"]: s.value for s in families["plugward_calls"].samples}
    assert calls == {"ok": 5, "conflict": 1}
    times = families["plugward_call_seconds"].samples
    buckets = [(float(s.labels["le"]), s.value) for s in times if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert buckets[-1] == (float("inf"), 6)
    for le, count in buckets[:-1]:
        assert count == sum(1 for s in (0.000_01, 0.001, 0.004, 0.5, 0.002) if s <= le), le
    [total] = [s.value for s in times if s.name.endswith("_sum")]
    assert total == pytest.approx(30.507_01)
    boards = {s.labels["board"]: s.value for s in families["plugward_board_up"].samples}
    assert boards == {"lab": 1, 'a"b': 0}


def test_nothing_measured_is_still_a_page() -> None:
    assert list(text_string_to_metric_families(exposition(Meters())))


def test_a_quantile_is_an_upper_bound() -> None:
    meters = Meters()
    for milliseconds in range(1, 101):
        meters.count("lab.collect", milliseconds / 1000, "ok")
    meter = meters.by_operation["lab.collect"]
    for share in (0.5, 0.95, 0.99):
        bound = meter.quantile_ms(share)
        assert bound is not None
        assert share * 100 <= bound <= share * 100 * 1.2
    assert Meters().of_board("lab").quantile_ms(0.5) is None

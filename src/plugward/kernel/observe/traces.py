"""Traces 链路追踪: OpenTelemetry spans over calls and reactions; off until somebody asks.

Off, the hot path pays for one look at an attribute. Spans carry names, ids and outcomes, never
arguments, and no exception's text. The trace id is the envelope's, so that a log line, an audit
entry and a span of one request find each other.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..envelope import Envelope
from ..refusals import Refusal, Unavailable

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

_LOW = (1 << 64) - 1


class Spans:
    """The tracer of this process, if there is one."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None  # the library is loaded when somebody asks for spans

    def enable(self, provider: "TracerProvider") -> None:
        """From now on calls and reactions become spans of this provider."""
        self.tracer = provider.get_tracer("plugward")

    def disable(self) -> None:
        self.tracer = None

    @contextmanager
    def span(
        self, name: str, envelope: Envelope, *, hears: bool = False, **attributes: str
    ) -> Generator[None, None, None]:
        """One span around the block. A refusal is an outcome; an outage or a fault is an error."""
        tracer = self.tracer
        if tracer is None:
            yield
            return
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - see above

        given: dict[str, Any] = {
            "plugward.campus": envelope.campus,
            "plugward.caller": envelope.caller,
            "plugward.request": str(envelope.request),
            **{f"plugward.{key}": value for key, value in attributes.items()},
        }
        with tracer.start_as_current_span(
            name,
            context=_parent(envelope),
            kind=SpanKind.CONSUMER if hears else SpanKind.SERVER,
            attributes=given,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                _mark(span, error)
                raise
            span.set_attribute("plugward.outcome", "ok")


def _parent(envelope: Envelope) -> Any:
    """The span under way, if it belongs to this request; else the request's own trace."""
    from opentelemetry import trace as otel  # noqa: PLC0415 - see above

    trace_id = int(envelope.trace, 16) if len(envelope.trace) == 32 else 0  # noqa: PLR2004 - 128 bits in hexadecimal
    current = otel.get_current_span().get_span_context()
    if not trace_id or (current.is_valid and current.trace_id == trace_id):
        return None
    context = otel.SpanContext(
        trace_id=trace_id,
        span_id=(trace_id & _LOW) or 1,
        is_remote=True,
        trace_flags=otel.TraceFlags(otel.TraceFlags.SAMPLED),
    )
    return otel.set_span_in_context(otel.NonRecordingSpan(context))


def _mark(span: "Span", error: BaseException) -> None:
    if isinstance(error, Refusal):
        span.set_attribute("plugward.outcome", error.kind)
        span.set_attribute("plugward.refusal", error.code)
        return
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - see above

    outcome = error.reason if isinstance(error, Unavailable) else type(error).__name__.lower()
    span.set_attribute("plugward.outcome", outcome)
    span.set_status(Status(StatusCode.ERROR, outcome))


SPANS = Spans()
"""One for the process, like the clock of its machine."""

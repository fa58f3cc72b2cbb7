"""FHIR at the gateway: which requests are FHIR's, and how its answers leave."""

from plugward.commons.hub.fhir import BASE, Answered
from plugward.commons.hub.fhir.outcome import of_status
from plugward.commons.hub.fhir.server import KIND

from .http import HttpError, Request, Response


def is_fhir(request: Request) -> bool:
    return request.path == BASE or request.path.startswith(f"{BASE}/")


def is_update(request: Request) -> bool:
    """PUT, PATCH and DELETE get past the gateway to be answered in FHIR's own words."""
    return is_fhir(request) and request.method in ("PUT", "PATCH", "DELETE")


def base_of(request: Request, *, https: bool) -> str:
    """The address the client used; the guard has checked the host."""
    return f"{'https' if https else 'http'}://{request.headers.get('host', '')}{BASE}"


def response(answered: Answered) -> Response:
    kind = KIND if answered.resource is not None else ""
    made = Response(answered.body, status=answered.status, kind=kind)
    for name, value in answered.headers:
        made.header(name, value)
    return made


def denied(error: HttpError) -> Response:
    """The gateway's own no, as an OperationOutcome; an unknown host gets nothing of ours."""
    if error.status == 421:  # noqa: PLR2004 - HTTP
        return Response(status=421, kind="")
    made = response(Answered(error.status, of_status(error.status, error.code)))
    if error.retry_after_s:
        made.header("retry-after", str(error.retry_after_s))
    return made

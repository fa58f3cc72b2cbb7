"""Outcomes: whatever goes wrong is an OperationOutcome, in words that repeat no value."""

import inspect
from http import HTTPStatus

from plugward.kernel.fhir import Json, Unfit, concept, system, tidy
from plugward.kernel.refusals import (
    Conflict,
    Fault,
    Forbidden,
    NotFound,
    Refusal,
    SignInNeeded,
    Unavailable,
)

Problem = Unfit | Refusal | Unavailable | Fault

GATEWAY = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    423: "suppressed",
    429: "throttled",
    500: "exception",
    503: "transient",
}
"""The gateway's own statuses as FHIR issue types."""


def outcome(
    code: str, words: str, *, at: str = "", detail: Json | None = None, severity: str = "error"
) -> Json:
    issue = {
        "severity": severity,
        "code": code,
        "details": detail,
        "diagnostics": words,
        "expression": [at] if at else None,
    }
    return tidy({"resourceType": "OperationOutcome", "issue": [issue]})


def of_status(status: int, words: str) -> Json:
    """The gateway's own no."""
    return outcome(GATEWAY.get(status, "processing"), words)


def of_problem(problem: Problem) -> tuple[int, Json]:
    """What ended a request: its HTTP status and its outcome."""
    if isinstance(problem, Unfit):
        return problem.status, outcome(problem.code, problem.words, at=problem.at)
    if isinstance(problem, Unavailable):
        words = f"{problem.board} did not answer ({problem.reason}): repeat with the same id"
        return HTTPStatus.SERVICE_UNAVAILABLE, outcome("transient", words)
    if isinstance(problem, Fault):
        return HTTPStatus.INTERNAL_SERVER_ERROR, outcome("exception", f"trace {problem.trace}")
    said = concept(system("refusal"), problem.code, text=sentence(problem))
    return problem.http_status, outcome(_type_of(problem), problem.code, detail=said)


def sentence(refusal: Refusal) -> str:
    """A refusal in its own Chinese words, with its fields filled in."""
    words = inspect.getdoc(type(refusal)) or type(refusal).__name__
    for name in refusal.values.__struct_fields__:
        words = words.replace("{" + name + "}", str(getattr(refusal, name)))
    return words


def _type_of(refusal: Refusal) -> str:
    if isinstance(refusal, SignInNeeded):
        return "login"
    if isinstance(refusal, Forbidden):
        return "forbidden"
    if isinstance(refusal, NotFound):
        return "not-found"
    return "conflict" if isinstance(refusal, Conflict) else "business-rule"

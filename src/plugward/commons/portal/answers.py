"""Answers 应答: how refusals and errors look to a browser, to a fragment, to a system."""

from http import HTTPStatus
from typing import Any

from plugward.kernel.refusals import (
    Fault,
    Forbidden,
    NotAllowed,
    Refusal,
    SignInNeeded,
    Unavailable,
)

from .door import Visit
from .edge import refused
from .frame import Framer
from .http import HttpError, Request, Response, json_answer, redirect
from .table import Table

MACHINE_PATHS = ("/api/", "/openapi", "/metrics", "/health")


class Answers:
    """Turns what went wrong into a response."""

    def __init__(self, framer: Framer) -> None:
        self._framer = framer

    def error(self, table: Table, request: Request, visit: Visit, error: HttpError) -> Response:
        """The gateway's own no. An unknown host gets nothing of ours (SEC-GATE-05)."""
        if error.status == HTTPStatus.MISDIRECTED_REQUEST:
            return Response(status=421, kind="")
        if request.path.startswith(MACHINE_PATHS):
            answer = json_answer(
                {"code": error.code, "kind": "gateway", "fields": {}, "message": error.code,
                 "trace": request.id},
                error.status,
            )  # fmt: skip
        else:
            answer = self._shown(table, request, visit, error.status)
        if error.retry_after_s:
            answer.header("retry-after", str(error.retry_after_s))
        if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.header("allow", "GET, HEAD, POST")
        return answer

    def refusal(self, table: Table, request: Request, visit: Visit, refusal: Refusal) -> Response:
        """The hospital's rules say no: in words, in the place the page keeps for it."""
        sentence = table.words.refusal(refusal, visit.language)
        status = refusal.http_status
        if request.path.startswith(MACHINE_PATHS):
            return json_answer(refused(refusal, sentence, request.id), status)
        if isinstance(refusal, SignInNeeded) and not request.is_htmx and request.method == "GET":
            return redirect("/login")
        # A record that is not there is not a page that is not there.
        word = "refused_404" if status == HTTPStatus.NOT_FOUND else f"err_{status}"
        heading = table.words.say(word, visit.language)
        if isinstance(refusal, NotAllowed):  # whom to ask, before which right it is
            sentence = f"{table.words.say('err_403_note', visit.language)} {sentence}"
        answer = self._shown(table, request, visit, status, heading=heading, note=sentence)
        if isinstance(refusal, SignInNeeded):
            answer.header("x-plugward-login", "needed")
        wait = getattr(refusal, "wait_s", None) if isinstance(refusal, Forbidden) else None
        return answer.header("retry-after", str(wait)) if wait else answer

    def problem(
        self, table: Table, request: Request, visit: Visit, problem: Unavailable | Fault
    ) -> Response:
        """Somebody did not answer, or we made a mistake; never with any text of the cause."""
        status = problem.http_status
        if request.path.startswith(MACHINE_PATHS):
            code = type(problem).__name__
            fields = (
                {"board": problem.board, "reason": problem.reason}
                if isinstance(problem, Unavailable)
                else {}
            )
            return json_answer(
                {"code": code, "kind": code.lower(), "fields": fields,
                 "message": table.words.say(f"err_{status}", visit.language),
                 "trace": request.id},
                status,
            )  # fmt: skip
        return self._shown(table, request, visit, status)

    def _shown(
        self,
        table: Table,
        request: Request,
        visit: Visit,
        status: int,
        *,
        heading: str = "",
        note: str = "",
    ) -> Response:
        say = table.words.say
        values: dict[str, Any] = {
            "heading": heading or say(f"err_{status}", visit.language),
            "note": note or say(f"err_{status}_note", visit.language),
            "id": request.id[:13],
            "again": request.path if request.method == "GET" and status in (429, 500, 503) else "",
        }
        scene = self._framer.scene(table, "portal", visit)
        if request.is_htmx:
            tone = "w" if status in (409, 422, 423, 429) else "d"
            body = table.renderer.render("portal/refused.html", values | {"tone": tone}, scene)
            return Response(body, status=status)
        body = table.renderer.render("portal/error.html", values, scene)
        document = self._framer.bare(table, scene, body, title=values["heading"], path=request.path)
        return Response(document, status=status)

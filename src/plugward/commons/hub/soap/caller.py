"""Caller: a message becomes one call of another system's SOAP service.

The message is a JSON object of the operation's parameters; zeep writes and reads by the service's
WSDL, which is a file of the site: nothing is fetched, and ``wsdl_sha256`` pins it. The bytes go by
the hub's own client, with its limits and its list of addresses.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import zeep
from lxml.etree import tostring
from zeep.exceptions import Error, Fault, TransportError, ValidationError
from zeep.settings import Settings

from ..lanes import Failed, Kind
from ..ledger_records import Delivery, Outcome
from ..ledger_tables import State
from ..web.addresses import AddressRefused, checked_url
from ..web.client import AnswerLost, NotReached, WebClient
from ..web.outcome import ANSWER_KEPT_MAX, judged
from . import envelope

_CALLERS_FAULT = ("Client", "Sender")
_SETTINGS = Settings(forbid_dtd=True, forbid_entities=True, forbid_external=True)


class _Files:
    """What zeep loads by: files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def load(self, url: str) -> bytes:
        path = Path(str(url).removeprefix("file://")).resolve()
        if not path.is_relative_to(self._folder):
            raise ValueError(f"a WSDL leads to {str(url)[:100]!r}: nothing outside is loaded")
        return path.read_bytes()


class SoapCaller:
    """One operation of one service."""

    def __init__(
        self,
        file: Path,
        operation: str,
        *,
        client: WebClient,
        url: str = "",
        port: str = "",
        sha256: str = "",
        headers: Mapping[str, str] | None = None,
        accepted_has: str = "",
    ) -> None:
        if sha256 and hashlib.sha256(file.read_bytes()).hexdigest() != sha256.lower():
            raise ValueError(f"{file.name} is not the file that wsdl_sha256 means")
        try:
            made: Any = zeep.Client  # it has no types
            self._zeep = made(str(file), transport=_Files(file.parent), settings=_SETTINGS)
            self._port = self._zeep.bind(port_name=port or None)
        except Error as error:
            raise ValueError(f"{file.name}: {error}") from None
        if self._port is None or operation not in self._port._binding.all():
            raise ValueError(f"{file.name} has no operation {operation}")
        self._binding = self._port._binding
        self._operation = operation
        self._url = url or str(self._port._binding_options["address"])
        checked_url(self._url)
        self._client = client
        self._headers = dict(headers or {})
        self._accepted_has = accepted_has
        self.answers = False

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        try:
            parameters = msgspec.json.decode(delivery.body, type=dict[str, Any])
            body, headers = self._written(parameters)
        except msgspec.DecodeError:
            return Outcome(State.DEAD, "the message is no JSON object of parameters")
        except (ValidationError, TypeError, ValueError, AttributeError) as error:
            return Outcome(State.DEAD, f"the parameters do not fit: {type(error).__name__}")
        headers |= self._headers
        headers["Idempotency-Key"] = f"{delivery.message}-{delivery.part}"
        self.answers = False
        try:
            answer = await self._client.request("POST", self._url, headers=headers, body=body)
        except AddressRefused as refused:
            return Outcome(State.DEAD, str(refused))
        except NotReached as failure:
            raise Failed(str(failure), Kind.CONNECT) from failure
        except AnswerLost as failure:
            raise Failed(str(failure), Kind.NO_ANSWER) from failure
        self.answers = True
        if answer.status not in (200, 400, 500):  # a fault comes with 500, or 400 in SOAP 1.2
            return judged(answer.status, answer.headers, answer.body)
        return self._read(answer.status, answer.headers, answer.body)

    def _written(self, parameters: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
        made, headers = self._binding._create(
            self._operation, (), parameters, client=self._zeep, options=self._port._binding_options
        )
        return tostring(made, xml_declaration=True, encoding="utf-8"), dict(headers)

    def _read(self, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
        reply = SimpleNamespace(status_code=status, headers=headers, content=body, encoding="utf-8")
        try:
            self._binding.process_reply(self._zeep, self._binding.get(self._operation), reply)
        except Fault as fault:
            return _judged_fault(fault, body)
        except (TransportError, Error) as error:
            if status != 200:  # noqa: PLR2004 - no envelope: what HTTP says counts
                return judged(status, headers, body)
            raise Failed(
                f"the answer cannot be read: {type(error).__name__}", Kind.UNREADABLE
            ) from error
        if self._accepted_has and self._accepted_has not in _texts(body):
            raise Failed("the answer does not say that it was accepted", Kind.ERROR)
        return Outcome(State.DONE, answer=body[:ANSWER_KEPT_MAX])


def _judged_fault(fault: Fault, body: bytes) -> Outcome:
    code = str(fault.code or "").rpartition(":")[2].partition(".")[0]
    reason = f"fault {code}"
    if code in _CALLERS_FAULT:
        return Outcome(State.DEAD, reason, answer=body[:ANSWER_KEPT_MAX])
    raise Failed(reason, Kind.ERROR)


def _texts(body: bytes) -> str:
    try:
        return "".join(envelope.read_xml(body).itertext())
    except envelope.Fault:
        return ""

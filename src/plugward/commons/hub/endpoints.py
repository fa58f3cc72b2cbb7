"""Endpoints 去向登记: the receivers of ``destinations.toml``, each made ready to be delivered to.

[emr]
kind = "mllp"
host = "10.3.0.7"
port = 2600
retry.error = { attempts_max = 20 }
"""

import asyncio
import ssl
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .destinations import MllpDestination
from .lanes import DONE, POLICY, Deliver, Destination, Failed, Kind, Retry
from .ledger_records import Delivery, Outcome
from .ledger_tables import State
from .mllp import MllpClient
from .web.addresses import AddressRefused, checked_url, networks_of
from .web.outcome import judged
from .whole import write_whole

if TYPE_CHECKING:
    from .web.client import WebClient

BACKLOG_MAX = 200_000


class EndpointInvalid(ValueError):
    """A destination that cannot be used, and why."""


class Patience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``retry.connect`` and so on: what is not said is as usual."""

    first_s: float | None = None
    factor: float | None = None
    longest_s: float | None = None
    attempts_max: int | None = None


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form."""

    ca: str = ""
    """Who signs the other side's certificate; empty: the system's authorities."""
    cert: str = ""
    key: str = ""
    name: str = ""
    """What the certificate is to say, when it is not the host."""


class Endpoint(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What all have in common."""

    title: str = ""
    impact: str = ""
    """What stops in the hospital while it is away, for the console."""
    connections: int = 1
    backlog_max: int = BACKLOG_MAX
    retry: dict[str, Patience] = {}


class Mllp(Endpoint, frozen=True, tag="mllp"):
    """HL7 v2 over MLLP."""

    host: str
    port: int
    answer_s: float = 30.0
    keep_open: bool = True
    """``False``: a connection of its own for each message, as some receivers need it."""
    tls: Tls | None = None


class Http(Endpoint, frozen=True, tag="http"):
    """The body by HTTP. 2xx is done; 4xx is final but for 408, 425 and 429; 5xx is tried again."""

    url: str
    method: str = "POST"
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    bearer_file: str = ""
    """A file with the token, readable for nobody else."""
    networks: tuple[str, ...] = ()
    answer_s: float = 30.0
    tls: Tls | None = None


class Soap(Endpoint, frozen=True, tag="soap"):
    """An operation of a SOAP service; the message is a JSON object of its parameters."""

    wsdl: str
    """A file of the data folder; what it imports lies beside it."""
    operation: str
    wsdl_sha256: str = ""
    port: str = ""
    """Of the WSDL; empty: the first."""
    url: str = ""
    """Empty: the address that the WSDL says."""
    headers: dict[str, str] = {}
    bearer_file: str = ""
    accepted_has: str = ""
    """What the answer's text has to hold; without it, it counts as an error (AE)."""
    networks: tuple[str, ...] = ()
    answer_s: float = 30.0
    tls: Tls | None = None


class Files(Endpoint, frozen=True, tag="files"):
    """A file for each message, complete when its name appears."""

    folder: str
    suffix: str = ".hl7"


class Database(Endpoint, frozen=True, tag="database"):
    """A statement for each message, which is a JSON object of its parameters."""

    url_file: str
    """A file with the SQLAlchemy URL, readable for nobody else."""
    statement: str


class Mail(Endpoint, frozen=True, tag="mail"):
    """An e-mail for each message."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 25
    subject: str = "Plugward"
    user: str = ""
    password_file: str = ""
    starttls: bool = False
    answer_s: float = 30.0
    tls: Tls | None = None


class Sftp(Endpoint, frozen=True, tag="sftp"):
    """A file for each message on another machine."""

    host: str
    user: str
    key: str
    known_hosts: str
    folder: str
    port: int = 22
    suffix: str = ".hl7"
    networks: tuple[str, ...] = ()


AnyEndpoint = Mllp | Http | Soap | Database | Mail | Sftp | Files


@dataclass(frozen=True)
class Ready:
    """A destination that can be delivered to."""

    endpoint: AnyEndpoint
    destination: Destination
    is_connected: Callable[[], bool]
    close: Callable[[], Awaitable[None]]


def read_endpoints(path: Path) -> dict[str, AnyEndpoint]:
    """What the file says; nothing when there is none."""
    try:
        told = tomllib.loads(path.read_text("utf-8"))
        return msgspec.convert(told, dict[str, AnyEndpoint])
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise EndpointInvalid(f"{path.name}: {error}") from None


def ready(name: str, endpoint: AnyEndpoint, *, base: Path) -> Ready:
    """Make one ready. Relative files and folders lie in ``base``."""
    for kind in endpoint.retry:
        if kind not in set(Kind):
            raise EndpointInvalid(f"{name}: retry.{kind} is no kind of failure")
    try:
        return _MAKERS[type(endpoint)](name, endpoint, base)
    except (ValueError, OSError) as error:
        raise EndpointInvalid(f"{name}: {error}") from None


def client_tls(tls: Tls, base: Path) -> ssl.SSLContext:
    """TLS 1.2 or later; the other side is always checked."""
    context = ssl.create_default_context(cafile=str(base / tls.ca) if tls.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert:
        context.load_cert_chain(base / tls.cert, base / tls.key if tls.key else None)
    return context


def server_tls(tls: Tls, base: Path) -> ssl.SSLContext:
    """TLS 1.2 or later; with ``ca``, only who has a certificate of it may connect."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(base / tls.cert, base / tls.key if tls.key else None)
    if tls.ca:
        context.load_verify_locations(cafile=str(base / tls.ca))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _mllp(name: str, told: Mllp, base: Path) -> Ready:
    tls = client_tls(told.tls, base) if told.tls else None
    server_name = told.tls.name if told.tls else ""

    def connect() -> MllpClient:
        return MllpClient(
            told.host,
            told.port,
            tls=tls,
            server_name=server_name,
            answer_s=told.answer_s,
            keep_open=told.keep_open,
        )

    there = MllpDestination(connect, connections=told.connections)
    return Ready(
        told, _destination(name, told, there.deliver), lambda: there.is_connected, there.close
    )


def _http(name: str, told: Http, base: Path) -> Ready:
    checked_url(told.url)
    client = _web_client(told, base)
    headers = {"Content-Type": told.content_type, **_headers(told, base)}
    there = _HttpDestination(client, told, headers)
    return Ready(told, _destination(name, told, there.deliver), lambda: there.answers, client.close)


def _soap(name: str, told: Soap, base: Path) -> Ready:
    try:
        from .soap.caller import SoapCaller  # noqa: PLC0415 - half a second, only where it is used
    except ImportError:
        raise ValueError("SOAP destinations need zeep: install plugward[soap]") from None
    client = _web_client(told, base)
    there = SoapCaller(
        base / told.wsdl,
        told.operation,
        client=client,
        url=told.url,
        port=told.port,
        sha256=told.wsdl_sha256,
        headers=_headers(told, base),
        accepted_has=told.accepted_has,
    )
    return Ready(told, _destination(name, told, there.deliver), lambda: there.answers, client.close)


def _web_client(told: Http | Soap, base: Path) -> "WebClient":
    from .web.client import WebClient  # noqa: PLC0415 - a third of a second, only where it is used

    return WebClient(
        networks=networks_of(told.networks),
        connections=told.connections,
        answer_s=told.answer_s,
        tls=client_tls(told.tls, base) if told.tls else None,
    )


def _headers(told: Http | Soap, base: Path) -> dict[str, str]:
    if not told.bearer_file:
        return told.headers
    token = (base / told.bearer_file).read_text("utf-8").strip()
    return {**told.headers, "Authorization": f"Bearer {token}"}


def _database(name: str, told: Database, base: Path) -> Ready:
    from .receivers.rows_out import RowsOut  # noqa: PLC0415 - only where it is used

    there = RowsOut(base / told.url_file, told.statement, connections=told.connections)
    return Ready(told, _destination(name, told, there.deliver), lambda: there.answers, there.close)


def _mail(name: str, told: Mail, base: Path) -> Ready:
    from .receivers.mail_out import MailOut, Server  # noqa: PLC0415 - only where it is used

    tls = client_tls(told.tls or Tls(), base) if told.starttls else None
    password = ""
    if told.password_file:
        password = (base / told.password_file).read_text("utf-8").strip()
    server = Server(told.host, told.port, told.user, password, tls, told.answer_s)
    there = MailOut(server, told.sender, told.to, told.subject)
    return Ready(told, _destination(name, told, there.deliver), lambda: there.answers, there.close)


def _sftp(name: str, told: Sftp, base: Path) -> Ready:
    try:
        from .receivers.sftp_out import SftpOut  # noqa: PLC0415 - half a second, only where used
        from .sftp import SftpLink  # noqa: PLC0415 - as above
    except ImportError:
        raise ValueError("SFTP destinations need asyncssh: install plugward[sftp]") from None

    link = SftpLink(
        told.host,
        told.port,
        user=told.user,
        key=base / told.key,
        known_hosts=base / told.known_hosts,
        networks=networks_of(told.networks),
    )
    there = SftpOut(link, told.folder, told.suffix)
    return Ready(told, _destination(name, told, there.deliver), lambda: link.is_open, link.close)


def _files(name: str, told: Files, base: Path) -> Ready:
    folder = base / told.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def deliver(delivery: Delivery) -> Outcome:
        file = folder / f"{delivery.seq:012d}-{delivery.part}{told.suffix}"
        try:
            await asyncio.get_running_loop().run_in_executor(None, write_whole, file, delivery.body)
        except OSError as error:
            raise Failed(str(error.strerror), Kind.ERROR) from error
        return DONE

    async def close() -> None:
        return None

    return Ready(told, _destination(name, told, deliver), folder.is_dir, close)


def _destination(name: str, told: AnyEndpoint, deliver: Deliver) -> Destination:
    policy: dict[str, Retry] = dict(POLICY)
    for kind, said in told.retry.items():
        usual = policy[kind]
        policy[kind] = Retry(
            first_s=_or(said.first_s, usual.first_s),
            factor=_or(said.factor, usual.factor),
            longest_s=_or(said.longest_s, usual.longest_s),
            attempts_max=usual.attempts_max if said.attempts_max is None else said.attempts_max,
        )
    return Destination(name, deliver, policy, parallel=told.connections)


def _or(said: float | None, usual: float) -> float:
    return usual if said is None else said


class _HttpDestination:
    def __init__(self, client: "WebClient", told: Http, headers: Mapping[str, str]) -> None:
        self._client = client
        self._told = told
        self._headers = headers
        self.answers = False

    async def deliver(self, delivery: Delivery) -> Outcome:
        from .web.client import AnswerLost, NotReached  # noqa: PLC0415 - as above

        key = f"{delivery.message}-{delivery.part}"
        headers = {**self._headers, "Idempotency-Key": key}
        self.answers, before = False, self.answers
        try:
            answer = await self._client.request(
                self._told.method, self._told.url, headers=headers, body=delivery.body
            )
        except AddressRefused as refused:
            return Outcome(State.DEAD, str(refused))
        except NotReached as failure:
            raise Failed(str(failure), Kind.CONNECT) from failure
        except AnswerLost as failure:
            raise Failed(str(failure), Kind.NO_ANSWER) from failure
        except BaseException:
            self.answers = before
            raise
        self.answers = True
        return judged(answer.status, answer.headers, answer.body)


_MAKERS: dict[type[Endpoint], Callable[[str, Any, Path], Ready]] = {
    Mllp: _mllp,
    Http: _http,
    Soap: _soap,
    Database: _database,
    Mail: _mail,
    Sftp: _sftp,
    Files: _files,
}

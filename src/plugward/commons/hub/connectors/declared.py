"""What ``services.toml`` of the data folder declares: the services that the door answers itself.

[lis-web]
kind = "forward"
path = "/lis"
url = "http://10.3.0.9:8080/api"
callers = ["his"]
"""

import re
import tomllib
from pathlib import Path

import msgspec

from ..endpoints import Tls
from .breaker import Patience

FILE = "services.toml"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class OfferInvalid(ValueError):
    """A service that cannot be offered, and why."""


class Offer(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What all have in common."""

    path: str
    """Everything below it is this service's; the longest path wins."""
    title: str = ""
    impact: str = ""
    """What stops in the hospital while it is away, for the console."""
    callers: tuple[str, ...] = ()
    """Who may call it; none: everybody whom ``systems.toml`` lets."""


class Forward(Offer, frozen=True, tag="forward"):
    """Web-forward: calls are passed through to a system that speaks HTTP itself."""

    url: str
    methods: tuple[str, ...] = METHODS
    networks: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    """Added to every call."""
    bearer_file: str = ""
    """A file with the token for the other side; the caller's own token never leaves the hub."""
    connections: int = 64
    """So many calls at a time; more are told to come again."""
    calls_per_s: float = 0.0
    """0: no limit but the callers' own."""
    body_bytes_max: int = 64 * 1024 * 1024
    answer_s: float = 30.0
    """Until it begins to answer, and between two parts of an answer."""
    websocket: bool = False
    keeps_query: bool = False
    """Whether the call book holds the values of a query, or only its names."""
    tls: Tls | None = None
    breaker: Patience = Patience()


class Soap(Offer, frozen=True, tag="soap"):
    """Operations that become messages ``SOAP /path Operation``, for routes to take."""

    namespace: str
    operations: dict[str, tuple[str, ...]]
    """Each operation's parameters; all of them are texts."""
    address: str = ""
    """What the WSDL says; empty: where it was asked for."""


AnyOffer = Forward | Soap


def read_offers(path: Path) -> dict[str, AnyOffer]:
    """What the file says; nothing when there is none."""
    try:
        told = msgspec.convert(tomllib.loads(path.read_text("utf-8")), dict[str, AnyOffer])
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise OfferInvalid(f"{path.name}: {error}") from None
    taken: dict[str, str] = {}
    for name, offer in told.items():
        place = offer.path.rstrip("/")
        if not place.startswith("/") or place == "/health" or "//" in place:
            raise OfferInvalid(f"{path.name}: {name}: path {offer.path!r} cannot be served")
        if place in taken:
            raise OfferInvalid(f"{path.name}: {name} and {taken[place]} have the same path")
        taken[place] = name
        if isinstance(offer, Soap):
            _check_names(f"{path.name}: {name}", offer)
    return told


def _check_names(where: str, offer: Soap) -> None:
    for operation, parameters in offer.operations.items():
        for word in (operation, *parameters):
            if not _NAME.fullmatch(word):
                raise OfferInvalid(f"{where}: {word!r} is no name for XML")
        if len(set(parameters)) != len(parameters):
            raise OfferInvalid(f"{where}: {operation} has a parameter twice")
    if not offer.operations or not offer.namespace.strip():
        raise OfferInvalid(f"{where}: a service has a namespace and operations")

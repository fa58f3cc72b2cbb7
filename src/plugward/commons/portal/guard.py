"""Guard 门卫: what every request must pass before anything else looks at it (SEC-GATE, SEC-WEB)."""

import hmac
import time
from collections import OrderedDict
from hashlib import sha256

from .http import HttpError, Request, Response

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; object-src 'none'; report-uri /portal/csp"
)
SECURITY_HEADERS = (
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
HSTS = ("strict-transport-security", "max-age=31536000; includeSubDomains")
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = frozenset({"GET", "HEAD", "POST"})
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
CLIENTS_MAX = 20_000


class Guard:
    """Host, origin and pace of requests."""

    def __init__(self, hosts: frozenset[str], *, https: bool) -> None:
        self._hosts = hosts
        self._https = https

    def check_host(self, request: Request) -> None:
        """A name that is not ours ends here, with nothing of ours in the answer (SEC-GATE-05)."""
        name = host_name(request.headers.get("host", ""))
        if name not in self._hosts:
            raise HttpError(421, "unknown-host")

    def check_origin(self, request: Request) -> None:
        """Unsafe requests come from our own pages, whatever token they carry (SEC-WEB-02)."""
        site = request.headers.get("sec-fetch-site")
        if request.method not in UNSAFE:
            # Our data are not there to be embedded: only navigation may come from elsewhere.
            if site == "cross-site" and request.headers.get("sec-fetch-mode") != "navigate":
                raise HttpError(403, "cross-site")
            return
        if site is not None and site not in ("same-origin", "none"):
            raise HttpError(403, "cross-site")
        origin = request.headers.get("origin")
        if origin is None:
            return  # not a browser's cross-site request: those carry an origin
        if origin == "null" and site == "same-origin":
            return  # pages that send no referrer send no origin with their own forms either
        scheme, _, rest = origin.partition("://")
        if scheme not in ("https", "http") or rest != request.headers.get("host", ""):
            raise HttpError(403, "cross-site")

    def dress(self, response: Response, request_id: str) -> None:
        """Every answer, errors included, leaves with the security headers (SEC-WEB-11)."""
        present = {name for name, _ in response.headers}
        for name, value in SECURITY_HEADERS:
            if name not in present:
                response.headers.append((name, value))
        if self._https:
            response.headers.append(HSTS)
        if "cache-control" not in present:
            response.headers.append(("cache-control", "no-store"))
        response.headers.append(("x-request-id", request_id))
        response.headers.append(("vary", "HX-Request, Cookie"))


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0] if ":" in host else host


def is_loopback(request: Request) -> bool:
    """From this machine, under a name of this machine (a rebound name does not count)."""
    return (
        request.address in LOOPBACK_ADDRESSES
        and host_name(request.headers.get("host", "")) in LOOPBACK_NAMES
        and "x-forwarded-for" not in request.headers
        and "forwarded" not in request.headers
    )


def csrf_token(reference: str) -> str:
    """The token that belongs to a session (or to the visit of somebody not signed in yet)."""
    return hmac.new(reference.encode(), b"plugward csrf", sha256).hexdigest()[:40]


def check_csrf(request: Request, reference: str, field: str | None) -> None:
    """The token in the header, or in the form's field, is this session's."""
    given = request.headers.get("x-csrf-token") or field or ""
    if not reference or not hmac.compare_digest(given.encode(), csrf_token(reference).encode()):
        raise HttpError(403, "csrf")


class Pace:
    """Token buckets per client, and how many requests of each are under way (SEC-API-01)."""

    def __init__(self, *, in_flight_max: int) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._in_flight: dict[str, int] = {}
        self._in_flight_max = in_flight_max

    def take(self, client: str, *, per_s: float, burst: float) -> None:
        """One request of this client; too many are refused with the seconds to wait."""
        now = time.monotonic()
        level, at = self._buckets.get(client, (burst, now))
        level = min(burst, level + (now - at) * per_s)
        if level < 1:
            self._buckets[client] = (level, now)
            raise HttpError(429, "too-fast", retry_after_s=max(1, round((1 - level) / per_s)))
        self._buckets[client] = (level - 1, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > CLIENTS_MAX:
            self._buckets.popitem(last=False)

    def enter(self, client: str) -> None:
        """A request of this client begins."""
        count = self._in_flight.get(client, 0)
        if count >= self._in_flight_max:
            raise HttpError(429, "too-many-at-once", retry_after_s=1)
        self._in_flight[client] = count + 1

    def leave(self, client: str) -> None:
        """It has ended."""
        count = self._in_flight.get(client, 1) - 1
        if count:
            self._in_flight[client] = count
        else:
            self._in_flight.pop(client, None)

"""Catalogue 系统目录: who is connected, decided in memory for every message."""

import ipaddress
from collections.abc import Iterable
from datetime import timedelta

from plugward.kit.time import Clock, Instant

from .contract import System, SystemInvalid
from .hl7 import ErrorCode, Hl7Error, Message, parse_path
from .hl7.charset import codec_of
from .intake import NotGranted, kind_of

_MSH_3, _MSH_9 = parse_path("MSH-3"), parse_path("MSH-9")
_PORT_MAX = 65535
_GRANT_MAX = timedelta(days=366)


class Catalogue:
    """The systems by what they call themselves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_code: dict[str, System] = {}
        self._by_name: dict[tuple[str, str], System] = {}

    def fill(self, systems: Iterable[System]) -> None:
        """Take over what is configured."""
        self._by_code = {system.code: system for system in systems}
        self._by_name = {(s.application, s.facility): s for s in self._by_code.values()}

    def put(self, system: System) -> None:
        """One system was set."""
        self.fill([*(s for s in self._by_code.values() if s.code != system.code), system])

    def all(self) -> tuple[System, ...]:
        """Every system, by code."""
        return tuple(self._by_code[code] for code in sorted(self._by_code))

    def takers(self, service: str, campus: str) -> tuple[System, ...]:
        """Who is sent this service's messages of a campus."""
        return tuple(
            s for s in self.all() if s.is_active and service in s.takes and s.campus == campus
        )

    def is_taken(self, service: str) -> bool:
        """Whether anybody at all takes the service."""
        return any(s.is_active and service in s.takes for s in self._by_code.values())

    def sender(self, message: Message) -> System | None:
        """Who says to have sent this."""
        return self._by_name.get((message["MSH-3"], message["MSH-4"]))

    def code_of(self, sender: str) -> str:
        """The code of who writes MSH-3 and MSH-4 so, as ``sender_of`` joins them; else itself."""
        application, _, facility = sender.partition("|")
        system = self._by_name.get((application, facility))
        return sender if system is None else system.code

    def admit(self, message: Message, address: str) -> System:
        """The sender, if it may send this from there; ``NotGranted`` if not."""
        system = self.sender(message)
        if system is None or not system.is_active:
            raise NotGranted(
                "sender is not known here",
                code=ErrorCode.UNKNOWN_KEY,
                at=_MSH_3,
                shown="发送系统未登记或已停用",
            )
        if system.until is not None and system.until <= self._clock.now():
            raise NotGranted(
                "what the sender was granted has ended",
                code=ErrorCode.UNKNOWN_KEY,
                at=_MSH_3,
                shown="发送系统的授权已到期",
            )
        if not comes_from(address, system.networks):
            raise NotGranted(
                "sender may not send from this address",
                code=ErrorCode.UNKNOWN_KEY,
                at=_MSH_3,
                shown="发送地址与登记不符",
            )
        if kind_of(message) not in system.may_send:
            raise NotGranted(
                "sender may not send this message type",
                code=ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
                at=_MSH_9,
                shown="发送系统未被授权发送此类消息",
            )
        return system


def comes_from(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address lies in one of the networks; none named means anywhere."""
    if not networks:
        return True
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(network) for network in networks)


def check(system: System, others: Iterable[System], now: Instant) -> None:
    """Refuse a configuration that cannot work."""
    for other in others:
        is_same_name = (other.application, other.facility) == (system.application, system.facility)
        if other.code != system.code and is_same_name:
            raise SystemInvalid(problem=f"MSH-3/4 与 {other.code[:64]} 相同")
    if not system.code or not system.application or not system.facility:
        raise SystemInvalid(problem="缺少编码或 MSH-3/4")
    if system.until is not None and system.until > now + _GRANT_MAX:
        raise SystemInvalid(problem="授权最长一年")
    for network in system.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise SystemInvalid(problem=f"网段 {network[:64]} 无效") from None
    if system.takes and not (system.host and 0 < system.port <= _PORT_MAX):
        raise SystemInvalid(problem="接收服务的系统须有主机和端口")
    try:
        codec_of(system.charset)
    except Hl7Error:
        raise SystemInvalid(problem=f"字符集 {system.charset[:64]} 不受支持") from None

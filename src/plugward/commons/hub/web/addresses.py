"""Addresses 地址: where the hub may connect to. Destinations come from configuration only, and a
name may not lead to an address that configuration did not mean.

An address that is written out in the configuration is meant. A *name* is resolved once, and
loopback, link-local (where cloud metadata lives), private and reserved addresses are refused
unless a listed network holds them.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(OSError):
    """The hub does not connect there."""


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as written in the configuration; ``ValueError`` names the wrong one."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def checked_url(url: str) -> SplitResult:
    """An http(s) URL with a host, no credentials and no fragment; ``ValueError`` if it is not."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http(s) address: {url[:100]!r}")
    if parts.username is not None or parts.fragment or any(c <= " " for c in url):
        raise ValueError(f"credentials and fragments do not belong into an address: {url[:100]!r}")
    return parts


def literal(host: str) -> Address | None:
    """The address, if the host is written as one."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_address(address: Address, listed: Sequence[Network], *, is_literal: bool) -> None:
    """``AddressRefused`` if this is not to be connected to."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if any(address.version == network.version and address in network for network in listed):
        return
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise AddressRefused(f"{address} is link-local or no host; list its network to mean it")
    if not is_literal and not address.is_global:
        raise AddressRefused(f"the name leads to {address}, which no listed network holds")


async def resolve(host: str, port: int, listed: Sequence[Network]) -> list[tuple[str, int]]:
    """The addresses of a host that may be connected to: (address, family)."""
    found = literal(host)
    if found is not None:
        check_address(found, listed, is_literal=True)
        family = socket.AF_INET6 if found.version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
        return [(str(found), family)]
    infos = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    allowed: list[tuple[str, int]] = []
    refused: AddressRefused | None = None
    for family, _, _, _, place in infos:
        try:
            check_address(ipaddress.ip_address(place[0]), listed, is_literal=False)
        except AddressRefused as no:
            refused = no
            continue
        allowed.append((str(place[0]), family))
    if not allowed:
        raise refused or AddressRefused(f"{host} has no address")
    return allowed

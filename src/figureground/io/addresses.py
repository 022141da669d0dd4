"""Which internet addresses are public. Everything that is not listed as public or that embeds another address is refused.

The table follows the special-purpose registries of IANA (RFC 6890) and adds what cloud providers answer on. It is our own,
because `ipaddress.is_global` lets some of these ranges through, and differs between versions of Python.
"""

import ipaddress
import re
from collections.abc import Mapping

REFUSED_IPV4: Mapping[str, str] = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT, and metadata of some clouds",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "services of a cloud's host",
    "169.254.0.0/16": "link-local, and metadata of clouds",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "IETF protocols",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT relays",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, and broadcast",
}
PUBLIC_IPV6 = "2000::/3"
"""The one range of public addresses. Outside lie loopback, mapped IPv4, NAT64, link-local, site-local, multicast …"""
REFUSED_IPV6: Mapping[str, str] = {
    "2001::/23": "IETF protocols, and Teredo, which embeds IPv4",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4, which embeds IPv4",
    "2620:4f:8000::/48": "AS112",
    "3fff::/20": "documentation",
}
"""Ranges inside `PUBLIC_IPV6` that are not public."""

_IPV4 = tuple(ipaddress.IPv4Network(network) for network in REFUSED_IPV4)
_IPV6 = tuple(ipaddress.IPv6Network(network) for network in REFUSED_IPV6)
_PUBLIC = ipaddress.IPv6Network(PUBLIC_IPV6)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


def is_public(address: str) -> bool:
    """Whether a numeric IPv4 or IPv6 address is public; False for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _IPV4)
    return parsed.scope_id is None and parsed in _PUBLIC and not any(parsed in network for network in _IPV6)


def is_odd_number(host: str) -> bool:
    """Whether a host ends in a number but is not four decimal numbers, such as 2130706433, 0x7f.1 or 0177.0.0.1.

    Resolvers read such hosts in different ways.
    """
    if ":" in host or not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False

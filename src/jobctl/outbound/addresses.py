"""Which IP addresses a request from here may go to: public ones, and of the others those that settings name.

Pure. The ranges are those of IANA's registries of special-purpose addresses (IPv4 and IPv6) and of multicast, written
out here, since what Python's ipaddress counts as global differs between its releases. All that the registries list is
refused, also the few blocks in them that are reachable from everywhere (relays, AS112): no web server is there. Of IPv6
only 2000::/3 is in use at all, so whatever lies outside is refused without being listed.

An IPv4 address in IPv6 clothes is judged as what it is where the clothes are in use (IPv4-mapped, NAT64's well-known
prefix, which a resolver hands out in networks without IPv4); 6to4, Teredo and ISATAP are refused as such.

What hands out a machine's credentials to whoever asks (the metadata services of clouds) is no private address: to allow
private ones does not allow it. Only its own address, named in full, does.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Range(NamedTuple):
    """`is_private`: `allow_private` allows it."""

    network: Network
    name: str
    is_private: bool = False


def _v4(network: str, name: str, *, is_private: bool = False) -> Range:
    return Range(IPv4Network(network), name, is_private)


def _v6(network: str, name: str, *, is_private: bool = False) -> Range:
    return Range(IPv6Network(network), name, is_private)


METADATA: Final[tuple[Range, ...]] = (
    _v4("169.254.169.254/32", "metadata service"),
    _v4("169.254.170.2/32", "metadata service"),
    _v4("169.254.170.23/32", "metadata service"),
    _v4("100.100.100.200/32", "metadata service"),
    _v4("168.63.129.16/32", "metadata service"),
    _v4("192.0.0.192/32", "metadata service"),
    _v6("fd00:ec2::254/128", "metadata service"),
    _v6("fd00:ec2::23/128", "metadata service"),
    _v6("fd20:ce::254/128", "metadata service"),
)
# The first that holds an address names it.
RANGES: Final[tuple[Range, ...]] = (
    *METADATA,
    _v4("0.0.0.0/8", "this network"),
    _v4("10.0.0.0/8", "private use", is_private=True),
    _v4("100.64.0.0/10", "shared address space", is_private=True),
    _v4("127.0.0.0/8", "loopback", is_private=True),
    _v4("169.254.0.0/16", "link-local"),
    _v4("172.16.0.0/12", "private use", is_private=True),
    _v4("192.0.0.0/24", "IETF protocol assignments"),
    _v4("192.0.2.0/24", "documentation"),
    _v4("192.31.196.0/24", "AS112"),
    _v4("192.52.193.0/24", "AMT"),
    _v4("192.88.99.0/24", "6to4 relays"),
    _v4("192.168.0.0/16", "private use", is_private=True),
    _v4("192.175.48.0/24", "AS112"),
    _v4("198.18.0.0/15", "benchmarking"),
    _v4("198.51.100.0/24", "documentation"),
    _v4("203.0.113.0/24", "documentation"),
    _v4("224.0.0.0/4", "multicast"),
    _v4("255.255.255.255/32", "broadcast"),
    _v4("240.0.0.0/4", "reserved"),
    _v6("::/128", "unspecified"),
    _v6("::1/128", "loopback", is_private=True),
    _v6("64:ff9b:1::/48", "NAT64 of one network"),
    _v6("100::/64", "discard"),
    _v6("100:0:0:1::/64", "dummy prefix"),
    _v6("2001::/32", "Teredo"),
    _v6("2001::/23", "IETF protocol assignments"),
    _v6("2001:db8::/32", "documentation"),
    _v6("2002::/16", "6to4"),
    _v6("2620:4f:8000::/48", "AS112"),
    _v6("3fff::/20", "documentation"),
    _v6("5f00::/16", "segment routing"),
    _v6("fc00::/7", "private use", is_private=True),
    _v6("fe80::/10", "link-local"),
    _v6("fec0::/10", "site-local"),
    _v6("ff00::/8", "multicast"),
)
_IN_USE: Final = IPv6Network("2000::/3")
_NOT_IN_USE: Final = _v6("::/0", "reserved")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = _v6("::5efe:0:0/96", "ISATAP")


def parse_address(text: str) -> Address:
    """As a resolver gives it. Raises ValueError."""
    return ip_address(text)


def parse_network(text: str) -> Network:
    """`10.1.0.0/16`, or one address. Raises ValueError."""
    return ip_network(text)


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where that is what a packet to it reaches."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def special_range(address: Address) -> Range | None:
    """The range for which an address is not public; None for a public one."""
    address = plain(address)
    for each in RANGES:
        if address.version == each.network.version and address in each.network:
            return each
    if isinstance(address, IPv6Address):
        if address not in _IN_USE:
            return _NOT_IN_USE
        if (int(address) >> 32) & 0xFDFF_FFFF == 0x5EFE:
            return _ISATAP
    return None


def is_allowed(address: Address, *, allow_private: bool = False, networks: tuple[Network, ...] = ()) -> bool:
    """`networks` are allowed besides; one that is wider than an address does not allow a metadata service in it."""
    found = special_range(address)
    if found is None or (allow_private and found.is_private):
        return True
    inner = plain(address)
    return any(
        inner.version == network.version and inner in network and (found not in METADATA or network.num_addresses == 1)
        for network in networks
    )

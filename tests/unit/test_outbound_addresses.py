"""Which addresses a request may go to: every range that is not public is refused, in whatever clothes it comes."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.outbound.addresses import METADATA, RANGES, Range, is_allowed, plain, special_range

# IANA's registries of special-purpose addresses, as of 2026, with multicast, which has registries of its own.
IANA_IPV4 = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "224.0.0.0/4",
]
IANA_IPV6 = [
    "::1/128",
    "::",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::ffff:0:0:0/96",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "93.184.216.34",
    "2606:4700::1111",
    "2a00:1450:4001:82b::200e",
    "2400:cb00::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "3ffe:ffff::1",
    "2003::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public_is_allowed(text: str) -> None:
    assert special_range(ip_address(text)) is None
    assert is_allowed(ip_address(text))


@pytest.mark.parametrize("text", [*IANA_IPV4, *IANA_IPV6])
def test_every_special_range_is_refused_from_its_first_address_to_its_last(text: str) -> None:
    network = ip_network(text)
    for number in (0, network.num_addresses // 2, network.num_addresses - 1):
        assert not is_allowed(network[number]), network[number]


def test_each_range_is_refused_up_to_its_edges_and_the_address_beyond_is_judged_by_itself() -> None:
    for each in RANGES:
        first, last = each.network[0], each.network[-1]
        assert not is_allowed(first) and not is_allowed(last)
        for beside in (int(first) - 1, int(last) + 1):
            if 0 <= beside < 1 << each.network.max_prefixlen:
                address = type(first)(beside)
                found = special_range(address)
                assert found is None or address in found.network or plain(address) in found.network


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_python_counts_as_not_global_is_refused(address: IPv4Address | IPv6Address) -> None:
    """Python's own table is another reading of the same registries: ours is never wider."""
    if not plain(address).is_global or plain(address).is_multicast:
        assert not is_allowed(address), address


@given(st.sampled_from([each for each in RANGES if each.network.version == 4]), st.data())
def test_an_ipv4_address_in_ipv6_clothes_is_as_refused_as_itself(each: Range, data: st.DataObject) -> None:
    network = each.network
    assert isinstance(network, IPv4Network)
    address = network[data.draw(st.integers(0, network.num_addresses - 1))]
    number = int(address)
    clothed = [
        IPv6Address(f"::ffff:{address}"),
        IPv6Address(f"64:ff9b::{address}"),
        IPv6Address(f"::{address}"),
        IPv6Address(f"::ffff:0:{address}"),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
        IPv6Address((0x2001_0000 << 96) | (number ^ 0xFFFF_FFFF)),
        IPv6Address(f"2a00:1450::5efe:{address}"),
        IPv6Address(f"2a00:1450::200:5efe:{address}"),
    ]
    for each_form in clothed:
        assert not is_allowed(each_form), each_form
    assert is_allowed(clothed[0], allow_private=True) == is_allowed(address, allow_private=True)


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_what_is_in_use_is_allowed(address: IPv6Address) -> None:
    if is_allowed(address):
        assert (
            address in IPv6Network("2000::/3") or address in IPv6Network("::ffff:0:0/96") or plain(address) != address
        )


def test_private_ones_can_be_allowed_and_nothing_else_with_them() -> None:
    allowed = "10.1.2.3 172.16.0.1 192.168.1.1 127.0.0.1 100.64.0.1 ::1 fd12::1 ::ffff:10.0.0.1 64:ff9b::7f00:1"
    refused = (
        "169.254.1.1 0.0.0.0 224.0.0.1 255.255.255.255 240.0.0.1 192.0.2.1 fe80::1 ff02::1 :: 2002:a00:1:: 2001::1"
    )
    assert all(is_allowed(ip_address(text), allow_private=True) for text in allowed.split())
    assert not any(is_allowed(ip_address(text), allow_private=True) for text in refused.split())


@pytest.mark.parametrize("each", METADATA, ids=str)
def test_a_metadata_service_is_allowed_by_its_own_address_alone(each: Range) -> None:
    network = each.network
    address = network[0]
    wide = ip_network(f"{address}/{network.prefixlen - 8}", strict=False)
    assert not is_allowed(address, allow_private=True, networks=(wide,))
    assert is_allowed(address, networks=(network,))


def test_a_listed_network_is_allowed_also_in_ipv6_clothes_and_its_neighbour_is_not() -> None:
    networks = (IPv4Network("10.1.0.0/16"), IPv6Network("fe80::/10"))
    assert is_allowed(ip_address("10.1.255.255"), networks=networks)
    assert is_allowed(ip_address("::ffff:10.1.0.1"), networks=networks)
    assert is_allowed(ip_address("fe80::1"), networks=networks)
    assert not is_allowed(ip_address("10.2.0.0"), networks=networks)
    assert not is_allowed(ip_address("fec0::1"), networks=networks)

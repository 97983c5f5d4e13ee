"""A host is looked up once, and one address that is not allowed refuses it."""

import random
import socket
from collections.abc import Sequence

import pytest

from jobctl.outbound.addresses import parse_network
from jobctl.outbound.failures import NotReached, Refused
from jobctl.outbound.vetting import PUBLIC, Rules, look_up, vet
from jobctl.web_url import parse_url

GOOD = ["93.184.216.34", "2606:4700::1111", "8.8.8.8"]
BAD = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe"]


class Resolver:
    """Answers in turn, and counts how often it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def test_the_vetted_addresses_come_in_the_resolvers_order_from_one_lookup() -> None:
    resolver = Resolver(GOOD)
    assert [str(each) for each in vet(parse_url("https://example.org/x"), PUBLIC, resolver)] == GOOD
    assert resolver.asked == [("example.org", 443)]


@pytest.mark.parametrize("bad", BAD)
def test_one_private_address_among_public_ones_refuses_the_host(bad: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    answers = random.Random(seed).sample([*GOOD, bad], len(GOOD) + 1)
    with pytest.raises(Refused, match=r"https://example\.org: its address .* is not public"):
        vet(parse_url("https://example.org/secret-path"), PUBLIC, Resolver(answers))


def test_a_refusal_names_the_host_and_no_path() -> None:
    with pytest.raises(Refused) as raised:
        vet(parse_url("https://example.org/s3cr3t-path?token=x"), PUBLIC, Resolver(["127.0.0.1"]))
    assert "s3cr3t" not in str(raised.value) + raised.value.hint
    assert "127.0.0.1" in str(raised.value) and "loopback" in str(raised.value)
    assert not raised.value.try_again


@pytest.mark.parametrize(
    "host", ["0x7f.1", "127.1", "2130706433", "0177.0.0.1", "0x7f000001", "①②⑦.0.0.1", "[::ffff:7f00:1]", "0", "[::]"]
)
def test_every_spelling_of_this_machine_is_refused_by_what_the_system_makes_of_it(host: str) -> None:
    with pytest.raises(Refused):
        vet(parse_url(f"http://{host}/"), PUBLIC, look_up)


def test_localhost_is_refused_and_allowed_as_private() -> None:
    with pytest.raises(Refused):
        vet(parse_url("http://localhost/"), PUBLIC)
    assert vet(parse_url("http://localhost/"), Rules(allow_private=True))


def test_a_private_host_is_allowed_by_its_name_and_others_at_the_same_address_are_not() -> None:
    rules = Rules(private_hosts=frozenset({"hooks.internal"}))
    assert vet(parse_url("https://hooks.internal/"), rules, Resolver(["10.0.0.1"]))
    with pytest.raises(Refused):
        vet(parse_url("https://other.internal/"), rules, Resolver(["10.0.0.1"]))
    with pytest.raises(Refused):
        vet(parse_url("https://hooks.internal/"), rules, Resolver(["169.254.169.254"]))


def test_a_listed_network_is_allowed() -> None:
    rules = Rules(networks=(parse_network("10.1.0.0/16"),))
    assert vet(parse_url("https://x.internal/"), rules, Resolver(["10.1.2.3"]))
    with pytest.raises(Refused):
        vet(parse_url("https://x.internal/"), rules, Resolver(["10.1.2.3", "10.2.0.1"]))


def test_ports_and_hosts_are_judged_before_anything_is_looked_up() -> None:
    resolver = Resolver(GOOD)
    rules = Rules(hosts=("a.example", ".b.example"))
    for refused in (
        "https://a.example:8443/",
        "https://a.example:22/",
        "https://xa.example/",
        "https://b.example/",
        "https://a.example.evil.example/",
    ):
        with pytest.raises(Refused):
            vet(parse_url(refused), rules, resolver)
    assert resolver.asked == []
    assert vet(parse_url("http://a.example/"), rules, resolver)
    assert vet(parse_url("https://x.y.b.example/"), rules, resolver)
    assert vet(parse_url("https://a.example:8443/"), Rules(ports=None), resolver)


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "no"),
        socket.gaierror(socket.EAI_AGAIN, "later"),
        UnicodeError("label"),
        OSError(),
    ],
)
def test_a_name_without_an_answer_may_have_one_later(error: Exception) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise error

    with pytest.raises(NotReached) as raised:
        vet(parse_url("https://example.org/"), PUBLIC, resolve)
    assert raised.value.try_again and not raised.value.may_have_arrived


@pytest.mark.parametrize("answer", [[], ["not an address"], ["1.2.3.4.5"]])
def test_an_answer_without_an_address_is_none(answer: Sequence[str]) -> None:
    with pytest.raises(NotReached):
        vet(parse_url("https://example.org/"), PUBLIC, Resolver(answer))

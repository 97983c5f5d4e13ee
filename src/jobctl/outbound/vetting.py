"""Whether a URL may be asked, and at which addresses: its host is looked up once and every address is judged.

One address that is not allowed refuses the host, whatever else it has: who answers for the name decides the order. The
connection goes to the addresses given here and to no other, so a name that means something else a moment later (DNS
rebinding) gains nothing.
"""

import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from jobctl.outbound.addresses import Address, Network, is_allowed, parse_address, special_range
from jobctl.outbound.failures import NotReached, Refused
from jobctl.web_url import DEFAULT_PORT, WebUrl

WEB_PORTS: Final = frozenset(DEFAULT_PORT.values())
_FOR_GOOD: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

# Host and port -> the texts of its addresses, best first. Raises OSError where there is no answer.
Resolve = Callable[[str, int], Sequence[str]]


class Rules(NamedTuple):
    """Where requests may go. `ports`: None for any. `hosts`: only these, where any are given; `.example.org` means all
    below it. `private_hosts` may have private addresses, `networks` are allowed whatever they are. Redirects lead to
    hosts under the same rules."""

    allow_private: bool = False
    networks: tuple[Network, ...] = ()
    private_hosts: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    ports: frozenset[int] | None = WEB_PORTS
    max_redirects: int = 3


PUBLIC: Final = Rules()


def look_up(host: str, port: int) -> list[str]:
    """What the system's resolver says. It obeys no timeout."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def require_allowed(url: WebUrl, rules: Rules) -> None:
    """What can be judged of a URL without looking anything up. Raises Refused."""
    if rules.ports is not None and url.port not in rules.ports:
        known = ", ".join(map(str, sorted(rules.ports)))
        raise Refused(f"{url.origin}: port {url.port} is not allowed", hint=f"allowed are {known}")
    if rules.hosts and not any(_is_of(url.host, host) for host in rules.hosts):
        raise Refused(
            f"{url.origin}: this host is not allowed", hint="the rules of this request name the hosts that are"
        )


def vet(url: WebUrl, rules: Rules, resolve: Resolve = look_up) -> tuple[Address, ...]:
    """The addresses at which to ask, best first. Raises Refused, and NotReached where the name has none."""
    require_allowed(url, rules)
    try:
        texts = resolve(url.host, url.port)
        addresses = tuple(parse_address(text) for text in texts)
    except (OSError, ValueError) as error:
        what = "has no address" if getattr(error, "errno", None) in _FOR_GOOD else "cannot be looked up now"
        raise NotReached(f"{url.origin}: the name {what}", hint="is it spelt right, and known to this host?") from None
    if not addresses:
        raise NotReached(f"{url.origin}: the name has no address")
    allow_private = rules.allow_private or url.host in rules.private_hosts
    for address in addresses:
        if not is_allowed(address, allow_private=allow_private, networks=rules.networks):
            found = special_range(address)
            name = found.name if found is not None else "not public"
            raise Refused(
                f"{url.origin}: its address {address} is not public ({name})",
                hint="allow_private = true or allow = [...] in the endpoint's settings would let it be asked",
            )
    return addresses


def _is_of(host: str, listed: str) -> bool:
    return host.endswith(listed) if listed.startswith(".") else host == listed

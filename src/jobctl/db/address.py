"""A database address in its other forms: a URL to show, and the environment of a client program.

A password goes neither into a command line nor, unless asked for, onto a screen.
"""

from urllib.parse import quote, urlencode

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jobctl.errors import ConfigurationError

MASK = "***"
KEYS = {"scram_client_key", "scram_server_key"}  # as good as a password, and not marked as one by libpq
IN_THE_URL = ("user", "password", "host", "port", "dbname")


def to_url(dsn: str, *, show_password: bool = False) -> str:
    """The address as a URL; its secrets are masked unless they are asked for."""
    parts = _parse(dsn)
    if not show_password:
        parts |= dict.fromkeys(_secret_names() & parts.keys(), MASK)
    host, port = parts.get("host", ""), parts.get("port", "")
    query = {name: value for name, value in parts.items() if name not in IN_THE_URL}
    if host.startswith("/") or "," in host:  # a socket's directory, or several hosts
        query |= {"host": host} | ({"port": port} if port else {})
        place = ""
    else:
        place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    who = quote(parts.get("user", ""), safe="")
    if "password" in parts:
        who += ":" + (parts["password"] if parts["password"] == MASK else quote(parts["password"], safe=""))
    text = f"postgresql://{who}@{place}" if who else f"postgresql://{place}"
    text += "/" + quote(parts.get("dbname", ""), safe="")
    return text + ("?" + urlencode(query, safe="*", quote_via=quote) if query else "")


def to_client(dsn: str) -> tuple[dict[str, str], str]:
    """The environment that takes a client of libpq there, and the connection string for what has no variable.

    A secret without a variable is left out, and the client asks for it."""
    parts = _parse(dsn)
    variables = {option.keyword.decode(): option.envvar.decode() for option in _options() if option.envvar}
    environment = {variables[name]: value for name, value in parts.items() if name in variables}
    rest = {name: value for name, value in parts.items() if name not in variables and name not in _secret_names()}
    return environment, make_conninfo(**rest)


def _parse(dsn: str) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.Error:
        # libpq's own words quote parts of the address, and a part may be the password.
        raise ConfigurationError(
            "the database address is neither a URL nor a connection string", hint="check DATABASE_URL"
        ) from None


def _options() -> list[pq.ConninfoOption]:
    return pq.Conninfo.get_defaults()


def _secret_names() -> set[str]:
    return {option.keyword.decode() for option in _options() if option.dispchar == b"*"} | KEYS

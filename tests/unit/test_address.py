"""A database address as URL and as environment: it leads to the same place, and shows no secret."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from jobctl.db.address import to_client, to_url
from jobctl.errors import ConfigurationError

ADDRESSES = [
    "postgresql://u:p%40ss@db.example:6432/jobs?sslmode=require&application_name=x",
    "host=/var/run/with\\ space user=u dbname=d port=5433",
    "host=a,b port=1,2 dbname=d user=u password='it\\'s' target_session_attrs=read-write",
    "host=::1 dbname=d",
    "host='it\\'s' user='a b' dbname='d/e?f' password='p:/@?#&*'",
    "dbname=only",
    "postgresql:///d",
]


@pytest.mark.parametrize("dsn", ADDRESSES)
def test_the_url_with_its_password_is_the_same_address(dsn: str) -> None:
    assert conninfo_to_dict(to_url(dsn, show_password=True)) == conninfo_to_dict(dsn)


@pytest.mark.parametrize("name", ["password", "sslpassword", "scram_client_key"])
def test_no_secret_is_shown_or_put_on_a_command_line(name: str) -> None:
    dsn = f"host=h user=u dbname=d {name}=canary"
    assert "canary" not in to_url(dsn)
    _, rest = to_client(dsn)
    assert "canary" not in rest


def test_a_client_gets_variables_and_for_the_rest_a_connection_string() -> None:
    environment, rest = to_client("host=h user=u password=s dbname=d sslmode=require keepalives_idle=5")
    assert environment == {"PGHOST": "h", "PGUSER": "u", "PGPASSWORD": "s", "PGDATABASE": "d", "PGSSLMODE": "require"}
    assert rest == "keepalives_idle=5"


def test_an_address_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        to_url("postgresql://u:canary@h:port:port/d?nonsense=canary")
    assert "canary" not in caught.value.message

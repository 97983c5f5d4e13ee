"""PgBouncer in front of the test server, in the mode that a test asks for."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict

from bench_postgres import is_root, reachable_directory, run_as_user, wait_for

CONFIG = """
[databases]
{name} = host={host} port={port} user={user} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 20
max_client_conn = 200
log_connections = 0
log_disconnections = 0
"""


def pgbouncer() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def pooled(dsn: str, mode: str) -> Generator[str, None, None]:
    """The address of the same database through a pooler in this mode. PgBouncer will not be root."""
    program = pgbouncer()
    assert program is not None
    target = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    with reachable_directory() as directory:
        listen = _free_port()
        config = directory / "pgbouncer.ini"
        config.write_text(
            CONFIG.format(
                name=target["dbname"],
                host=target["host"],
                port=target["port"],
                user=target["user"],
                listen=listen,
                mode=mode,
            )
        )
        config.chmod(0o644)
        account = run_as_user() if is_root() else pwd.getpwuid(os.geteuid()).pw_name
        log = (directory / "log").open("wb")
        process = subprocess.Popen(
            [program, *(["-u", account] if is_root() else []), str(config)], stdout=log, stderr=log, cwd="/"
        )
        url = f"postgresql://{target['user']}@127.0.0.1:{listen}/{target['dbname']}"
        try:
            wait_for(lambda: process.poll() is not None or _answers(listen), 20)
            assert process.poll() is None, (directory / "log").read_text()
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            log.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False

"""A real PostgreSQL server of our own, in a temporary folder, on a socket there and a port of loopback.

with PostgresServer() as server:
    LabelStore(server.url("labels"))  # a schema of that name
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

PASSWORD = "sesame:@/?#%"  # all that a URL would misread


def find_binaries() -> Path | None:
    """The folder of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    there = found[-1] if found else shutil.which("initdb")
    return None if there is None else Path(there).resolve().parent


class PostgresServer:
    """Runs while its context is open. Who comes over the socket is trusted; over the port a password is asked for."""

    def __init__(self, binaries: Path):
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 characters
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._as: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.folder}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._as |= {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")

    def __enter__(self) -> PostgresServer:
        words = [self._binaries / "initdb", "-D", self.folder / "data", "-U", "owner", "-E", "UTF8", "--no-sync"]
        subprocess.run([*words, "--locale=C", "--auth=trust", "--auth-host=scram-sha-256"], check=True, **self._as)
        self.start()
        try:
            self.run(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'", "GRANT CREATE ON DATABASE postgres TO guarded")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        settings = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._control("start", "-l", self.folder / "log", "-o", settings)

    def stop(self, mode: str = "immediate") -> None:
        self._control("stop", "-m", mode)

    def _control(self, verb: str, *words: object) -> None:
        subprocess.run(
            [self._binaries / "pg_ctl", "-D", self.folder / "data", "-w", verb, *map(str, words)],
            check=True,
            **self._as,
        )

    def url(self, schema: str | None = None, database: str = "postgres") -> str:
        options = {"host": self.folder, "port": self.port, "user": "owner"} | ({"schema": schema} if schema else {})
        return f"postgresql:///{database}?" + "&".join(f"{name}={quote(str(value))}" for name, value in options.items())

    def guarded_url(self, password: str | None = PASSWORD, schema: str | None = None) -> str:
        """Of a user whose password is asked for."""
        user = "guarded" if password is None else f"guarded:{quote(password, safe='')}"
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres" + (f"?schema={schema}" if schema else "")

    def run(self, *statements: str, values: tuple[object, ...] | None = None, schema: str = "public") -> list[Any]:
        """The rows of the last of some statements, in a connection of its own."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'SET search_path = "{schema}"')
            for statement in statements:
                cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def log(self) -> str:
        return (self.folder / "log").read_text()

"""What a PostgreSQL URL says, and how it is called where passwords must not be."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from clinidistill.errors import StoreError

__all__ = ["Address"]

_SCHEMA = "clinidistill"
_DEFAULTS = {"connect_timeout": "10", "fallback_application_name": "clinidistill"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a label store is.

    Args:
        conninfo: what libpq connects to.
        schema: the schema that holds the tables.
        name: host, database and schema, for messages: neither user nor password.
    """

    conninfo: SecretStr
    schema: str
    name: str

    @classmethod
    def of(cls, url: str) -> Address:
        """The address in a URL as libpq takes it, and with ``schema=`` among its options.

        Raises:
            StoreError: if it cannot be read; it quotes nothing, as a password may stand anywhere in such a URL.
        """
        base, _, query = url.partition("?")
        options = [option for option in query.split("&") if option]
        ours = [option for option in options if option.startswith("schema=")]
        theirs = "&".join(option for option in options if option not in ours)
        schema = unquote(ours[-1].partition("=")[2]) if ours else _SCHEMA
        if not schema or "\0" in schema or len(schema.encode()) > 63:
            raise StoreError("schema= in the address of the label store must be a name of 1 to 63 bytes")
        try:
            found = {name: str(value) for name, value in conninfo_to_dict(f"{base}?{theirs}").items()}
        except psycopg.Error:
            found = {"host": "@"}
        host, port, database = (found.get(name, "") for name in ("host", "port", "dbname"))
        if "@" in host + database or "/" in database or not set(port) <= set("0123456789,"):
            raise StoreError(
                "the address of the label store cannot be read; it is postgresql://USER@HOST:PORT/DATABASE?OPTIONS. "
                "Leave a password to PGPASSWORD or .pgpass, or write each @ : / ? # % in it as %40 and so on"
            )
        in_folder = host.startswith("/")  # a socket's
        shown = {"host": host if in_folder else "", "service": found.get("service"), "schema": schema if ours else ""}
        ending = "&".join(f"{name}={quote(value)}" for name, value in shown.items() if value)
        server = ("" if in_folder else host) + (port and f":{port}")
        name = f"postgresql://{server}/{quote(database)}{ending and f'?{ending}'}"
        return cls(SecretStr(make_conninfo(**{**_DEFAULTS, **found, "client_encoding": "utf8"})), schema, name)

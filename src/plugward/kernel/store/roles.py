"""Roles 数据库角色: whoever runs a board reaches its own tables, and nothing of anybody else's.

With an owner's address beside the hospital's own, the owner makes schemas and tables, and the
hospital works as a role that may read and write rows of one board: no other board's, no table of
its own making. On the audit log it may add and read, never change or remove.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

ROWS = "SELECT, INSERT, UPDATE, DELETE"


def role_of(schema: str) -> str:
    """The name of the role that works in this schema."""
    return f"{schema}_rt"


def grant(connection: Connection, schema: str, login: str, rights: dict[str, str]) -> None:
    """Give the role of this schema its rights, and the login, if there is one, its role.
    Done again it is the same.

    ``rights`` says what may be done on which table; ``*`` stands for all of them.
    """
    dialect = connection.dialect.name
    make = _postgresql if dialect == "postgresql" else _mysql
    for statement in make(connection, schema, login, rights):
        connection.execute(text(statement))


def connect_as(url: URL, schema: str) -> dict[str, object]:
    """Arguments for the driver, so that a connection has the schema's role from its first word."""
    if url.get_backend_name() == "postgresql":
        return {"server_settings": {"role": role_of(schema)}}
    return {"init_command": f"SET ROLE `{role_of(schema)}`"}


def login_statements(
    dialect: str, login: str, password: str, schemas: Sequence[str], connections: int
) -> Sequence[str]:
    """Make a login anew: it may take the roles of these schemas and nothing else, and the server
    itself holds it to so many connections. Names and password are the rack's own words."""
    roles = [role_of(schema) for schema in schemas]
    if dialect == "postgresql":
        return (
            f'DROP ROLE IF EXISTS "{login}"',
            f'CREATE ROLE "{login}" LOGIN NOINHERIT CONNECTION LIMIT {connections} '
            f"PASSWORD '{password}'",
            *(f'GRANT "{role}" TO "{login}"' for role in roles),
        )
    return (
        f"DROP USER IF EXISTS `{login}`@`%`",
        f"CREATE USER `{login}`@`%` IDENTIFIED BY '{password}' "
        f"WITH MAX_USER_CONNECTIONS {connections}",
        *(f"GRANT `{role}` TO `{login}`@`%`" for role in roles),
    )


def _postgresql(
    connection: Connection, schema: str, login: str, rights: dict[str, str]
) -> Sequence[str]:
    role = role_of(schema)
    there = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
    found = connection.execute(there, {"role": role}).first()
    statements = [] if found else [f'CREATE ROLE "{role}" NOLOGIN NOINHERIT']
    statements += [
        f'REVOKE ALL ON SCHEMA "{schema}" FROM PUBLIC',
        f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"',
        f'REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM "{role}"',
    ]
    for table, right in rights.items():
        what = f'ALL TABLES IN SCHEMA "{schema}"' if table == "*" else f'"{schema}"."{table}"'
        statements.append(f'GRANT {right} ON {what} TO "{role}"')
    return (*statements, f'GRANT "{role}" TO "{login}"') if login else statements


def _mysql(
    connection: Connection, schema: str, login: str, rights: dict[str, str]
) -> Sequence[str]:
    del connection
    role = role_of(schema)
    statements = [f"CREATE ROLE IF NOT EXISTS `{role}`"]
    for table, right in rights.items():
        what = f"`{schema}`.*" if table == "*" else f"`{schema}`.`{table}`"
        statements.append(f"GRANT {right} ON {what} TO `{role}`")
    return (*statements, f"GRANT `{role}` TO `{login}`@`%`") if login else statements

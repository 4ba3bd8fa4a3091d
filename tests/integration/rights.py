"""The statements of the README's section "Rights", for roles and databases of the tests."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

README = Path(__file__).parents[2] / "README.md"


def _blocks() -> dict[str, tuple[str, ...]]:
    section = README.read_text().partition("\n## Rights\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```sql\n-- (.*)\n((?:.*\n)*?)```$", section, re.MULTILINE)
    bare = {title: re.sub(r"^--.*$", "", body, flags=re.MULTILINE) for title, body in found}
    return {title: tuple(s.strip() for s in body.split(";") if s.strip()) for title, body in bare.items()}


_BLOCKS = _blocks()


def block(begin: str, **names: str) -> tuple[str, ...]:
    """The statements under the one comment that begins so, with the README's names replaced by those given."""
    (statements,) = (found for title, found in _BLOCKS.items() if title.startswith(begin))
    words = re.compile(r"\b(" + "|".join(names) + r")\b") if names else None
    return tuple(words.sub(lambda word: names[word[0]], statement) if words else statement for statement in statements)


READING = "source: enough"
SEEING_OTHERS = "source: to see whose"
FIRST_LOAD = "target: up to the first load"
LATER = "target: from then on"
SCHEMAS_GIVEN = "target: or never"
FILLING = "target: into tables"
REMOVING = "target: and there to remove"
USING_TYPES = "target: where a column's type"
LOOKING = "target: to verify"
DBT = "target: dbt"

READER, LOADER, ANALYST = "ferry_reader", "ferry_loader", "analyst"


def as_role(uri: str, role: str) -> str:
    """`uri` of the superuser, for another role."""
    return re.sub(r"//postgres(?=[:@])", f"//{role}", uri, count=1)


def let_nobody_in(session: psycopg.Connection) -> None:
    """Take away what every role has in a new database."""
    session.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    session.execute(f'REVOKE ALL ON DATABASE "{session.info.dbname}" FROM PUBLIC')


def let_in(session: psycopg.Connection, *titles: str, names: dict[str, str]) -> None:
    """Execute blocks of the README, but for roles that exist already."""
    roles = {role for (role,) in session.execute("SELECT rolname FROM pg_roles")}
    for title in titles:
        for statement in block(title, **names):
            created = re.match(r"CREATE ROLE (\w+)", statement)
            if not (created and created[1] in roles):
                session.execute(statement)


def let_reader_in(session: psycopg.Connection) -> None:
    """The rights of a `Route` at its source; what the test makes later is readable as well."""
    let_in(session, READING, SEEING_OTHERS, names={"shop": f'"{session.info.dbname}"'})
    session.execute(f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {READER}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {READER}")


def let_loader_in(session: psycopg.Connection) -> None:
    """The rights of a `Route` at its target; types that the test makes there later may be used as well."""
    let_in(session, FIRST_LOAD, USING_TYPES, names={"warehouse": f'"{session.info.dbname}"'})
    session.execute(f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {LOADER}")


def let_analyst_in(session: psycopg.Connection) -> None:
    """The rights of dbt, once the loader has made its schema."""
    let_in(session, DBT, names={"warehouse": f'"{session.info.dbname}"'})

"""A database to load streams into, and what it holds afterwards."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from rights import LOADER, as_role, let_loader_in

import rowferry
from rowferry import errors


class Warehouse:
    """Loads connect as a role that may do no more than the README's section "Rights" says.

    Attributes:
        uri: Of the role that loads.
        session: Of the superuser, in autocommit.
    """

    def __init__(self, uri: str) -> None:
        self.session = psycopg.connect(uri, autocommit=True)
        self.session.execute("SET timezone = 'UTC'")
        let_loader_in(self.session)
        self.uri = as_role(uri, LOADER)

    def close(self) -> None:
        self.session.close()

    def load(self, stream: Any, table: str = "things", **settings: Any) -> rowferry.Report:
        return rowferry.load(stream, **{"target": self.uri, "table": table, "keys": ["id"], **settings})

    def refused(self, error: type[errors.RowferryError], stream: Any, table: str = "things", **settings: Any) -> errors.RowferryError:
        """Load it, see it refused with just this class, and see that it left the target as it was."""
        before = self.everything()
        with pytest.raises(errors.RowferryError) as caught:
            self.load(stream, table, **settings)
        assert type(caught.value) is error, repr(caught.value)
        assert self.everything() == before
        return caught.value

    def rows(self, table: str = "things", columns: str = "*", order: str = "id") -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM raw_stream.{table} ORDER BY {order}")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.session.execute(sql).fetchall()

    def types(self, table: str = "things") -> dict[str, str]:
        """The table's own columns and their types as DDL, with NOT NULL where it is said."""
        listed = (
            "SELECT attname, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END FROM pg_attribute"
            f" WHERE attrelid = 'raw_stream.{table}'::regclass AND attnum > 0 AND attname NOT LIKE '\\_%' ORDER BY attnum"
        )
        return dict(self.query(listed))

    def everything(self) -> dict[str, list[str]]:
        """Every table of the loads with its rows, and the load records if there is one."""
        tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname LIKE 'raw%' OR tablename = 'loads'"
        rows = {name: sorted(text for (text,) in self.query(f"SELECT t::text FROM {name} t")) for (name,) in self.query(tables)}
        return {name: texts for name, texts in rows.items() if texts or not name.endswith(".loads")}

    def sessions(self) -> int:
        """Sessions of loads that are still there."""
        ours = "datname = current_database() AND application_name LIKE 'rowferry%'"
        return self.query(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}")[0][0]

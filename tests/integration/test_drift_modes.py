"""A source whose schema changes, under the modes that do not merge, under masks, and where every row is read.

What each kind of change does to each target is the matter of `test_drift`. CONFORMANCE=full takes every sink.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from conformance import SINKS, WIDE, Duckdb, Pair, Postgres, Sink, Snowflake, Sqlite, sinks, source_database
from masks import KEY, masked

from rowferry.demo.servers import Server
from rowferry.errors import SchemaDriftError

numbers = itertools.count(1)
TABLE = "CREATE TABLE {t} (id int PRIMARY KEY, price numeric(12,2) NOT NULL, note text NOT NULL); INSERT INTO {t} SELECT i, i / 4.0, 'note ' || i FROM generate_series(1, 12) i"
CHANGES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "added with a default that goes": ("ALTER TABLE {t} ADD stock int DEFAULT 7 NOT NULL; ALTER TABLE {t} ALTER stock DROP DEFAULT", {}, ["column_added"]),
    "dropped": ("ALTER TABLE {t} DROP price", {}, ["column_dropped"]),
    "dropped there too": ("ALTER TABLE {t} DROP price", {"column_dropped": "apply"}, ["column_dropped"]),
    "dropped and added again": ("ALTER TABLE {t} DROP price; ALTER TABLE {t} ADD price numeric(12,2) DEFAULT 8 NOT NULL", {}, []),
    "renamed": ("ALTER TABLE {t} RENAME price TO amount", {"column_renamed": "apply"}, ["column_renamed"]),
    "widened": ("ALTER TABLE {t} ALTER price TYPE numeric(20,2); UPDATE {t} SET price = 123456789012345678.25 WHERE id = 1", {}, ["type_widened"]),
    "of another type": ("ALTER TABLE {t} ALTER price TYPE text USING price || ' each'", {"type_changed": "apply"}, ["type_changed"]),
    "null": ("ALTER TABLE {t} ALTER note DROP NOT NULL; UPDATE {t} SET note = NULL WHERE id = 1", {"nullability": "apply"}, ["nullability"]),
    "made anew": (f"DROP TABLE {{t}}; {TABLE}; DELETE FROM {{t}} WHERE id > 9", {}, ["table_recreated"]),
}

sink = sinks(*(SINKS if WIDE else (Postgres, Duckdb)))
modes = pytest.mark.parametrize("mode", ["append", "replace"])


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    with source_database(pg18, "drifting_modes") as made:
        yield made


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWFERRY_MASK_KEY", KEY)


@pytest.fixture
def items(source: tuple[str, psycopg.Connection], sink: Sink) -> Pair:
    pair = Pair(sink, *source, f"m{next(numbers)}")
    pair.write(TABLE)
    return pair


def kinds(report: Any) -> list[str]:
    return [event.kind for event in report.drift]


def newest(pair: Pair, columns: str) -> list[tuple[Any, ...]]:
    """The newest versions that are no last ones, and all rows where there are no versions; sorted."""
    rows = {row[0]: row for row in sorted(pair.rows(f"id, _load_id, _deleted_at, {columns}", "true"), key=lambda row: row[:2])}
    return sorted((row[3:] for row in rows.values() if row[2] is None), key=repr)


@modes
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_followed_in_every_mode_and_what_is_there_stays(items: Pair, mode: str, change: str) -> None:
    items.run(mode=mode)
    before = items.rows("id, note, _load_id", "true")
    sql, policies, expected = CHANGES[change]
    items.write(sql)
    if isinstance(items.sink, Sqlite) and change in ("widened", "of another type"):
        expected = []  # there both are texts
    refuses = {Snowflake: ("of another type",), Sqlite: ("dropped", "null")}
    if any(isinstance(items.sink, kind) and change in of for kind, of in refuses.items()):
        items.refused(SchemaDriftError, mode=mode, on_schema_change=policies)
        return
    if change == "dropped there too" and mode == "append":
        items.sink.needs("drop a column before the key")  # of versions the key is _load_id too, which stands last
    if isinstance(items.sink, Duckdb) and (mode, change) == ("append", "dropped there too"):
        assert "DuckDB drops no column that stands before one of the key" in items.refused(SchemaDriftError, mode=mode, on_schema_change=policies).hint
        return
    report = items.run(mode=mode, on_schema_change=policies, verify=True, sweep="always" if mode == "append" else "never")
    assert kinds(report) == expected
    columns = ", ".join(name for (name,) in items.at_source.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", [items.table]))
    assert newest(items, columns) == sorted(items.source_rows(columns), key=repr)
    if mode == "append":
        assert set(before) <= set(items.rows("id, note, _load_id", "true"))
    again = items.run(mode=mode, verify=True)
    assert (kinds(again), again.reconciled) == (expected if change == "dropped" else [], False)  # what stays is told for as long as it does
    assert again.this_try.inserted == (0 if mode == "append" else len(items.source_rows("id")))


def test_another_key_is_refused_where_versions_are_kept(items: Pair) -> None:
    items.run(mode="append")
    items.write("ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; ALTER TABLE {t} ADD PRIMARY KEY (price)")
    assert "unique index" in items.refused(SchemaDriftError, mode="append", on_schema_change="apply").message


MASKS = {"hash": "text", "redact": "numeric(12,2)", "truncate:3": "text"}


@pytest.mark.parametrize("mask", MASKS)
def test_a_masked_column_that_drifts_stays_masked(items: Pair, mask: str) -> None:
    settings: dict[str, Any] = {"mask": {"price": mask}, "verify": True}

    def hidden() -> list[tuple[int, str | None]]:
        texts = dict(items.source_rows("id, price::text"))
        is_text = items.source_rows("pg_typeof(price)::text")[0][0] == "text"
        return [(id, masked(text, mask) if is_text or mask != "redact" else None) for id, text in texts.items()]

    def shown() -> list[tuple[int, str | None]]:
        """As texts: where digits are kept as such, they are read as numbers whatever they are of."""
        return [(id, None if price is None else str(price)) for id, price in items.rows("id, price")]

    items.run(**settings)
    assert shown() == hidden()
    items.write("ALTER TABLE {t} DROP price")
    unmasked: dict[str, Any] = {"verify": True}
    if isinstance(items.sink, Sqlite) and mask != "redact":
        items.refused(SchemaDriftError, **unmasked, on_schema_change={"column_dropped": "ignore"})  # it takes no NOT NULL away
        return
    assert kinds(items.run(**unmasked, on_schema_change={"column_dropped": "ignore"})) == ["column_dropped"]
    items.write("ALTER TABLE {t} ADD price numeric(12,2) DEFAULT 7.25")
    report = items.run(**settings)
    assert (report.drift, report.reconciled) == ((), True)
    assert shown() == hidden()
    items.write("ALTER TABLE {t} ALTER price TYPE numeric(20,2)")
    changes = mask == "redact" and not isinstance(items.sink, Sqlite)
    assert kinds(items.run(**settings)) == (["type_widened"] if changes else [])
    assert shown() == hidden()
    items.write("ALTER TABLE {t} ALTER price TYPE text USING 'clear ' || price")
    if isinstance(items.sink, Snowflake) and changes:
        items.refused(SchemaDriftError, **settings, on_schema_change="apply")
        return
    assert kinds(items.run(**settings, on_schema_change={"type_changed": "apply"})) == (["type_changed"] if changes else [])
    assert shown() == hidden() and "clear" not in repr(items.rows("price") if mask != "truncate:3" else "")


def test_another_mask_reads_everything_and_appends_what_then_comes(items: Pair) -> None:
    """Also of a column whose type it changes, which is drift like any other."""
    settings: dict[str, Any] = {"mode": "append", "verify": True}
    items.run(**settings, mask={"note": "hash"})
    report = items.run(**settings, mask={"note": "truncate:6"})
    assert (report.reconciled, report.this_try.inserted) == (True, 12)
    assert newest(items, "note") == sorted((masked(note, "truncate:6"),) for (note,) in items.source_rows("note"))
    if not isinstance(items.sink, (Sqlite, Snowflake)):
        assert "type_changed" in str(items.refused(SchemaDriftError, **settings, mask={"price": "hash"}).hint)
        assert kinds(items.run(**settings, mask={"price": "hash"}, on_schema_change={"type_changed": "apply"})) == ["type_changed"]
        assert newest(items, "price") == sorted((masked(price, "hash"),) for (price,) in items.source_rows("price::text"))


@pytest.mark.parametrize("settings", [{"capture": "xmin"}, {"capture": "full"}, {"mode": "append", "capture": "full"}, {"mode": "replace"}], ids=lambda settings: "-".join(settings.values()))
def test_partitions_that_come_and_go_and_another_table_are_told_whatever_is_read(items: Pair, settings: dict[str, Any]) -> None:
    def made(again: str) -> str:
        return (
            f"{again}CREATE TABLE {{t}}_p (id int, region int, PRIMARY KEY (id, region)) PARTITION BY LIST (region); CREATE TABLE {{t}}_1 PARTITION OF {{t}}_p FOR VALUES IN (1);"
            " INSERT INTO {t}_p VALUES (1, 1)"
        )

    items.write(made("") + "; CREATE TABLE {t}_2 (LIKE {t}_1 INCLUDING ALL); INSERT INTO {t}_2 VALUES (2, 2)")
    parted = Pair(items.sink, items.source, items.at_source, f"{items.table}_p")
    assert parted.run(**settings).drift == ()
    items.write("ALTER TABLE {t}_p ATTACH PARTITION {t}_2 FOR VALUES IN (2)")
    assert '{"partition_attached": "apply"}' in parted.refused(SchemaDriftError, **settings, on_schema_change={"partition_attached": "fail"}).hint
    report = parted.run(**settings, verify=True)
    assert [(event.kind, event.column) for event in report.drift] == [("partition_attached", f"public.{items.table}_2")]
    assert newest(parted, "id, region") == [(1, 1), (2, 2)]
    assert parted.run(**settings).drift == ()
    items.write("ALTER TABLE {t}_p DETACH PARTITION {t}_1")
    report = parted.run(**settings, verify=True)
    assert [(event.kind, event.column) for event in report.drift] == [("partition_detached", f"public.{items.table}_1")]
    assert newest(parted, "id, region") == [(2, 2)]
    items.write(made("DROP TABLE {t}_p; DROP TABLE {t}_1; "))
    assert kinds(parted.run(**settings, verify=True)) == ["table_recreated"]
    assert newest(parted, "id, region") == [(1, 1)]
    assert parted.run(**settings).drift == ()

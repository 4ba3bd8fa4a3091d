"""The macros that read a raw table of versions, on hand-made ones in PostgreSQL and DuckDB: the newest as staging models read it, and the history."""

from __future__ import annotations

import pytest
from dbt_shop import DuckShop, PostgresShop, Shop

LOADS = (
    # Load 1: three users. Load 2: one changed. Load 3: one is gone, one is new. Load 4: that one is back, and 10 is as it was first.
    ((10, "de", "2024-01-01", False, 900), (11, "cn", "2024-01-01", False, 901), (12, "fr", "2024-01-01", False, 901)),
    ((10, "pt", "2024-02-01", False, 905),),
    ((11, "cn", "2024-01-01", True, 901), (13, "it", "2024-03-01", False, 990)),
    ((11, "cn", "2024-04-01", False, 1000), (10, "de", "2024-04-02", False, 880)),
)
"""Of each load the versions it brought: id, country, updated_at, gone, xid. The last one of 10 is of a transaction that began before the others."""

MODEL = "{{ config(materialized='table') }} {{ history(source('postgres', 'users'), valid_from='updated_at') }}"
SNAPSHOT = """{% snapshot snap_current %}
{{ config(unique_key='id', strategy='timestamp', updated_at='updated_at', hard_deletes='invalidate') }}
select id, country, updated_at from analytics.current_users
{% endsnapshot %}"""
COLUMNS = "id, country, valid_from, valid_to, is_current"


@pytest.fixture(scope="module", params=["pg18", "duckdb"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose users are versions, with a snapshot that was taken after each load of what was then current."""
    folder = tmp_path_factory.mktemp("versions")
    made: Shop = DuckShop(folder) if request.param == "duckdb" else PostgresShop(folder, request.getfixturevalue(request.param).create_database("dbt_versions"))
    made.execute("alter table raw_postgres.users add column _source_xid bigint; create schema if not exists analytics;"
                 " create table analytics.current_users (id bigint, country text, updated_at timestamptz)")  # fmt: skip
    (made.project.path / "models" / "users_versions.sql").write_text(MODEL)
    (made.project.path / "snapshots" / "snap_current.sql").write_text(SNAPSHOT)
    for versions in LOADS:
        for user, country, updated_at, gone, _ in versions:
            made.execute(f"delete from analytics.current_users where id = {user}")
            if not gone:
                made.execute(f"insert into analytics.current_users values ({user}, '{country}', '{updated_at} 00:00:00+00')")
        made.dbt("snapshot", "--select", "snap_current")
    for row in _shuffled():
        made.execute(f"insert into raw_postgres.users (id, country, updated_at, _extracted_at, _load_id, _deleted_at, _source_xid) values ({row})")
    made.dbt("run", "--select", "users_versions", "stg_postgres__users")
    return made


def _shuffled() -> list[str]:
    """The rows of the raw table, the last load first."""
    rows = []
    for load, versions in enumerate(LOADS, 1):
        for user, country, updated_at, gone, xid in versions:
            at = f"'2024-0{load}-05 00:00:00+00'"
            rows.append(f"{user}, '{country}', '{updated_at} 00:00:00+00', {at}, {load}, {at if gone else 'null'}, {xid}")
    return rows[::-1]


def test_the_history_of_versions_is_what_a_snapshot_of_them_is(shop: Shop) -> None:
    """Of a row that was gone the snapshot knows only when dbt ran."""
    snapshot = "select id, country, dbt_valid_from, dbt_valid_to, dbt_valid_to is null from analytics.snap_current order by 1, 3"
    expected = [(*row[:3], row[3] if row[0] != 11 else row[3] is not None, row[4]) for row in shop.rows(snapshot)]
    versions = shop.rows(f"select {COLUMNS} from analytics.users_versions order by id, valid_from")
    assert [(*row[:3], row[3] if row[0] != 11 else row[3] is not None, row[4]) for row in versions] == expected
    assert [row[1] for row in versions if row[0] == 10] == ["de", "pt", "de"]
    gone = shop.rows("select valid_to from analytics.users_versions where id = 11 and not is_current")
    assert [(at.month, at.astimezone().year) for (at,) in gone] == [(3, 2024)]


def test_staging_models_read_the_newest_version_of_each_key(shop: Shop) -> None:
    assert shop.rows("select user_id, country from analytics.stg_postgres__users order by 1") == [("10", "DE"), ("11", "CN"), ("12", "FR"), ("13", "IT")]

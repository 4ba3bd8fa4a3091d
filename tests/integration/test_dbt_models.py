"""The dbt project's staging models, snapshot and tests on hand-made raw tables, in PostgreSQL and DuckDB."""

from __future__ import annotations

import datetime as dt
import re
from hashlib import md5
from pathlib import Path

import pytest
from dbt_shop import DuckShop, PostgresShop, Shop

from rowferry.demo.warehouse import shipped_project

UTC = dt.timezone.utc
ITEMS = "models/intermediate/int_order_items.sql"

# Two loads: everything, then nothing. Order 5 was closed by a hard delete; 6 has no items and no time at all.
ROWS = """
insert into raw_postgres.orders values
    (1, 10, 'pending',   ' usd',  19.99,       'naïve – 日本 📦', '{"a": 1}', '2024-03-01 23:30:00+00', '2024-03-02 00:00:00+00', null, '2024-03-03 00:00:00+00', 1, null),
    (2, 10, 'confirmed', 'EUR ',  1.005,       null, null, '2024-03-02 03:00:00+00', '1970-01-01 00:00:00+00', null, '2024-03-03 00:00:00+00', 1, null),
    (3, 11, 'shipped',   null,    1000000.005, null, null, '1970-01-01 00:00:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
    (4, 11, 'delivered', 'Gbp',   0.1,         null, null, '2024-03-02 12:00:00+00', '2024-03-02 12:00:00+00', '2024-03-02 13:00:00+00', '2024-03-03 00:00:00+00', 1, null),
    (5, 12, 'cancelled', 'EUR',   5,           null, null, '2024-03-02 12:00:00+00', '2024-03-02 12:00:00+00', null, '2024-03-03 00:00:00+00', 1, '2024-03-03 00:00:00+00'),
    (6, 12, 'refunded',  'EUR',   4.35,        null, null, null, null, null, '2024-03-03 00:00:00+00', 1, null);
insert into raw_postgres.users values
    (10, ' Zoë@Example.org', 'Zoë', 'de ', null, '2024-01-01 00:00:00+00', '2024-01-02 00:00:00+00', null, '2024-03-03 00:00:00+00', 1, null),
    (11, 'li@example.org', '李雷', null, null, '2024-01-01 00:00:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
    (12, 'gone@example.org', 'Gone', 'FR', null, '2024-01-01 00:00:00+00', '2024-01-02 00:00:00+00', null, '2024-03-03 00:00:00+00', 1, null);
insert into raw_postgres.products values
    (7, 'SKU-7 ', 'Café', 'food', 2.5, null, '2024-03-01 23:30:00', '1970-01-01 00:00:00', null, '2024-03-03 00:00:00+00', 1, null);
insert into raw_postgres.payments values
    (20, 1, 'card', 'paid', ' Usd ', 19.99, '2024-03-02 00:00:00+00', '1970-01-01 00:00:00+00', null, '2024-03-03 00:00:00+00', 1, null);
insert into raw_postgres.order_items values
    (1, 1, 7, 3, 2.5,  '2024-03-01 23:30:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
    (1, 2, 7, 1, 2.51, '2024-03-01 23:30:00+00', null, null, '2024-03-03 00:00:00+00', 1, null);
"""


@pytest.fixture(scope="module", params=["pg15", "pg18", "duckdb"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that dbt has built once; the tests of this module only add to it, in their order."""
    folder = tmp_path_factory.mktemp("shop")
    if request.param == "duckdb":
        made: Shop = DuckShop(folder)
    else:
        made = PostgresShop(folder, request.getfixturevalue(request.param).create_database("dbt_models"))
    made.execute(ROWS)
    made.first_build = made.dbt("build")
    return made


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=UTC)


def test_every_test_of_the_project_passes_and_missing_times_are_only_a_counted_warning(shop: Shop) -> None:
    tests = {name: node for name, node in shop.first_build.items() if node.kind == "test"}
    assert {node.status for node in tests.values()} == {"pass", "warn"}
    warned = tests.pop("not_null_stg_postgres__orders_created_at")
    assert (warned.status, warned.failures) == ("warn", 2)
    assert {node.status for node in tests.values()} == {"pass"}


def test_staging_orders_are_clean_and_leave_out_only_what_left_the_source(shop: Shop) -> None:
    rows = shop.rows(
        "select order_id, user_id, currency, total_cents, created_at, updated_at, deleted_at, _extracted_at"
        " from analytics.stg_postgres__orders order by order_id"
    )
    loaded = at(2024, 3, 3)
    assert rows == [
        ("1", "10", "usd", 1999, at(2024, 3, 1, 23, 30), at(2024, 3, 2), None, loaded),
        ("2", "10", "eur", 101, at(2024, 3, 2, 3), None, None, loaded),
        ("3", "11", None, 100000001, None, None, None, loaded),
        ("4", "11", "gbp", 10, at(2024, 3, 2, 12), at(2024, 3, 2, 12), at(2024, 3, 2, 13), loaded),
        ("6", "12", "eur", 435, None, None, None, loaded),
    ]


def test_staging_models_carry_when_dbt_built_them(shop: Shop) -> None:
    built = shop.rows("select distinct _dbt_updated_at from analytics.stg_postgres__orders")
    assert len(built) == 1
    assert abs(dt.datetime.now(UTC) - built[0][0]) < dt.timedelta(minutes=10)


def test_a_timestamp_without_zone_is_declared_utc(shop: Shop) -> None:
    rows = shop.rows("select sku, price_cents, created_at, updated_at from analytics.stg_postgres__products")
    assert rows == [("SKU-7", 250, at(2024, 3, 1, 23, 30), None)]


def test_other_staging_models_are_clean_too(shop: Shop) -> None:
    assert shop.rows("select user_id, email, country from analytics.stg_postgres__users order by user_id") == [
        ("10", "zoë@example.org", "DE"),
        ("11", "li@example.org", None),
        ("12", "gone@example.org", "FR"),
    ]
    assert shop.rows(
        "select payment_id, order_id, currency, amount_cents, updated_at from analytics.stg_postgres__payments"
    ) == [("20", "1", "usd", 1999, None)]


def test_surrogate_keys_are_those_of_dbt_utils(shop: Shop) -> None:
    assert shop.rows("select order_sk from analytics.stg_postgres__orders where order_id = '1'") == [
        (md5(b"1").hexdigest(),)
    ]
    items = shop.rows("select order_item_sk from analytics.stg_postgres__order_items order by line_number")
    assert items == [(md5(b"1-1").hexdigest(),), (md5(b"1-2").hexdigest(),)]
    (shop.project.path / "models" / "keys.sql").write_text(
        "select {{ generate_surrogate_key(['a', 'b', 'c']) }} as key from (select 'x' as a, cast(null as integer) as b, '' as c) as vector"
    )
    shop.dbt("run", "--select", "keys")
    (shop.project.path / "models" / "keys.sql").unlink()
    assert shop.rows("select key from analytics.keys") == [(md5(b"x-_dbt_utils_surrogate_key_null_-").hexdigest(),)]


def test_an_order_without_items_has_no_average_and_divides_nothing_by_zero(shop: Shop) -> None:
    rows = shop.rows(
        "select order_id, item_count, items_cents, avg_item_cents from analytics.int_order_items order by order_id"
    )
    assert rows[0] == ("1", 4, 1001, 250)
    assert {row[1:] for row in rows[1:]} == {(0, 0, None)}


def test_the_snapshot_keeps_versions_and_closes_users_who_left(shop: Shop) -> None:
    shop.execute("""
        update raw_postgres.users set country = 'PT', updated_at = '2024-04-01 00:00:00+00', _extracted_at = '2024-04-02 00:00:00+00' where id = 10;
        update raw_postgres.users set country = 'CN', _extracted_at = '2024-04-02 00:00:00+00' where id = 11;
        update raw_postgres.users set _deleted_at = '2024-04-02 00:00:00+00', _extracted_at = '2024-04-02 00:00:00+00' where id = 12;
    """)
    shop.dbt("build", "--select", "stg_postgres__users", "snap_users", "users_history")
    rows = shop.rows(
        "select user_id, country, valid_from, valid_to, is_current from analytics.users_history order by user_id, valid_from"
    )
    gone = rows.pop()
    assert rows == [
        ("10", "DE", at(2024, 1, 2), at(2024, 4, 1), False),
        ("10", "PT", at(2024, 4, 1), None, True),
        # No updated_at: a version begins when it was read.
        ("11", None, at(2024, 3, 3), at(2024, 4, 2), False),
        ("11", "CN", at(2024, 4, 2), None, True),
    ]
    assert gone[:3] == ("12", "FR", at(2024, 1, 2)) and gone[4] is False
    assert abs(dt.datetime.now(UTC) - gone[3]) < dt.timedelta(minutes=10)


def test_tests_fail_on_rows_they_are_there_for(shop: Shop) -> None:
    shop.execute("""
        insert into raw_postgres.orders values
            (1, 10, 'pending', 'EUR', 1, null, null, '2024-03-02 12:00:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
            (null, 10, 'pending', 'EUR', 1, null, null, '2024-03-02 12:00:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
            (91, 10, 'lost', 'EUR', 1, null, null, '2024-03-02 12:00:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
            (92, 10, 'pending', 'EUR', -0.01, null, null, '2024-03-02 12:00:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
            (93, 10, 'pending', 'EUR', null, null, null, '2024-03-02 12:00:00+00', null, null, '2024-03-03 00:00:00+00', 1, null),
            (94, 10, 'pending', 'EUR', 1, null, null, now() + interval '1 hour', null, null, '2024-03-03 00:00:00+00', 1, null);
    """)
    nodes = shop.dbt("test", "--select", "stg_postgres__orders")
    failed = {name: node.failures for name, node in nodes.items() if node.status == "fail"}
    # The key of a NULL is a hash like any other, so order_sk is not null even then.
    assert failed == {
        "unique_stg_postgres__orders_order_id": 1,
        "unique_stg_postgres__orders_order_sk": 1,
        "not_null_stg_postgres__orders_order_id": 1,
        next(name for name in nodes if name.startswith("accepted_values_stg_postgres__orders_status")): 1,
        "not_negative_stg_postgres__orders_total_cents": 1,
        "not_null_stg_postgres__orders_total_cents": 1,
        "not_in_future_stg_postgres__orders_created_at": 1,
    }


UNGUARDED = ("{{ safe_divide('cast(items_cents as numeric(38, 4))', 'item_count') }}", "cast(items_cents as numeric(38, 4)) / item_count")


def test_a_division_that_lost_its_guard_is_an_error_in_duckdb_as_elsewhere(tmp_path: Path) -> None:
    shop = without_guard(tmp_path, *UNGUARDED)
    with pytest.raises(AssertionError, match="Division by zero"):
        shop.dbt("build", "--select", "+int_order_items")


def test_a_division_by_zero_that_duckdb_lets_pass_fails_the_test_of_its_model(tmp_path: Path) -> None:
    shop = without_guard(tmp_path, *UNGUARDED)
    edit(shop.project.path / "profiles.yml", "ieee_floating_point_ops: false", "ieee_floating_point_ops: true")
    edit(shop.project.path / ITEMS, "cast(round(", "((")
    edit(shop.project.path / ITEMS, ") as bigint) as avg_item_cents", ")) as avg_item_cents")
    found = shop.dbt("build", "--select", "+int_order_items")
    assert {name: node.failures for name, node in found.items() if node.status == "fail"} == {"finite_int_order_items_": 4}


def test_a_key_that_a_merge_doubled_or_a_number_that_is_none_fails_the_test_of_its_model(shop: Shop) -> None:
    """DuckDB says nothing of a key that comes twice in one merge."""
    shop.dbt("build", "--select", "+users_history", "+orders_daily")
    shop.execute("""
        insert into analytics.int_order_days select * from analytics.int_order_days where order_id = '1';
        insert into analytics.users_history select * from analytics.users_history where user_id = '10' and is_current;
        alter table analytics.orders_daily add column share double precision;
        update analytics.orders_daily set share = 'nan' where order_date = '2024-03-01';
        update analytics.orders_daily set share = '-infinity' where order_date <> '2024-03-01';
    """)
    (days,) = shop.rows("select count(*) from analytics.orders_daily")[0]
    found = shop.dbt("test", "--select", "int_order_days", "users_history", "orders_daily")
    assert {name: node.failures for name, node in found.items() if node.status == "fail"} == {
        "unique_together_int_order_days_order_id__order_date": 1,
        "unique_together_users_history_user_id__valid_from": 1,
        "finite_orders_daily_": days,
    }
    shop.dbt("run", "--full-refresh", "--select", "users_history", "orders_daily")
    shop.execute("delete from analytics.int_order_days where order_id = '1'")


def without_guard(folder: Path, guarded: str, unguarded: str) -> DuckShop:
    """A shop whose orders without items are divided by their number of items."""
    shop = DuckShop(folder)
    shop.execute(ROWS)
    edit(shop.project.path / ITEMS, guarded, unguarded)
    return shop


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} has no {old}"
    path.write_text(text.replace(old, new))


def test_the_real_dbt_utils_is_used_where_it_is_installed(tmp_path: Path) -> None:
    shop = DuckShop(tmp_path)
    package = tmp_path / "package" / "macros"
    package.mkdir(parents=True)
    (package.parent / "dbt_project.yml").write_text("name: dbt_utils\nversion: '1.0.0'\nconfig-version: 2\n")
    (package / "key.sql").write_text(
        "{% macro default__generate_surrogate_key(field_list) %}'from the package'{% endmacro %}"
    )
    (shop.project.path / "packages.yml").write_text(f"packages:\n  - local: {package.parent}\n")
    shop.execute(ROWS)
    shop.dbt("deps")
    shop.dbt("run", "--select", "stg_postgres__users")
    assert shop.rows("select distinct user_sk from analytics.stg_postgres__users") == [("from the package",)]


def test_the_manifest_is_made_without_a_warehouse_and_outside_of_the_shipped_project(tmp_path: Path) -> None:
    shop = DuckShop(tmp_path)
    shop.file.unlink()
    before = sorted(shipped_project().rglob("*"))
    assert '"model.shop.orders_daily"' in shop.project.parse().read_text()
    assert sorted(shipped_project().rglob("*")) == before


def test_no_model_selects_every_column_spells_a_date_or_divides_without_a_guard() -> None:
    sources = [
        path
        for folder in ("models", "snapshots", "macros", "tests")
        for path in (shipped_project() / folder).rglob("*.sql")
    ]
    assert len(sources) > 15
    for path in sources:
        code = re.sub(r"\{#.*?#\}|--[^\n]*", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"select\s+(\w+\.)?\*", code, re.IGNORECASE), path
        assert not re.search(r"\d{4}-\d{2}", code), path
        assert not re.search(r"[/%](?!\s*nullif)", re.sub(r"\{%.*?%\}", "", code, flags=re.DOTALL)), path

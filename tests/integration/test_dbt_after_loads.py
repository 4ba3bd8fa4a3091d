"""The shop, loaded by rowferry and built by dbt over some nights: the mart says what the source says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
from dbt_shop import PostgresShop

import rowferry
from rowferry.demo import shop
from rowferry.demo.servers import Server

# What orders_daily should say, asked of the source itself; days without an order are not in here.
SOURCE = """
select (created_at at time zone 'UTC')::date as order_date, count(*), count(distinct user_id),
    sum(round(total_amount::numeric * 100))::bigint
from orders
where deleted_at is null and created_at > to_timestamp(0)
group by order_date
order by order_date"""
MART = "select order_date, order_count, unique_customers, revenue_cents from analytics.orders_daily order by order_date"


class Loaded(PostgresShop):
    """A dbt project whose raw tables rowferry makes."""

    raw_tables = ""


def test_the_mart_says_what_the_source_says_night_after_night(
    servers: Server, database: Callable[[Server], str], tmp_path: Path
) -> None:
    source, target = database(servers), database(servers)
    shop.create(source, orders=3000)
    warehouse = Loaded(tmp_path, target)

    def night(capture: str = "auto") -> None:
        for table in shop.KEYS:
            rowferry.run(rowferry.Job(source=source, target=target, table=table, capture=capture))
        nodes = warehouse.dbt("build")
        assert {node.status for node in nodes.values()} <= {"success", "pass", "warn"}

    def check() -> None:
        with psycopg.connect(source) as connection:
            expected = connection.execute(SOURCE.encode()).fetchall()
        rows = warehouse.rows(MART)
        assert [row for row in rows if row[1]] == expected
        assert all(row[1:] == (0, 0, 0) for row in rows if not row[1])

    night()
    check()
    with shop.open_late_transaction(source) as late:
        shop.change(source, 2)
        night()
        check()
        late.commit()
    shop.change(source, 3)
    night()
    check()
    with psycopg.connect(source) as connection:
        connection.execute("delete from orders where created_at < now() - interval '360 days' or id % 100 = 3")
    night(capture="full")
    check()
    assert any(not row[1] for row in warehouse.rows(MART))
    for table in shop.KEYS:
        assert rowferry.verify(rowferry.Job(source=source, target=target, table=table))

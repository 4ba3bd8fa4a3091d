"""The shop, loaded by rowferry and built by dbt over some nights: the mart says what the source says.

Reader, loader and dbt have no other rights than the README's section "Rights" gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
from dbt_shop import PostgresShop
from rights import ANALYST, LOADER, READER, as_role, let_analyst_in, let_loader_in, let_reader_in

import rowferry
from rowferry.demo import shop
from rowferry.demo.servers import Server
from rowferry.demo.warehouse import DbtProject, dbt_environment

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

    def __init__(self, folder: Path, uri: str) -> None:
        super().__init__(folder, uri)
        self.project = DbtProject(folder=folder, environment=dbt_environment(as_role(uri, ANALYST)))


def test_the_mart_says_what_the_source_says_night_after_night(
    servers: Server, database: Callable[[Server], str], tmp_path: Path
) -> None:
    source, target = database(servers), database(servers)
    shop.create(source, orders=3000)
    warehouse = Loaded(tmp_path, target)
    reader, loader = as_role(source, READER), as_role(target, LOADER)
    with psycopg.connect(source) as at_source, psycopg.connect(target) as at_target:
        let_reader_in(at_source)
        let_loader_in(at_target)

    def night(capture: str = "auto") -> None:
        for table in shop.KEYS:
            rowferry.run(rowferry.Job(source=reader, target=loader, table=table, capture=capture))
        nodes = warehouse.dbt("build")
        assert {node.status for node in nodes.values()} <= {"success", "pass", "warn"}

    def check() -> None:
        with psycopg.connect(source) as connection:
            expected = connection.execute(SOURCE.encode()).fetchall()
        rows = warehouse.rows(MART)
        assert [row for row in rows if row[1]] == expected
        assert all(row[1:] == (0, 0, 0) for row in rows if not row[1])

    for table in shop.KEYS:
        rowferry.run(rowferry.Job(source=reader, target=loader, table=table))
    with psycopg.connect(target) as at_target:
        let_analyst_in(at_target)
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

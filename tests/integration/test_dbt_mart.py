"""sales/orders_daily against what a full refresh gives, over histories that dbt sees only in part."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from pathlib import Path

import pytest
from dbt_shop import DuckShop, PostgresShop, Shop

UTC = dt.timezone.utc
TODAY = dt.datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
MART = (
    "select order_date, order_count, unique_customers, revenue_cents, avg_order_value_cents from analytics.orders_daily"
)


class History:
    """Orders in raw as rowferry would leave them, and what the mart must then say.

    Days are counted back from today: day 0 is today.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.loads = 0
        self.counted: set[dt.date] = set()

    def load(self, *statements: str) -> None:
        """One load: its rows get one _extracted_at, newer than all before."""
        self.loads += 1
        extracted = f"'{TODAY - dt.timedelta(days=1) + dt.timedelta(seconds=self.loads)}'"
        for statement in statements:
            self.shop.execute(statement.replace("$NOW", extracted).replace("$LOAD", str(self.loads)))

    def order(self, order_id: int, day: int | None, cents: int, user: int = 1, updated: int | None = None) -> str:
        created = _moment(day)
        changed = _moment(updated if updated is not None else day)
        return (
            f"insert into raw_postgres.orders values ({order_id}, {user}, 'pending', 'EUR', {cents / 100}, null, null,"
            f" {created}, {changed}, null, $NOW, $LOAD, null)"
        )

    def change(self, order_id: int, assignments: str) -> str:
        return f"update raw_postgres.orders set {assignments}, _extracted_at = $NOW, _load_id = $LOAD where id = {order_id}"

    def expected(self) -> list[tuple]:
        """The mart by plain Python, with a zero row for each day that dbt has ever seen an order on."""
        rows = self.shop.rows(
            "select user_id, total_amount, created_at, deleted_at, _deleted_at from raw_postgres.orders"
        )
        days: dict[dt.date, list[tuple[int, int]]] = defaultdict(list)
        for user, amount, created, deleted, closed in rows:
            if created is None or created.timestamp() == 0:
                continue
            day = created.astimezone(UTC).date()
            self.counted.add(day)
            if deleted is None and closed is None:
                days[day].append((user, round(amount * 100)))
        return sorted(_summary(day, days[day]) for day in self.counted)

    def check(self) -> None:
        """dbt runs; then the mart is what it should be."""
        self.shop.dbt("run", "--select", "stg_postgres__orders", "int_order_days", "orders_daily")
        assert sorted(self.shop.rows(MART)) == self.expected()

    def day(self, day: int) -> tuple:
        date = (TODAY - dt.timedelta(days=day)).date()
        (row,) = self.shop.rows(f"{MART} where order_date = '{date}'")
        return row[1:]


def _moment(day: int | None) -> str:
    return "null" if day is None else f"'{TODAY - dt.timedelta(days=day)}'"


def _summary(day: dt.date, orders: list[tuple[int, int]]) -> tuple:
    revenue = sum(cents for _, cents in orders)
    average = (2 * revenue + len(orders)) // (2 * len(orders)) if orders else None  # rounded half up
    return day, len(orders), len({user for user, _ in orders}), revenue, average


@pytest.fixture(params=["pg15", "pg18", "duckdb"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    if request.param == "duckdb":
        return History(DuckShop(tmp_path))
    database = request.getfixturevalue("database")
    return History(PostgresShop(tmp_path, database(request.getfixturevalue(request.param))))


def test_the_mart_is_right_after_every_kind_of_change(history: History) -> None:
    load, order, change = history.load, history.order, history.change
    load(
        order(1, 60, 1000),
        order(2, 60, 2000, user=2),
        order(3, 30, 500),
        order(4, 20, 700),
        order(5, 10, 900),
        order(6, None, 100),
        order(7, 1, 300),
        order(8, 90, 50),
    )
    history.check()
    assert history.day(60) == (2, 2, 3000, 1500)

    # An order of long ago is corrected, with an updated_at just as old: outside of any lookback.
    load(change(1, "total_amount = 11"))
    history.check()
    assert history.day(60) == (2, 2, 3100, 1550)

    # Soft deletes: one of two, the only one.
    load(change(2, "deleted_at = now()"), change(3, "deleted_at = now()"))
    history.check()
    assert history.day(60) == (1, 1, 1100, 1100)
    assert history.day(30) == (0, 0, 0, None)

    # A hard delete: the row is closed, its updated_at is as old as ever.
    load(change(4, "_deleted_at = now()"))
    history.check()
    assert history.day(20) == (0, 0, 0, None)

    # An order moves to another day, another loses its day, a third gets one.
    load(
        change(5, f"created_at = {_moment(40)}"),
        change(7, "created_at = null"),
        change(6, f"created_at = {_moment(50)}"),
    )
    history.check()
    assert history.day(10) == (0, 0, 0, None)
    assert history.day(40) == (1, 1, 900, 900)
    assert history.day(1) == (0, 0, 0, None)
    assert history.day(50) == (1, 1, 100, 100)

    # A week without dbt: loads go on, one order moves twice, one is deleted and comes back, late ones arrive.
    load(change(5, f"created_at = {_moment(41)}"), change(8, "_deleted_at = now()"))
    load(change(5, f"created_at = {_moment(42)}"), order(10, 2, 111), order(11, 30, 222))
    load(change(8, "_deleted_at = null, total_amount = 0.75"), change(1, f"created_at = {_moment(61)}"))
    history.check()
    assert history.day(90) == (1, 1, 75, 75)
    assert history.day(60) == (0, 0, 0, None)

    # The mart failed, or was not run, after int_order_days had seen the change.
    load(change(1, f"created_at = {_moment(62)}"))
    history.shop.dbt("run", "--select", "int_order_days")
    load(change(11, f"created_at = {_moment(31)}"))
    history.check()

    # Nothing happened: nothing changes.
    history.check()

    # A change that did not come through a load is still found inside the lookback.
    history.shop.execute("update raw_postgres.orders set total_amount = 9 where id = 10")
    history.check()

    # A real full refresh of everything gives the same rows, zeros included.
    before = sorted(history.shop.rows(MART))
    history.shop.dbt("build", "--full-refresh", "--select", "stg_postgres__orders", "int_order_days", "orders_daily")
    assert sorted(history.shop.rows(MART)) == before == history.expected()


def test_the_project_notices_a_mart_that_is_not_a_full_refresh(tmp_path: Path) -> None:
    history = History(DuckShop(tmp_path))
    history.load(history.order(1, 9, 100), history.order(2, 8, 100))
    history.check()
    history.shop.execute("update analytics.orders_daily set order_count = 7 where order_count = 1")
    test = history.shop.dbt("test", "--select", "orders_daily_equals_full_refresh")["orders_daily_equals_full_refresh"]
    assert (test.status, test.failures) == ("fail", 4)


@pytest.mark.parametrize("seed", range(2))
def test_the_mart_is_right_after_random_histories(tmp_path: Path, seed: int) -> None:
    """Loads and dbt runs in any order, every one of these dates far outside of the lookback."""
    history, chance = History(DuckShop(tmp_path)), random.Random(seed)
    known = 0
    for _ in range(6):
        for _ in range(chance.randrange(1, 4)):
            statements = []
            for _ in range(chance.randrange(1, 6)):
                if known < 3 or chance.random() < 0.3:
                    known += 1
                    statements.append(
                        history.order(
                            known, chance.choice([None, *range(20, 26)]), chance.randrange(1000), chance.randrange(3)
                        )
                    )
                    continue
                assignment = chance.choice(
                    [
                        f"created_at = {_moment(chance.choice([None, *range(20, 26)]))}",
                        f"total_amount = {chance.randrange(1000) / 100}",
                        "deleted_at = " + chance.choice(["null", "now()"]),
                        "_deleted_at = " + chance.choice(["null", "now()"]),
                    ]
                )
                statements.append(history.change(chance.randrange(1, known + 1), assignment))
            history.load(*statements)
            if chance.random() < 0.3:
                history.shop.dbt("run", "--select", "int_order_days")
                history.expected()  # its days are known from now on
        history.check()

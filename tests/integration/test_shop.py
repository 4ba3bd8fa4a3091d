"""The demo's shop: as untidy as it says, and changed in ways that a copy by updated_at alone loses."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from rowferry.demo import shop
from rowferry.demo.naive import NaiveCopy
from rowferry.demo.servers import Server

ORDERS = 5000


@pytest.fixture
def source(servers: Server, database: Callable[[Server], str]) -> str:
    uri = database(servers)
    assert shop.create(uri, orders=ORDERS)["orders"] == ORDERS
    return uri


def one(uri: str, query: str) -> tuple:
    with psycopg.connect(uri) as connection:
        return connection.execute(query.encode()).fetchone()


def test_the_shop_is_untidy_but_its_orders_are_sound(source: str) -> None:
    unknown, unstamped, deleted, untrimmed, future, negative, statuses = one(
        source,
        """
        select
            count(*) filter (where created_at is null or created_at = to_timestamp(0)),
            count(*) filter (where updated_at is null or updated_at = to_timestamp(0)),
            count(deleted_at),
            count(*) filter (where currency <> lower(trim(currency))),
            count(*) filter (where created_at > now() or updated_at > now()),
            count(*) filter (where not total_amount >= 0),
            array_agg(distinct status order by status)
        from orders""",
    )
    assert 0 < unknown < ORDERS / 100
    assert ORDERS / 100 < unstamped < ORDERS / 20
    assert 0 < deleted < ORDERS / 20
    assert untrimmed > ORDERS / 4
    assert (future, negative) == (0, 0)
    assert statuses == ["cancelled", "confirmed", "delivered", "pending", "refunded", "shipped"]
    assert one(source, "select count(*) from orders left join users on users.id = user_id where users.id is null") == (
        0,
    )


def test_a_seed_gives_the_same_orders_again(servers: Server, source: str, database: Callable[[Server], str]) -> None:
    again = database(servers)
    shop.create(again, orders=ORDERS)
    content = "select md5(string_agg((id, user_id, status, currency, total_amount, note, payload)::text, '' order by id)) from orders"
    assert one(source, content) == one(again, content)


def test_a_change_updates_inserts_deletes_and_brings_late_orders(source: str) -> None:
    before = one(source, "select count(*), count(deleted_at), max(id) from orders")
    shop.change(source, 1)
    after = one(source, "select count(*), count(deleted_at) from orders")
    assert after[0] > before[0] and after[1] > before[1]
    late = "select count(*) filter (where created_at < now() - interval '2 days'), count(*) filter (where created_at < now() - interval '29 days')"
    assert one(source, f"{late} from orders where id > {before[2]}") == (100, 50)
    assert one(source, "select count(*) from orders where created_at > now()") == (0,)


def test_a_naive_copy_loses_what_committed_late_or_never_set_updated_at(
    servers: Server, source: str, database: Callable[[Server], str]
) -> None:
    naive = NaiveCopy(source=source, target=database(servers), keys=shop.KEYS)
    assert naive.run()["orders"] == ORDERS
    assert set(naive.lost().values()) == {0}
    with shop.open_late_transaction(source) as late:
        shop.change(source, 1)
        assert naive.run()["orders"] > 0
        lost_without = naive.lost()["orders"]
        late.commit()
    naive.run()
    late_rows = one(source, "select count(*) from orders where id % 1000 = 990 or note = 'slow checkout'")[0]
    assert lost_without > 0
    assert naive.lost()["orders"] == lost_without + late_rows

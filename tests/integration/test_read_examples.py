"""The examples of the README's section "Rows in memory", word for word."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rights import READER, as_role
from route import Route

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text().partition("\n## Rows in memory\n")[2].partition("\n## ")[0]
(EXAMPLES,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


def test_each_consumer_reads_as_the_readme_says(route: Route, capsys: pytest.CaptureFixture[str]) -> None:
    route.at_source.execute(
        "CREATE TABLE orders (id bigint PRIMARY KEY, status text, amount numeric(12,2)); CREATE TABLE users (id bigint PRIMARY KEY, name text);"
        " INSERT INTO orders VALUES (1, 'paid', 1.10), (2, 'new', 2), (3, 'paid', 3); INSERT INTO users VALUES (7, 'Ada')"
    )
    seen: dict[str, Any] = {"SHOP": as_role(route.source, READER)}
    exec(EXAMPLES, seen)
    assert seen["orders"].to_pydict() == {"id": [1, 2, 3], "status": ["paid", "new", "paid"], "amount": [Decimal("1.10"), Decimal("2.00"), Decimal("3.00")]}
    assert seen["paid"].rows() == [(1, Decimal("1.10")), (3, Decimal("3.00"))]
    assert seen["sums"] == [("new", Decimal("2.00")), ("paid", Decimal("4.10"))]
    assert seen["users"].to_dict("list") == {"id": [7], "name": ["Ada"]}
    assert capsys.readouterr().out == "3\n"

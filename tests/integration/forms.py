"""Values as texts that say them to the last bit, from PostgreSQL and from Arrow."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import pyarrow
from edges import all_types, row_of

import rowferry

TABLE: list[dict[str, str]] = json.loads(rowferry.type_table())["types"]

# What Arrow has no value for: the run stops and names the column, which as_text then carries.
STOPS: dict[str, list[str]] = {
    "numeric(12,4)": ["'NaN'"],
    "numeric(12,4)[]": ["'{NaN}'"],
    "timestamp": ["'294276-12-31 23:59:59.999999'"],
    "timestamptz": ["'294276-12-31 23:59:59.999999+00'"],
    "interval": ["'2562048 hours'"],
    "integer[]": ["'{{1,2},{3,4}}'", "'[0:1]={1,2}'"],
}


class Form(NamedTuple):
    """A value as a text that says it to the last bit: SQL makes it at the source, Python of what Arrow holds.

    Attributes:
        sql: Of the value, as `{}`.
        told: Of a value of the list that `listed` makes of an Arrow array.
        meant: Of the text from the source, where that is not yet the form.
    """

    sql: str = "{}::text"
    told: Callable[[Any], str] = str
    listed: Callable[[pyarrow.Array], list[Any]] = pyarrow.Array.to_pylist
    meant: Callable[[str], str] = str


def _bits(width: str) -> Callable[[Any], str]:
    return lambda number: "nan" if math.isnan(float(number)) else struct.pack(width, float(number)).hex()


def _integers(width: pyarrow.DataType) -> Callable[[pyarrow.Array], list[Any]]:
    return lambda array: array.view(width).to_pylist()


def _finite(sql: str, most: int) -> str:
    return f"CASE {{0}} WHEN 'infinity' THEN '{most}' WHEN '-infinity' THEN '{-most}' ELSE ({sql})::text END"


MICROS = _finite("(extract(epoch FROM {0}) * 1000000)::bigint", 2**63 - 1)
MONTHS_DAYS_NANOS = (
    "CASE WHEN {0} IS NOT NULL THEN concat_ws(' ', (extract(year FROM {0}) * 12 + extract(month FROM {0}))::bigint, extract(day FROM {0})::bigint,"
    " (extract(hour FROM {0}) * 3600000000 + extract(minute FROM {0}) * 60000000 + extract(microseconds FROM {0}))::numeric(30) * 1000) END"
)

FORMS: dict[str, Form] = {
    "bool": Form(told=lambda value: str(value).lower()),
    "float4": Form(told=_bits("<f"), meant=_bits("<f")),
    "float8": Form(told=_bits("<d"), meant=_bits("<d")),
    "numeric(p,s)": Form(told=lambda number: format(number, "f")),
    "money": Form("{}::numeric::text"),
    "bpchar": Form("CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END"),  # a cast to text drops the spaces
    "bytea": Form("encode({}, 'hex')", bytes.hex),
    "date": Form(_finite("{0} - date '1970-01-01'", 2**31 - 1), listed=_integers(pyarrow.int32())),
    "time": Form("(extract(epoch FROM {}) * 1000000)::bigint::text", listed=_integers(pyarrow.int64())),
    "timestamp": Form(MICROS, listed=_integers(pyarrow.int64())),
    "timestamptz": Form(MICROS, listed=_integers(pyarrow.int64())),
    "interval": Form(MONTHS_DAYS_NANOS, lambda value: f"{value.months} {value.days} {value.nanoseconds}"),
}


def carried() -> dict[str, list[str]]:
    """Every type with the values that columns in memory hold."""
    return {name: [value for value in values if value not in STOPS.get(name, ())] for name, values in all_types().items()}


def form_of(type_name: str) -> Form:
    return FORMS.get(row_of(type_name), Form())


def held(session: psycopg.Connection, column: str, type_name: str) -> list[Any]:
    """What the source holds, in the form of the type."""
    if not type_name.endswith("[]"):
        form = form_of(type_name)
        found = session.execute(f"SELECT {form.sql.format(column)} FROM items ORDER BY id").fetchall()
        return [None if text is None else form.meant(text) for (text,) in found]
    form = form_of(type_name.removesuffix("[]"))
    listed = f"(SELECT coalesce(json_agg({form.sql.format(f'{column}[n]')} ORDER BY n), '[]') FROM generate_subscripts({column}, 1) n)::text"
    found = session.execute(f"SELECT CASE WHEN {column} IS NOT NULL THEN {listed} END FROM items ORDER BY id").fetchall()
    return [None if text is None else [None if item is None else form.meant(item) for item in json.loads(text)] for (text,) in found]


def told(array: pyarrow.Array, type_name: str) -> list[Any]:
    """What Arrow holds, in the form of the type."""
    if isinstance(array, pyarrow.DictionaryArray):
        array = array.dictionary_decode()
    if isinstance(array, pyarrow.ExtensionArray) and "json" in str(array.type):
        array = array.storage
    if type_name.endswith("[]"):
        element = type_name.removesuffix("[]")
        return [told(array[n].values, element) if array[n].is_valid else None for n in range(len(array))]
    form = form_of(type_name)
    return [None if value is None else form.told(value) for value in form.listed(array)]

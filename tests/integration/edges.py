"""Edge values of every type, by the rows of the one table of types (`rowferry types`), as SQL. NULL is added to each."""

from __future__ import annotations

import itertools

import psycopg

# Values that a text must keep, whatever it is in.
TEXTS = ["''", "' '", "'a  '", "E'tab\\t newline\\n return\\r backslash\\\\ quote\\''", "'\\N'", "'NULL'", "U&'\\+01F600 \\0301'", "chr(1114111)"]

EDGES: dict[str, dict[str, list[str]]] = {
    "bool": {"boolean": ["true", "false"]},
    "int2": {"smallint": ["-32768", "32767", "0"]},
    "int4": {"integer": ["-2147483648", "2147483647", "-1"]},
    "int8": {"bigint": ["-9223372036854775808", "9223372036854775807", "0"]},
    "oid": {"oid": ["0", "2147483648", "4294967295"]},
    "float4": {"real": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e-45", "3.4028235e38", "0.1", "16777217"]},
    "float8": {"double precision": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1::float8 + 0.2::float8", "9007199254740993"]},
    "numeric(p,s)": {
        "numeric(12,2)": ["0", "0.10", "-9999999999.99", "9999999999.99", "10000.00", "0.01"],
        "numeric(12,4)": ["12345678.1234", "-0.0001", "10000", "0.1000", "'NaN'"],
        "numeric(38,10)": ["repeat('9', 28)::numeric + 0.9999999999", "-0.0000000001", "1"],
        "numeric(38,38)": ["1e-38::numeric", "-0.99999999999999999999999999999999999999"],
        "numeric(38)": ["repeat('9', 38)::numeric", "-repeat('9', 38)::numeric"],
        "numeric(1)": ["9", "-9", "0"],
    },
    "numeric": {
        "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "0", "1.0", "1.00", "-0.000000000000000000000001", "repeat('9', 1000)::numeric", "'1e-300'", "0.1"],
        "numeric(50,2)": ["repeat('9', 48)::numeric + 0.99", "-0.01", "'NaN'"],
        "numeric(3,-2)": ["12300", "0", "-99900"],
        "numeric(3,5)": ["0.00123", "-0.00999"],
    },
    "money": {"money": ["'-92233720368547758.08'", "'0.01'", "'1234567.80'"]},
    "text": {"text": [*TEXTS, "repeat('long ', 100000)"]},
    "varchar": {"varchar": TEXTS, "varchar(5)": ["''", "'a    '", "'名名名名名'"]},
    "bpchar": {"char(5)": ["''", "'a'", "'名'", "E'\\t'"], "bpchar": ["'a  '", "''"]},
    "name": {"name": ["'a name'", "repeat('x', 63)", "''"]},
    "bytea": {"bytea": ["''", "'\\x00ff00'", "'\\x5c6e'", "decode(repeat('00', 70000), 'hex')"]},
    "uuid": {"uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'01234567-89ab-cdef-0123-456789abcdef'"]},
    "json": {"json": ["""'{"b": 1, "a": 1.50,  "a": 2}'""", "'null'", "'[]'", """'{"n": 10.680}'""", "'\"\"'", """'{"deep": {"er": [[], {}]}}'"""]},
    "jsonb": {"jsonb": ["""'{"b": 1.10, "a": [null, true, {}]}'""", "'null'", "'1e400'", """'{"": ""}'""", """'{"n": 10.680, "zero": 0.00}'""", "'\"text\"'", "'{}'", "'[]'", "to_jsonb(E'\\t\"\\\\'::text)", "'\"😀\"'"]},
    "date": {"date": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'4713-11-24 BC'", "'5874897-12-31'", "'12026-11-23'", "'2024-02-29'", "'1970-01-01'", "'1969-12-31'"]},
    "time": {"time": ["'00:00'", "'24:00'", "'23:59:59.999999'"], "time(0)": ["'12:34:56'"]},
    "timetz": {"timetz": ["'24:00+15:59'", "'00:00-15:59'", "'12:00:00.000001+05:30'"], "timetz(3)": ["'12:00:00.123+00'"]},
    "timestamp": {
        "timestamp": ["'infinity'", "'-infinity'", "'4713-11-24 00:00:00 BC'", "'12026-01-01 00:00:00'", "'294246-12-31 23:59:59.999999'", "'1970-01-01'", "'1969-12-31 23:59:59.999999'", "'294276-12-31 23:59:59.999999'"],
        "timestamp(3)": ["'2026-11-22 01:02:03.456'"],
    },
    "timestamptz": {
        "timestamptz": ["'infinity'", "'-infinity'", "'4713-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'2026-03-29 02:30:00 Europe/Paris'", "'2026-10-25 02:30:00+01'", "'1970-01-01 00:00:00.000001+00'"],
        "timestamptz(0)": ["'2026-11-22 01:02:03+05:30'"],
    },
    "interval": {
        "interval": ["'0'", "'1 mon -1 day 24:00:00'", "'178000000 years'", "'-178000000 years'", "'1 day'", "'24 hours'", "'0.000001 s'", "'-2147483648 days'", "'2562047 hours'", "'2562048 hours'"],
        "interval day to second(3)": ["'1 day 02:03:04.567'"],
        "interval year to month": ["'3 years 2 mons'"],
    },
    "(enum)": {"mood": ["'sad'", "'it''s ok'", "''", "'名'"]},
    "(array)": {
        "integer[]": ["'{}'", "'{NULL,1}'", "'{NULL}'", "'{2147483647}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'"],
        "text[]": ["""'{"", NULL, "NULL", "a\\"b", "{}"}'"""],
        "numeric(12,4)[]": ["'{1.5,-0.0001}'", "'{NaN}'"],
        "numeric[]": ["'{1.50,NaN}'"],
        "boolean[]": ["'{t,f,NULL,t,t,t,t,t,t}'"],
        "double precision[]": ["'{-0,NaN,Infinity}'"],
        "jsonb[]": ["""ARRAY['{"a": 10.680}'::jsonb, 'null', NULL]"""],
        "uuid[]": ["'{00000000-0000-0000-0000-000000000001,NULL}'"],
        "timestamptz[]": ["ARRAY['infinity', NULL, '2026-11-23 00:00:00+05']::timestamptz[]"],
        "date[]": ["'{infinity,0044-03-15 BC}'"],
        "time[]": ["'{24:00,00:00}'"],
        "bytea[]": ["ARRAY['\\x00'::bytea, '']"],
        "interval[]": ["'{1 mon 1 day 1 s,NULL}'"],
        "char(5)[]": ["'{a,NULL}'"],
        "money[]": ["'{0.10,NULL}'"],
        "mood[]": ["'{}'", "ARRAY['sad', NULL, '']::mood[]"],
        "inet[]": ["'{::1,192.168.0.1/24}'"],
        "tstzrange[]": ["ARRAY['empty'::tstzrange, NULL]"],
        "place[]": ["ARRAY[ROW(1, 'a,\"b\"', '{}')::place, NULL]"],
    },
    "(any other)": {
        '"char"': ["'a'", "''", "'\\377'"],
        "jsonpath": ["'$.a[*] ? (@ > 1)'"],
        "inet": ["'192.168.0.1/24'", "'::1'", "'0.0.0.0/0'"],
        "cidr": ["'192.168.0.0/24'", "'::/0'"],
        "macaddr": ["'08:00:2b:01:02:03'"],
        "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
        "bit(3)": ["B'101'"],
        "bit varying": ["B''", "B'1'", "B'10101010101'"],
        "bit varying(5)": ["B'10'"],
        "point": ["'(1,-2)'", "'(NaN,Infinity)'"],
        "line": ["'{1,2,3}'"],
        "lseg": ["'[(0,0),(1,1)]'"],
        "box": ["'(2,2),(1,1)'"],
        "path": ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"],
        "polygon": ["'((0,0),(1,1),(1,0))'"],
        "circle": ["'<(0,0),1>'"],
        "tsvector": ["$$'a':1A 'b':2,3B$$", "''"],
        "tsquery": ["$$'a' & !('b' <-> 'c':*)$$"],
        "pg_lsn": ["'16/B374D848'"],
        "int4range": ["'empty'", "'(,)'", "'[1,5)'"],
        "numrange": ["'[1.0,1.00]'", "'(,5.50)'"],
        "tstzrange": ["'[-infinity,infinity]'", "'[2026-01-01 00:00:00+00,)'"],
        "daterange": ["'[2026-01-01,2026-02-01)'"],
        "int8multirange": ["'{}'", "'{[1,3),[5,9)}'"],
        "place": ["ROW(1, '', ARRAY['sad']::mood[])::place", "ROW(NULL, NULL, NULL)::place"],
        "moodrange": ["'[1.5,2.5]'", "'empty'"],
        "hstore": ["''", "'a=>1, b=>NULL, \"\"=>\"\"'"],
        "citext": ["'Case'", "''"],
    },
}

# Domains are the source's alone: their base types arrive.
DOMAINS: dict[str, list[str]] = {"score": ["99.99", "0"], "high_score": ["60.00"], "word": ["'twenty characters at'"]}

OWN = """
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', '', '名');
CREATE TYPE place AS (x int, "the name" text, moods mood[]);
CREATE TYPE moodrange AS RANGE (subtype = float8);
"""
EXTENSIONS = "CREATE EXTENSION hstore; CREATE EXTENSION citext"
OWN_DOMAINS = """
CREATE DOMAIN score AS numeric(5, 2) CHECK (VALUE >= 0);
CREATE DOMAIN high_score AS score CHECK (VALUE > 50);
CREATE DOMAIN word AS varchar(20);
"""
OF_EXTENSIONS = ("hstore", "citext")


def row_of(type_name: str) -> str:
    """The row of the table that decides the type."""
    return next(row for row, types in EDGES.items() if type_name in types)


def all_types(*but: str) -> dict[str, list[str]]:
    """Every type with its values."""
    return {name: values for types in EDGES.values() for name, values in types.items() if name not in but}


def lay(session: psycopg.Connection, types: dict[str, list[str]], table: str = "items") -> dict[str, str]:
    """A table with a column of each type, and one row for each edge value of the longest list; returns the types of the columns."""
    columns = {f"c{n}": name for n, name in enumerate(types)}
    session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, {', '.join(f'{column} {name}' for column, name in columns.items())})")
    for n, values in enumerate(itertools.zip_longest(*types.values(), fillvalue="NULL")):
        session.execute(f"INSERT INTO {table} VALUES ({n}, {', '.join(values)})".encode())
    session.execute(f"INSERT INTO {table} (id) VALUES (1000)")
    return columns

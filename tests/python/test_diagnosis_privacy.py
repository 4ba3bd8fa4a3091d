"""What a diagnosis shows holds no value and no secret, in whatever dress it stands in a log, and names stay."""

from __future__ import annotations

import json

import pytest

from rowferry import terminal
from rowferry.diagnosis import diagnose

SECRET = "zq9Xk7secretV4l"
LOGS = (
    "duckdb.ConstraintException: Constraint Error: Duplicate key \"id: %s\" violates primary key constraint.",
    "duckdb.ConstraintException: Constraint Error: duplicate key \"%s\"",
    "psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint \"u\"\nDETAIL:  Key (email)=(%s@b.cd) already exists.",
    "psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint \"u\"\nDETAIL:  Key (a, lower(b))=(1, %s (x)) already exists.",
    "psycopg2.errors.ForeignKeyViolation: insert or update on table \"t\" violates foreign key constraint \"f\"\nDETAIL:  Key (c)=(%s) is not present in table \"d\".",
    "psycopg2.errors.NotNullViolation: null value in column \"a\" of relation \"b\" violates not-null constraint\nDETAIL:  Failing row contains (1, %s, null).",
    "psycopg2.errors.CheckViolation: new row for relation \"b\" violates check constraint \"c\"\nDETAIL:  Failing row contains (1, %s).",
    "psycopg2.errors.ExclusionViolation: conflicting key value violates exclusion constraint \"e\"\nDETAIL:  Key (r)=(%s) conflicts with existing key (r)=(%s).",
    "psycopg2.errors.InvalidTextRepresentation: invalid input syntax for type integer: \"%s\"\nCONTEXT:  COPY t, line 3, column a: \"%s\"",
    "psycopg2.errors.InvalidTextRepresentation: invalid input syntax for type integer: \"%s\"\nLINE 1: insert into t values ('%s', 3)",
    "psycopg.errors.InvalidTextRepresentation: invalid input syntax for type integer: \"x\"\nLINE 3:           (1,'n/%s'),(2,'x')",
    "psycopg.errors.CheckViolation: no partition of relation \"e\" found for row\nDETAIL:  Partition key of the failing row contains (d) = (%s).",
    "psycopg.errors.InvalidTextRepresentation: invalid input syntax for type json\nDETAIL:  Token \"%s\" is invalid.\nCONTEXT:  JSON data, line 1: {%s...",
    "psycopg2.errors.BadCopyFileFormat: extra data after last expected column\nCONTEXT:  COPY t, line 3: \"%s,x\"",
    "psycopg2.OperationalError: connection to server failed: Connection refused postgresql://u:%s@h/d",
    "sqlalchemy.exc.OperationalError: connection refused mysql+pymysql://u:%s@h:3306/d",
    "Error: connection refused snowflake://u:%s@acc/db",
    "psycopg2.errors.SyntaxError: syntax error at or near \"x\"\nLINE 1: ALTER USER x PASSWORD '%s'",
    "ERROR:  syntax error at or near \"x\"\nSTATEMENT:  CREATE ROLE x LOGIN PASSWORD '%s' VALID x",
    "ERROR: connection refused aws_secret_access_key=%s",
    "ERROR: connection refused AWS_SECRET_ACCESS_KEY: %s",
    "ERROR: connection refused --password=%s",
    "ERROR: connection refused --password %s",
    "ERROR: connection refused mysql -u x -p%s db",
    "ERROR: connection refused PGPASSWORD=%s psql",
    "ERROR: connection refused MYSQL_PWD=%s",
    "ERROR: connection refused {\"password\": \"%s\"}",
    "ERROR: connection refused {'password': '%s'}",
    "ERROR: connection refused DB_PASSWORD=%s",
    "ERROR: connection refused SNOWFLAKE_PASSWORD: '%s'",
    "ERROR: connection refused password: %s",
    "ERROR: connection refused passcode=%s",
    "ERROR: connection refused Authorization: Bearer %s",
    "ERROR: connection refused Authorization: Basic %s",
    "ERROR: connection refused Snowflake Token=\"%s\"",
    "ERROR: connection refused x-api-key: %s",
    "ERROR: connection refused private_key_passphrase=%s",
    "ERROR: connection refused https://h/x?token=%s&y=1",
    "ERROR: connection refused https://h/x?sig=%s&se=1",
    "ERROR: connection refused https://b.s3.amazonaws.com/k?X-Amz-Signature=%s&X=1",
    "ERROR: connection refused https://user:%s@h/x",
    "ERROR: connection refused access_token=%s",
    "ERROR: connection refused \"refresh_token\": \"%s\"",
    "ERROR: connection refused session_token: %s",
    "ERROR: connection refused sessionToken=%s",
    "ERROR: connection refused AccountKey=%s;x",
    "ERROR: connection refused SharedAccessSignature=%s",
    "ERROR: connection refused Pwd=%s;Uid=x",
    "ERROR: connection refused PWD={%s};x",
    "ERROR: connection refused fernet_key = %s",
    "ERROR: connection refused client_secret=%s",
    "ERROR: connection refused Cookie: session=%s",
    "ERROR: connection refused ghp_%s0123456789012345678901",
    "ERROR: connection refused sk_live_%s0123456789",
    "ERROR: connection refused dapi%s01234567890123456789",
    "ERROR: connection refused -----BEGIN RSA PRIVATE KEY-----\nMIIE%s\nabc%s=\n-----END RSA PRIVATE KEY-----",
    "ERROR: connection refused private_key=-----BEGIN PRIVATE KEY-----\\nMIIE%s\\n-----END PRIVATE KEY-----",
    "pymysql.err.IntegrityError: (1062, \"Duplicate entry '%s' for key 'u'\")",
    "pymysql.err.DataError: (1366, \"Incorrect integer value: '%s' for column `s`.`t`.`a` at row 1\")",
    "pymysql.err.DataError: (1292, \"Truncated incorrect DOUBLE value: '%s'\")",
    "snowflake.connector.errors.ProgrammingError: 100038 (22018): 01bf: Numeric value '%s' is not recognized",
    "snowflake.connector.errors.ProgrammingError: 100078 (22000): 01bf: String '%s' is too long and would be truncated",
    "snowflake.connector.errors.ProgrammingError: 100090 (42P18): 01bf: Duplicate row detected during DML action\nRow Values: [17, \"%s\", 1]",
    "snowflake.connector.errors.ProgrammingError: 100071 (22000): 01bf: Failed to cast variant value \"%s\" to FIXED",
    "snowflake.connector.errors.ProgrammingError: 100035 (22007): 01bf: Timestamp '%s' is not recognized",
    "duckdb.ConversionException: Conversion Error: Could not convert string '%s' to INT32\nLINE 1: select cast('%s' as int)",
    "duckdb.ConversionException: Conversion Error: CSV Error on Line: 3\nOriginal Line: %s,1\nError when converting column \"km\". Could not convert string \"%s\" to 'INTEGER'",
    "ValueError: invalid literal for int() with base 10: '%s'",
    "ValueError: could not convert string to float: '%s'",
    "KeyError: '%s'",
    "sqlalchemy.exc.IntegrityError: (psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint \"u\"\nDETAIL:  Key (a)=(%s) already exists.\n\n[SQL: INSERT INTO t (a) VALUES (%(a)s)]\n[parameters: {'a': '%s', 'b': 3}]",
    "asyncpg.exceptions.DataError: invalid input for query argument $1: '%s' ('str' object cannot be interpreted as an integer)",
    "pyodbc.IntegrityError: ('23000', \"[23000] Violation of PRIMARY KEY constraint 'PK'. Cannot insert duplicate key in object 'dbo.l'. The duplicate key value is (%s). (2627)\")",
    "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\nbody was: password='%s'",
    "Got 3 results, configured to fail if != 0\nERROR token='%s'",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    connect(password=\"%s\")\npsycopg2.OperationalError: SSL SYSCALL error: EOF detected",
    "sqlite3.IntegrityError: UNIQUE constraint failed: t.a ; api_key='%s'",
    "redis.exceptions.ConnectionError: Error 111 connecting to redis://:%s@h:6379. Connection refused.",
    "amqp.exceptions.AccessRefused: amqp://u:%s@rabbit:5672//",
    "ERROR failed: docker login -u x -p %s reg",
    "ERROR failed: curl -u me:%s https://x",
    "ERROR failed: export API_TOKEN=%s && run",
    "ERROR failed: IDENTIFIED BY '%s'",
    "ERROR failed: CREDENTIALS=(AWS_KEY_ID='x' AWS_SECRET_KEY='%s')",
    "ERROR failed: secret_key: \"%s\"",
    "ValueError: no key -----BEGIN PRIVATE KEY-----\nzq9Xk7secretV4lMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nx",
)
NAMES = (
    ("AttributeError: 'NoneType' object has no attribute 'cursor'", ("'NoneType'", "'cursor'",)),
    ("psycopg2.errors.UndefinedColumn: column \"eta\" does not exist", ("eta",)),
    ("ModuleNotFoundError: No module named 'polars'", ("polars",)),
    ("pymysql.err.ProgrammingError: (1054, \"Unknown column 'wgt' in 'field list'\")", ("wgt",)),
    ("TypeError: unsupported operand type(s) for +: 'int' and 'str'", ("'int'", "'str'",)),
    ("duckdb.ConversionException: Conversion Error: Could not convert string 'x' to INT32", ("INT32",)),
    ("snowflake.connector.errors.ProgrammingError: 002003 (42S02): 01: SQL compilation error:\nObject 'A.B.C' does not exist or not authorized.", ("A.B.C",)),
    ("psycopg2.errors.UndefinedTable: relation \"s.token_log\" does not exist", ("token_log",)),
    ("psycopg2.errors.UndefinedColumn: column \"password\" does not exist", ("password",)),
    ("2026-11-27T01:00:00 ERROR - Dependencies not met, dependency 'Trigger Rule' FAILED: Task's trigger rule 'all_success' requires all upstream tasks to have succeeded, but found 2 non-success(es)", ("'all_success'",)),
    ("pyodbc.Error: ('01000', \"[01000] [unixODBC][Driver Manager]Can't open lib '/opt/x.so' : file not found (0)\")", ("/opt/x.so",)),
    ("ImportError: cannot import name 'run' from 'etl' (unknown location)", ("'run'",)),
    ("psycopg2.errors.NotNullViolation: null value in column \"tok\" of relation \"r\" violates not-null constraint", ("tok",)),
    ("AssertionError: no rows", ("no rows",)),
    ("pymysql.err.OperationalError: (1364, \"Field 'grade' doesn't have a default value\")", ("grade",)),
    ("psycopg2.errors.InvalidTextRepresentation: invalid input syntax for type integer: \"q\"", ("integer",)),
    ("TypeError: Object of type 'Decimal' is not JSON serializable", ("Decimal",)),
)


@pytest.mark.parametrize("logger", ["", "2026-11-04 02:00:03,123 ERROR etl: ", "json"])
@pytest.mark.parametrize("log", LOGS)
def test_no_value_and_no_secret_is_shown(log: str, logger: str) -> None:
    text = log.replace("%s", SECRET)
    found = diagnose(json.dumps({"event": text, "level": "error"}) if logger == "json" else logger + text)
    assert found
    assert SECRET not in json.dumps([diagnosis.to_dict() for diagnosis in found])
    assert SECRET not in terminal.diagnoses_text(found)


@pytest.mark.parametrize(("log", "names"), NAMES)
def test_names_of_columns_tables_types_and_attributes_stay(log: str, names: tuple[str, ...]) -> None:
    shown = terminal.diagnoses_text(diagnose(log))
    assert [name for name in names if name not in shown] == []

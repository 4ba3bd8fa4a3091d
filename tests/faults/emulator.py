"""fakesnow's server with its differences from Snowflake corrected where a load would meet them, and with faults on demand.

It is an emulator: it runs statements on DuckDB, and what passes here has not run on Snowflake. It is reached by the real
driver, over HTTP. `DIFFERENCES` is the one list of what is known to be otherwise.

    python tests/faults/emulator.py       prints its port, and serves until its standard input ends

`POST /faults` takes a JSON list of faults, tried in order: {"match": a regular expression for the statement, "after": how
many that match it to let pass, "times": how often it fails, and one of
"code"+"message" (Snowflake's refusal; nothing is done), "lose": "before" or "after" (no answer of
Snowflake's comes back, before or after the statement was executed), "seconds" (it takes so long), "rewrite" (the statement that is executed in its place),
"cut" (the local file that a PUT names loses so many bytes before it is read), "flip" (or has another byte in this place),
"keep" (all that the folder of that file holds is copied into this one)}.
`GET /statements` gives the statements that were received, as [session, text].
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import itertools
import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

DIFFERENCES = (
    "corrected here: ALTER SESSION knows AUTOCOMMIT only: other settings are taken and ignored",
    "corrected here: CURRENT_SESSION, CURRENT_TRANSACTION, SYSTEM$ABORT_SESSION and SYSTEM$ABORT_TRANSACTION are missing",
    "corrected here: COPY INTO guesses the types of CSV (007 becomes 7), takes '' for NULL, and knows few file format options",
    "corrected here: what fakesnow cannot do is HTTP 500, which drivers try again for a minute",
    "corrected here: a session that is closed or ended does not roll back at once",
    "corrected here: what conflicts fails at once where Snowflake waits for a lock, and keys are enforced: told as 000625",
    "corrected here: a NULL where none may be is told in DuckDB's words",
    "corrected here: a time that is NULL arrives as 1970",
    "columns whose names hold an apostrophe cannot be made",
    "corrected here: a MERGE needs a current schema, and cannot follow BEGIN (AUTOCOMMIT = FALSE does the same, and comes with it)",
    "corrected here: a temporary stage is everybody's, and stays",
    "corrected here: an ARRAY is a VARIANT in its catalogs",
    "TIMESTAMP_TZ has no offset of its own",
    "quoted names ignore case",
    "duplicate source rows of a MERGE pass",
    "corrected here: a MERGE commits what came before it in its transaction",
    "a MERGE is several statements on DuckDB: it is atomic within a transaction only, as all of ours are",
    "passwords, keys, tokens, roles, warehouses and grants are not looked at",
    "a VARIANT is DuckDB's JSON: numbers keep their digits and zeros",
    "files of a stage are on this disk; of one that is cut DuckDB reads what is left, and one with another byte it refuses",
)

_ACCEPTED = re.compile(r"^ALTER SESSION SET (?!AUTOCOMMIT)", re.IGNORECASE)
_SESSION = re.compile(r"\bCURRENT_SESSION\(\)", re.IGNORECASE)
_TRANSACTION = re.compile(r"\bCURRENT_TRANSACTION\(\)", re.IGNORECASE)
_ABORT = re.compile(r"^SELECT SYSTEM\$ABORT_(SESSION|TRANSACTION)\((\d+)\)", re.IGNORECASE)
_MERGE = re.compile(r'MERGE INTO ("[^"]+"\."[^"]+")\.')
_FILES = re.compile(r"\b(rowferry_files_\d+)")
_TABLE = re.compile(r'^CREATE TABLE IF NOT EXISTS "\w+"\."\w+"\."([^"]+)"')
_CONFLICT = re.compile(r"Duplicate key .* violates primary key|Conflict on (tuple|update)|write-write conflict|TransactionContext Error: .*onflict", re.IGNORECASE)

_NULL = re.compile(r"NOT NULL constraint failed: [^\n]*?\.?(\w+)$", re.MULTILINE)

LOCKED = "Statement 'x' has locked table 'y' in transaction 1 and this lock has not yet been released."
faults: list[dict[str, Any]] = []
statements: list[tuple[int, str]] = []
numbers: dict[str, int] = {}
arrays: set[tuple[str, str]] = set()
_number = itertools.count(1001)
_lock = threading.Lock()


def correct_fakesnow() -> None:
    """Reads CSV as Snowflake does with the options of a load."""
    from fakesnow import copy_into  # only the server's process has it

    def handle_csv(options: dict[str, Any]) -> copy_into.ReadCSV:
        if options.get("NULL_IF") != [] or str(options.get("ESCAPE_UNENCLOSED_FIELD")).upper() != "NONE":
            raise NotImplementedError("only the file format of rowferry's loads")
        return copy_into.ReadCSV(quote=str(options["FIELD_OPTIONALLY_ENCLOSED_BY"]), null_if=None)

    plain = copy_into.ReadCSV.read_expression

    def read_expression(self: Any, url: str) -> Any:
        read = plain(self, url)
        more = {"escape": '"', "all_varchar": True, "allow_quoted_nulls": False, "nullstr": "", "auto_detect": False,
                "delim": ",", "strict_mode": True, "max_line_size": 1 << 26, "new_line": "\\n"}  # fmt: skip
        names = column_names.get(threading.get_ident())
        for name, value in more.items():
            read.append("expressions", self.make_eq(name, value))
        read.append("expressions", sqlglot_columns(names or []))
        return read

    arrow = importlib.import_module("fakesnow.arrow")
    plain_times = arrow.timestamp_to_sf_struct

    def times_with_nulls(times: Any) -> Any:
        import pyarrow as pa

        times = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
        made = plain_times(times)
        return pa.StructArray.from_arrays(made.flatten(), fields=list(made.type), mask=times.is_null())

    arrow.timestamp_to_sf_struct = times_with_nulls
    copy_into.handle_csv = handle_csv
    copy_into.ReadCSV.read_expression = read_expression


column_names: dict[int, list[str]] = {}


def sqlglot_columns(names: list[str]) -> Any:
    """columns = {'a': 'VARCHAR', …}: how many there are has to be known where nothing is guessed."""
    import sqlglot

    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i, _ in enumerate(names))
    return sqlglot.parse_one(f"columns = {{{columns}}}", read="duckdb")


def remember_columns(conn: Any, sql: str) -> None:
    """A CSV is read with as many columns as its table has."""
    if found := re.match(r'COPY INTO "?(\w+)"?', sql):
        described = conn._duck_conn.execute(f'DESCRIBE "{found[1]}"').fetchall()
        column_names[threading.get_ident()] = [row[0] for row in described]


class Within:
    """DuckDB's session within a transaction: neither begins nor commits one, and leaves fakesnow's books in their other database alone."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def execute(self, sql: str, *params: Any) -> Any:
        return None if re.match(r"\s*(DELETE|INSERT|UPDATE)\b.*\b_fs_", sql, re.DOTALL) else self._session.execute(sql, *params)

    def __getattr__(self, name: str) -> Any:
        return (lambda: None) if name in ("begin", "commit") else getattr(self._session, name)


def next_fault(sql: str) -> dict[str, Any] | None:
    with _lock:
        for fault in faults:
            if not re.search(fault["match"], sql, re.DOTALL) or fault.get("times", 1) == 0:
                continue
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
                continue
            fault["times"] = fault.get("times", 1) - 1
            return fault
    return None


def local_file(sql: str) -> Path:
    """That a PUT names."""
    return Path(sql.split("'")[1].removeprefix("file://"))


def keep(sql: str, folder: Path) -> None:
    for path in local_file(sql).parent.iterdir():
        (folder / f"{len(list(folder.iterdir()))}_{path.name}").write_bytes(path.read_bytes())


def tear(sql: str, fault: dict[str, Any]) -> None:
    with local_file(sql).open("r+b") as file:
        whole = file.read()
        at = fault.get("flip", 0) % len(whole)
        torn = whole[: len(whole) - fault["cut"]] if "cut" in fault else whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        file.seek(0)
        file.write(torn)
        file.truncate()


def refusal(code: str, message: str, sqlstate: str = "57014") -> dict[str, Any]:
    return {"data": {"errorCode": code, "sqlState": sqlstate}, "code": code, "message": message, "success": False}


def make_app() -> Any:
    """The server's application, with what stands between it and the driver."""
    server = importlib.import_module("fakesnow.server")  # its package has a function of that name
    import duckdb
    from snowflake.connector.errors import ProgrammingError
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    correct_fakesnow()

    def end_session(token: str) -> None:
        if conn := server.sessions.pop(token, None):
            conn._duck_conn.interrupt()
            conn.close()

    def corrected(token: str, sql: str) -> str | None:
        if _ACCEPTED.match(sql) or sql == "BEGIN":
            return "SELECT 'Statement executed successfully.' AS status"
        if found := _ABORT.match(sql):
            ended = [t for t, n in numbers.items() if n == int(found[2]) and t != token]
            for other in ended:
                end_session(other)
            return f"SELECT '{len(ended)} ended' AS status"
        if table := _TABLE.match(sql):
            arrays.update((table[1], name) for name in re.findall(r'"([^"]+)" ARRAY', sql))
        if "INFORMATION_SCHEMA.COLUMNS" in sql and arrays:
            pairs = ", ".join(f"'{table}.{name}'" for table, name in sorted(arrays))
            sql = sql.replace("ELSE DATA_TYPE END", f"WHEN 'VARIANT' THEN IFF(TABLE_NAME || '.' || COLUMN_NAME IN ({pairs}), 'ARRAY', 'VARIANT') ELSE DATA_TYPE END")
        sql = _FILES.sub(rf"\1_{numbers[token]}", sql)
        with_numbers = _SESSION.sub(f"'{numbers[token]}'", sql)
        return _TRANSACTION.sub(f"'{numbers[token]}'", with_numbers)

    def lost() -> Any:
        return PlainTextResponse("somebody in between", status_code=404)  # drivers ask again after 5xx and silence, for minutes

    async def query(request: Request) -> Any:
        token = server.to_token(request)
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        asked = json.loads(body)
        numbers.setdefault(token, next(_number))
        sql = asked["sqlText"]
        statements.append((numbers[token], sql))
        fault = next_fault(sql) or {}
        if "code" in fault:
            return JSONResponse(refusal(fault["code"], fault["message"], fault.get("sqlstate", "57014")))
        if fault.get("lose") == "before":
            return lost()
        if "cut" in fault or "flip" in fault:
            tear(sql, fault)
        if "keep" in fault:
            keep(sql, Path(fault["keep"]))
        if "seconds" in fault:
            await asyncio.sleep(fault["seconds"])
        asked["sqlText"] = corrected(token, fault.get("rewrite", sql))
        answer = await execute(request, token, asked)
        if fault.get("lose") == "after":
            return lost()
        return answer

    async def execute(request: Request, token: str, asked: dict[str, Any]) -> Any:
        scope = {**request.scope, "headers": [h for h in request.scope["headers"] if h[0] != b"content-encoding"]}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(asked).encode(), "more_body": False}

        if conn := server.sessions.get(token):
            if (found := _MERGE.match(asked["sqlText"])) and not conn.schema_set:
                conn.cursor().execute(f"USE SCHEMA {found[1]}")
            original = conn.cursor

            def cursor(*args: Any, **kwargs: Any) -> Any:
                made = original(*args, **kwargs)
                run = made.execute

                def execute_with_columns(command: str, *more: Any, **kw: Any) -> Any:
                    remember_columns(conn, command)
                    if command.startswith("MERGE") and conn._in_transaction:
                        made._duck_conn = Within(conn._duck_conn)
                    try:
                        return run(command, *more, **kw)
                    except duckdb.Error as error:
                        if found := _NULL.search(str(error)):
                            raise ProgrammingError(f"NULL result in a non-nullable column: {found[1]}", errno=100072, sqlstate="22000") from None
                        if not _CONFLICT.search(str(error)):
                            raise
                        raise ProgrammingError(LOCKED, errno=625, sqlstate="57014") from None

                made.execute = execute_with_columns
                return made

            conn.cursor = cursor
            try:
                answer = await server.query_request(Request(scope, receive))
            finally:
                conn.cursor = original
        else:
            return JSONResponse(refusal("390104", "User must login again to access the service.", "08001"))
        text = answer.body.decode()
        if answer.status_code == 500:
            return JSONResponse(refusal("261000", json.loads(text)["message"][:400], "XX000"))
        return answer

    async def session(request: Request) -> Any:
        if request.query_params.get("delete"):
            end_session(server.to_token(request))
            return JSONResponse({"data": None, "code": None, "message": None, "success": True})
        return await server.session(request)

    async def set_faults(request: Request) -> Any:
        faults[:] = await request.json()
        return JSONResponse({})

    async def tell_statements(request: Request) -> Any:
        told = list(statements)
        if request.query_params.get("forget"):
            statements.clear()
        return JSONResponse(told)

    own = {"/session": session, "/queries/v1/query-request": query}
    routes = [Route(r.path, own.get(r.path, r.endpoint), methods=sorted(r.methods or ())) for r in server.routes]
    routes += [Route("/faults", set_faults, methods=["POST"]), Route("/statements", tell_statements, methods=["GET"])]
    return Starlette(routes=routes)


def main() -> None:
    import socket

    import uvicorn

    # Named TCP: of such alone asyncio turns Nagle's wait off, which costs 40 ms at each answer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(), log_level="critical", loop="asyncio"))

    def stop_with_input() -> None:
        sys.stdin.read()
        server.should_exit = server.force_exit = True

    threading.Thread(target=stop_with_input, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    asyncio.run(server.serve(sockets=[listening]))


if __name__ == "__main__":
    main()

"""A source table that writes down every change of itself, sessions that change it, and what any snapshot sees of it.

Each change appends (key, version, op, xid) in its own transaction, so what was rolled back is not there. The xid is the
top one: a snapshot lists no subtransactions, and asking it about the top one is right also for those. Changes of one key wait
for each other, and the entry is made after the wait: `seq` orders them as they took effect.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import psycopg

TABLE = "items"
ROW = "md5(ROW(id, version, note, updated_at)::text)"
CHECKED_COLUMNS = f"id, version, {ROW}"
COLUMNS = "id bigint NOT NULL, version bigint NOT NULL, note text, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL"
PARTS = 3
SHAPES = {
    "heap": f"CREATE TABLE items ({COLUMNS}, PRIMARY KEY (id)); CREATE INDEX ON items (updated_at);",
    "no key": f"CREATE TABLE items ({COLUMNS});",
    "partitions": f"CREATE TABLE items ({COLUMNS}, PRIMARY KEY (id)) PARTITION BY HASH (id); CREATE INDEX ON items (updated_at);"
    + "".join(f"CREATE TABLE items_{n} PARTITION OF items FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {n});" for n in range(PARTS)),
}
JOURNAL = """
CREATE SEQUENCE versions;
CREATE TABLE journal (
    seq bigserial PRIMARY KEY, id bigint, version bigint, op text NOT NULL, digest text,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('versions');
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE FUNCTION journalise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN INSERT INTO journal (op) VALUES ('T'); RETURN NULL; END IF;
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND OLD.id <> NEW.id THEN
        INSERT INTO journal (id, version, op) VALUES (OLD.id, OLD.version, 'D');
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO journal (id, version, op, digest)
        SELECT NEW.id, NEW.version, left(TG_OP, 1), md5(ROW(NEW.id, NEW.version, NEW.note, NEW.updated_at)::text);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER journalise AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION journalise();
CREATE TRIGGER empty AFTER TRUNCATE ON items FOR EACH STATEMENT EXECUTE FUNCTION journalise();
INSERT INTO items (id, note) SELECT n, repeat(chr(97 + n % 26), {note}) FROM generate_series(1, {rows}) n;
"""

VISIBLE = """
WITH seen AS (SELECT * FROM journal WHERE pg_visible_in_snapshot(xid, %s::pg_snapshot)),
     newest AS (SELECT DISTINCT ON (id) * FROM seen WHERE op <> 'T' ORDER BY id, seq DESC)
SELECT id, version, digest FROM newest
WHERE op <> 'D' AND seq > coalesce((SELECT max(seq) FROM seen WHERE op = 'T'), 0)
"""

LEFT_OVER = """
SELECT 'session: ' || application_name || ' ' || state || ' ' || left(query, 60) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'rowferry%'
UNION ALL SELECT 'temporary table: ' || relname FROM pg_class WHERE relpersistence = 't'
UNION ALL SELECT 'advisory lock' FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND datname = current_database()
"""

REWRITE = f"""
ALTER TABLE items ALTER note TYPE text USING note || 'r';
INSERT INTO journal (id, version, op, digest) SELECT id, version, 'R', {ROW} FROM items
"""
DETACH = """
INSERT INTO journal (id, version, op) SELECT id, version, 'D' FROM items_{n};
ALTER TABLE items DETACH PARTITION items_{n}
"""
ATTACH = f"""
ALTER TABLE items ATTACH PARTITION items_{{n}} FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {{n}});
INSERT INTO journal (id, version, op, digest) SELECT id, version, 'I', {ROW} FROM items_{{n}}
"""

WRITERS = 4
SUBTRANSACTIONS = 70  # more than the 64 that a backend keeps in shared memory
MOST_ROWS = 90
Row = tuple[int, str]  # version, digest


class Journal:
    """The source's side of the oracle, and who writes there.

    One thread drives all writers: each owns the keys of its remainder, so none waits for another, and the same seed
    makes the same history.

    Attributes:
        is_altered: The table as a whole is changed now and then: TRUNCATE, ALTER, VACUUM FULL, its partitions.
        was_rewritten: Rows have changed or come without their triggers: by ALTER, or with a partition.
    """

    def __init__(self, uri: str, chance: random.Random, shape: str, *, rows: int = 30, note: int = 4000) -> None:
        self._uri, self._chance, self._note = uri, chance, note
        self._partitioned, self._may_repeat = shape == "partitions", shape == "no key"
        self.is_altered = True
        self._detached: list[int] = []
        self.was_rewritten = False
        self._next_id, self._n_prepared = rows + 1, 0
        with psycopg.connect(uri, autocommit=True) as maker:
            maker.execute(SHAPES[shape] + JOURNAL.format(note=note, rows=rows))
        self.connect()

    def connect(self) -> None:
        """Again, after the server was gone: open transactions are lost, prepared ones are not."""
        self._own = psycopg.connect(self._uri, autocommit=True, application_name="oracle")
        self._own.execute("SET lock_timeout = '30ms'")
        self._writers = [Writer(self, self._uri, number, self._chance) for number in range(WRITERS)]
        self._finish_prepared()
        self._note_partitions()

    def close(self) -> None:
        self.end_writers()
        self.close_sessions()

    def close_sessions(self) -> None:
        for writer in self._writers:
            writer.session.close()
        self._own.close()

    def visible(self, snapshot: str) -> dict[int, Row]:
        """Live rows of the snapshot: key → (version, digest)."""
        return {key: (version, digest) for key, version, digest in self._own.execute(VISIBLE, [snapshot])}

    def now(self) -> dict[int, Row]:
        """What the table itself holds: the journal must say the same."""
        rows = self._own.execute(f"SELECT {CHECKED_COLUMNS} FROM items").fetchall()
        return {key: (version, digest) for key, version, digest in rows}

    def left_over(self) -> list[str]:
        """What runs left in the source's database."""
        return [what for (what,) in self._own.execute(LEFT_OVER)]

    def execute(self, statement: str) -> None:
        self._own.execute(statement)

    def write(self, n_steps: int, *, during: bool = False) -> None:
        """`n_steps` of writers' steps, and now and then a change of the whole table; `during` a run or between two."""
        for _ in range(n_steps):
            self._chance.choice(self._writers).step()
            if self.is_altered and self._chance.random() < 0.04:
                self._change_table(during)

    def end_writers(self) -> None:
        """Every open transaction ends, one way or the other."""
        for writer in self._writers:
            writer.end()

    # ---- for writers -----------------------------------------------------------------------------------

    def new_id(self, owner: int) -> int:
        self._next_id += 1
        return self._next_id * WRITERS + owner

    def new_name(self) -> str:
        self._n_prepared += 1
        return f"{self._uri.rpartition('/')[2]}/{self._n_prepared}"

    def new_note(self) -> str:
        return chr(97 + self._chance.randrange(26)) * self._chance.choice([1, self._note])

    def _finish_prepared(self) -> None:
        """Those whose writer was lost with its server."""
        for (name,) in self._own.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").fetchall():
            self._own.execute(f"{self._chance.choice(['COMMIT', 'ROLLBACK'])} PREPARED '{name}'")

    # ---- the table as a whole ----------------------------------------------------------------------------

    def _change_table(self, during: bool) -> None:
        """Waits for no one: where a transaction or a run is in the way, nothing happens.

        Attaching would wait for no reader either, and shows in the later statements of an older snapshot.
        """
        changes = ["TRUNCATE items", "VACUUM FULL items", "VACUUM FREEZE items", REWRITE, self._thin_out()]
        if not self._partitioned and not self._may_repeat:
            changes.append("CLUSTER items USING items_pkey")
        if self._partitioned and not during:
            changes += [self._attach_or_detach()] * 3
        change = self._chance.choice(changes)
        try:
            if change.startswith(("VACUUM", "CLUSTER")):
                self._own.execute(change)
            else:
                with self._own.transaction():
                    self._own.execute(change)
                self._note_partitions()
                self.was_rewritten |= "ALTER TABLE" in change
        except (psycopg.errors.LockNotAvailable, psycopg.errors.CheckViolation):
            pass

    def _thin_out(self) -> str:
        return f"DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY id LIMIT greatest(0, (SELECT count(*) FROM items) - {MOST_ROWS}))"

    def _attach_or_detach(self) -> str:
        if self._detached:
            return ATTACH.format(n=self._detached[0])
        return DETACH.format(n=self._chance.randrange(PARTS))

    def _note_partitions(self) -> None:
        if not self._partitioned:
            return
        attached = "SELECT right(inhrelid::regclass::text, 1)::int FROM pg_inherits WHERE inhparent = 'items'::regclass"
        there = {number for (number,) in self._own.execute(attached)}
        self._detached = sorted(set(range(PARTS)) - there)


class Writer:
    """A session that changes rows of its own keys in one of the ways that applications have."""

    def __init__(self, journal: Journal, uri: str, number: int, chance: random.Random) -> None:
        self._journal, self._number, self._chance = journal, number, chance
        self.session = psycopg.connect(uri, autocommit=True, application_name=f"writer {number}")
        self.session.execute("SET lock_timeout = '30ms'")
        self._prepared: str | None = None

    def step(self) -> None:
        try:
            self._choose()()
        except psycopg.errors.Error:  # a partition that is away, a lock of someone who changes the table
            if self.session.closed:
                raise
            self.session.execute("ROLLBACK")

    def end(self) -> None:
        if self._prepared:
            self._finish_prepared()
        elif self._is_open():
            self._do(self._chance.choice(["COMMIT", "ROLLBACK"]))

    def _choose(self) -> Callable[[], Any]:
        if self._prepared:
            return self._finish_prepared
        if self._is_open():
            return self._chance.choice([self._write, self._write, self._savepoint, self._subtransactions, self._commit, self._commit, self._prepare])
        return self._chance.choice([self._write, self._write, self._write, self._burst, self._begin, self._begin, self._chain])

    def _is_open(self) -> bool:
        return self.session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def _do(self, *statements: str) -> None:
        for statement in statements:
            self.session.execute(statement)

    def _begin(self) -> None:
        """Open, and without an xid as yet."""
        self._do("BEGIN", "SELECT 1")

    def _commit(self) -> None:
        self._do(self._chance.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))

    def _chain(self) -> None:
        self._do("BEGIN")
        self._write()
        self._do("COMMIT AND CHAIN")

    def _savepoint(self) -> None:
        self._do("SAVEPOINT a")
        self._write()
        self._do("ROLLBACK TO a")
        self._write()

    def _subtransactions(self) -> None:
        inserts = "; ".join(
            f"SAVEPOINT s{n}; UPDATE items SET note = 's{n}' WHERE id = (SELECT min(id) FROM items WHERE id % {WRITERS} = {self._number}); RELEASE s{n}"
            for n in range(SUBTRANSACTIONS)
        )
        self._do(inserts)

    def _prepare(self) -> None:
        name = self._journal.new_name()
        self._do(f"PREPARE TRANSACTION '{name}'")
        self._prepared = name

    def _finish_prepared(self) -> None:
        name, self._prepared = self._prepared, None
        self._do(f"{self._chance.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{name}'")

    def _burst(self) -> None:
        """Many rows at one timestamp."""
        ids = ", ".join(f"({self._journal.new_id(self._number)}, 'b')" for _ in range(self._chance.randint(2, 12)))
        self._do(f"INSERT INTO items (id, note) VALUES {ids}")

    def _write(self) -> None:
        kind = self._chance.random()
        mine = f"(SELECT id FROM items WHERE id % {WRITERS} = {self._number} ORDER BY md5(id::text || '{self._chance.random()}') LIMIT 1)"
        if kind < 0.3:
            self._do(f"INSERT INTO items (id, note) VALUES ({self._journal.new_id(self._number)}, '{self._journal.new_note()}')")
        elif kind < 0.7:
            self._do(f"UPDATE items SET note = '{self._journal.new_note()}' WHERE id = {mine}")
        elif kind < 0.8:
            self._do(f"DELETE FROM items WHERE id = {mine}")
        elif kind < 0.9:
            self._do(f"UPDATE items SET id = {self._journal.new_id(self._number)} WHERE id = {mine}")
        else:
            self._do(f"WITH gone AS (DELETE FROM items WHERE id = {mine} RETURNING id) SELECT 1")
            self._do(f"INSERT INTO items (id, note) SELECT id, 'again' FROM (SELECT id, op FROM journal WHERE id % {WRITERS} = {self._number} ORDER BY seq DESC LIMIT 1) j WHERE op = 'D'")

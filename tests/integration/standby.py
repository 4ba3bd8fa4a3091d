"""Streaming standbys of the demo's servers: made by pg_basebackup, paused, cut off, promoted.

Time plays no part: a standby that lags is one whose replay is paused, and one that has come far enough is one
whose replay position says so.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from route import until

from rowferry.demo.servers import Server, new_server

PRIMARY: Mapping[str, object] = {"wal_keep_size": "256MB", "autovacuum": "off"}
"""For a primary: keep the log of standbys that are cut off, and remove no row versions but where a test says so."""

_STANDBY: Mapping[str, object] = {"wal_retrieve_retry_interval": "100ms", "hot_standby_feedback": "off"}


def start_standby(primary: Server, settings: Mapping[str, object] | None = None) -> Server:
    """A copy of `primary` as it is now, which goes on replaying what the primary writes; takes a second or two."""
    standby = new_server(primary.version)
    try:
        _copy(primary, standby)
        standby._configure({**PRIMARY, **_STANDBY, **(settings or {})})
        standby._start_on_free_port()
    except BaseException:
        standby.stop()
        raise
    return standby


def _copy(primary: Server, standby: Server) -> None:
    """`--write-recovery-conf` makes it a standby of that primary."""
    options = ["--wal-method=stream", "--checkpoint=fast", "--no-sync", "--write-recovery-conf"]
    command = [str(standby._binaries / "pg_basebackup"), "-d", primary.uri(), "-D", str(standby._data), *options]
    made = subprocess.run(command, **standby._as_owner(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert made.returncode == 0, made.stdout.decode(errors="replace")


def catch_up(primary: Server, standby: Server) -> None:
    """Return when `standby` shows everything that `primary` has committed so far."""
    lsn = primary.admin("SELECT pg_logical_emit_message(true, 'rowferry', 'test')")[0][0]
    until(lambda: replayed(standby, str(lsn)))


def replayed(standby: Server, lsn: str) -> bool:
    return bool(standby.admin(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'")[0][0])


def pause(standby: Server) -> None:
    """From now on nothing is replayed. The state is asked for because the replay stops between two records only."""
    standby.admin("SELECT pg_wal_replay_pause()")
    until(lambda: standby.admin("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])


def resume(standby: Server) -> None:
    if standby.admin("SELECT pg_is_in_recovery()") == [(True,)]:
        standby.admin("SELECT pg_wal_replay_resume()")


def follow(standby: Server, primary: Server | None) -> None:
    """Receive the log from `primary`, or from nobody."""
    address = primary.uri() if primary else ""
    standby.admin(f"ALTER SYSTEM SET primary_conninfo = '{address}'")
    standby._reload()
    receiving = "SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"
    sender = f"sender_port = {primary.port}" if primary else "true"
    until(lambda: standby.admin(f"{receiving} AND {sender}")[0][0] is bool(primary))


def promote(standby: Server) -> None:
    """Make it a primary: what it has received is replayed, what it has not is lost."""
    assert standby.admin("SELECT pg_promote()") == [(True,)]

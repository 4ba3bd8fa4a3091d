"""`python -m rowferry.demo`: the whole job on servers of its own, in some minutes, leaving nothing behind."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from rich.console import Console

from rowferry.demo.airflow import AirflowError
from rowferry.demo.servers import ServerError, clean_own_environment
from rowferry.demo.walkthrough import TARGETS, DemoError, Walkthrough
from rowferry.demo.warehouse import DbtError
from rowferry.errors import RowferryError

NEXT = """
[bold]Where to look next[/bold]
   the DAG       airflow_plugins/airflow_rowferry/example_dags/daily_etl.py
   the models    airflow_plugins/airflow_rowferry/example_dags/dbt_shop/README.md
   this story    python/rowferry/demo/walkthrough.py
   your database .venv/bin/rowferry doctor --source postgresql://…   (reads only)
   one table     .venv/bin/rowferry plan --source … --target … --table …   (prints every statement, runs none)
"""


def main() -> int:
    """Returns the exit code: 0 when every row arrived, 1 when not, 130 and 143 when interrupted."""
    arguments = _arguments()
    clean_own_environment()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    # One word for both ways to be told to stop: everything started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="rf-demo", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    console.print(
        f"Uses up to 3 GB of memory and 1 GB below {folder} for three to five minutes; Ctrl-C ends it and what it started."
    )
    keep = arguments.keep
    try:
        Walkthrough(folder, console, orders=arguments.orders, target=arguments.target).run()
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        return 130
    except (DemoError, DbtError, ServerError, AirflowError, RowferryError) as error:
        keep = True
        console.print(str(error), style="red", markup=False)
        return 1
    except Exception:
        keep = True
        traceback.print_exc()
        return 1
    finally:
        _leave(console, folder, keep=keep)
    console.print(NEXT)
    return 0


def _leave(console: Console, folder: Path, *, keep: bool) -> None:
    if keep:
        console.print(f"\nkept for a look: {folder} (pg/log, airflow/*.log, airflow/logs, dbt_logs)")
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rowferry.demo", description=__doc__)
    parser.add_argument(
        "--orders", type=_orders, default=200_000, help="orders in the shop, at least 1000 (default: %(default)s)"
    )
    parser.add_argument(
        "--target", choices=TARGETS, default=TARGETS[0], help="what the warehouse is (default: %(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs afterwards")
    return parser.parse_args()


def _orders(text: str) -> int:
    if not text.isdecimal() or int(text) < 1000:
        raise argparse.ArgumentTypeError("must be a number of 1000 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

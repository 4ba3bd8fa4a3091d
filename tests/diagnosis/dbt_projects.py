"""The small dbt projects behind the logs: provoke.py runs one for its log, test_diffs.py applies what is proposed for it and runs it again.

As a program it is dbt, imported once: it reads lines of JSON, [folder, argument, …], and answers each with what dbt printed there.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

PROFILES = """
shop:
  target: dev
  outputs:
    dev: {{type: duckdb, path: dwh.duckdb, threads: 1}}
    pg: {{type: postgres, host: 127.0.0.1, port: {port}, user: {user}, password: secretword, dbname: {dbname}, schema: dwh, threads: 1}}
    closed: {{type: postgres, host: 127.0.0.1, port: 1, user: etl, password: secretword, dbname: shop, schema: dwh}}
    snow: {{type: snowflake, account: acme, user: u, password: p, database: d, schema: s}}
"""
PROJECT = "name: shop\nprofile: shop\nversion: '1.0'\nconfig-version: 2\nmodel-paths: [models]\nsnapshot-paths: [snapshots]\nmacro-paths: [macros]\n"
ORDERS = "select 1 as order_id, 10 as total, 0 as items, 'new' as status"
SHOP = {"dbt_project.yml": PROJECT, "profiles.yml": PROFILES, "models/orders.sql": ORDERS}


@dataclass(frozen=True, kw_only=True)
class DbtProject:
    """A dbt project and what is run in it.

    Attributes:
        cause: The cause that comes first in its log; None when it runs well.
        files: Texts by path; `profiles.yml` has {port}, {user} and {dbname} of a PostgreSQL in it.
        commands: Arguments of dbt, one string a call; what the last call prints is the log.
    """

    cause: str | None
    files: dict[str, str] = field(repr=False)
    commands: tuple[str, ...]


def write(files: dict[str, str], folder: Path, uri: str) -> None:
    """A project's files into a folder, where others may be already; `uri` is a PostgreSQL database."""
    at = urlsplit(uri)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(port=at.port, user=at.username, dbname=at.path[1:]) if name == "profiles.yml" else text)


def run(folder: Path, *arguments: str) -> str:
    """What dbt prints, in a fork of this process: dbt takes longer to be imported than to run."""
    from dbt.cli.main import cli

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 1), os.dup2(writing, 2)
            sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1) for n in (1, 2))
            os.chdir(folder)
            cli(["--no-use-colors", *arguments, "--profiles-dir", "."], prog_name="dbt")
        except SystemExit:
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def _named(files: dict[str, str]) -> dict[str, str]:
    """Files by path; `__` in a keyword is `/`, the last `_` before the ending is `.`."""
    return {re.sub(r"_(sql|yml|csv|md|py)$", r".\1", name).replace("__", "/"): text for name, text in files.items()}


# ── of servers/ ───────────────────────────────────────────────────────────────────────────────────────────────────

SERVERS: dict[str, DbtProject] = {}
"""By the names of their logs."""


def shop(cause: str | None, name: str, *commands: str, log_format: str = "text", **files: str) -> None:
    """One with a model `orders`."""
    SERVERS[f"dbt_{name}"] = DbtProject(cause=cause, files={**SHOP, **_named(files)}, commands=(*commands[:-1], f"--log-format {log_format} {commands[-1]}"))


MEAN = "select order_id, total / items as mean_total from {{ ref('orders') }}"
shop("division_by_zero", "division_pg", "run --target pg", models__averages_sql="{{ config(materialized='table') }} " + MEAN, models__report_sql="select * from {{ ref('averages') }}")
shop("division_by_zero", "division_pg_json", "run --target pg", log_format="json", models__averages_sql="{{ config(materialized='table') }} " + MEAN)
shop("division_by_zero", "division_pg_debug", "--debug run --target pg", models__averages_sql="{{ config(materialized='table') }} " + MEAN)
shop("missing_column", "missing_column", "run", models__totals_sql="select order_id, total_amount from {{ ref('orders') }}")
shop("missing_relation", "missing_relation_pg", "run --target pg", models__totals_sql="select * from raw_postgres.nothing")
shop("sql_syntax", "syntax", "run", models__totals_sql="select order_id,, total from {{ ref('orders') }}")
shop("dbt_ref_not_found", "ref_not_found", "run", models__totals_sql="select * from {{ ref('ordrs') }}")
shop("dbt_ref_not_found", "source_not_found", "run", models__totals_sql="select * from {{ source('postgres', 'orders') }}")
shop("dbt_node_disabled", "disabled", "run", models__old_sql="{{ config(enabled=false) }} select 1 as x", models__totals_sql="select * from {{ ref('old') }}")
shop("dbt_undefined_macro", "undefined_macro", "run", models__amounts_sql="select {{ cents('total') }} from {{ ref('orders') }}")
shop("dbt_undefined_var", "undefined_var", "run", models__days_sql="select '{{ var(\"first_day\") }}' as first_day")
shop("dbt_cycle", "cycle", "run", models__a_sql="select * from {{ ref('b') }}", models__b_sql="select * from {{ ref('a') }}")
shop("dbt_profile", "no_profile", "run", dbt_project_yml=PROJECT.replace("profile: shop", "profile: shoop"))
shop("dbt_profile", "no_target", "run --target prod")
shop("dbt_adapter_missing", "no_adapter", "run --target snow")
shop("dbt_deps_missing", "deps", "run", packages_yml="packages: [{package: dbt-labs/dbt_utils, version: 1.3.0}]")
shop("dbt_deps_missing", "utils", "run", models__totals_sql="select {{ dbt_utils.generate_surrogate_key(['order_id']) }} as sk from {{ ref('orders') }}")
shop("dbt_version_mismatch", "version", "run", dbt_project_yml=PROJECT + "require-dbt-version: '>=99.0.0'\n")
shop("dbt_contract", "contract", "run", models__promised_sql="select 1 as order_id, 'x' as total",
    models__promised_yml="models: [{name: promised, config: {contract: {enforced: true}}, columns: [{name: order_id, data_type: integer}, {name: total, data_type: integer}]}]")
shop("dbt_schema_out_of_sync", "out_of_sync", 'run --vars {"wide":false}', 'run --vars {"wide":true}',
    models__widened_sql="{{ config(materialized='incremental', on_schema_change='fail') }} select 1 as order_id {% if var('wide') %}, 2 as total{% endif %}")
shop("dbt_test_failed", "not_null", "build", models__keyed_sql="select cast(null as int) as order_id", models__keyed_yml="models: [{name: keyed, columns: [{name: order_id, data_tests: [not_null]}]}]")
shop("dbt_test_failed", "accepted_values", "build", models__x_yml="models: [{name: orders, columns: [{name: status, data_tests: [{accepted_values: {arguments: {values: [paid]}}}]}]}]", models__report_sql="select * from {{ ref('orders') }}")
shop("dbt_source_stale", "stale", "run", "source freshness", models__loads_sql="{{ config(materialized='table') }} select timestamp '2020-01-01' as loaded_at",
    models__x_yml="sources: [{name: raw, schema: main, tables: [{name: loads, config: {loaded_at_field: loaded_at, freshness: {error_after: {count: 1, period: day}}}}]}]")
shop("dbt_nothing_selected", "nothing_selected", "run --select tag:nightly")
shop("dbt_selector", "no_selector", "run --selector nightly")
shop("dbt_jinja", "jinja", "run", models__totals_sql="{% if true %} select 1 as x")
shop("yaml_syntax", "yaml", "run", models__x_yml="models:\n  - name: orders\n   columns: [\n")
shop("dbt_duplicate_resource", "two_models", "run", models__a__totals_sql="select 1 as x", models__b__totals_sql="select 1 as x")
shop("missing_env_var", "env_var", "run", models__totals_sql="select '{{ env_var(\"WAREHOUSE\") }}' as w")
shop("connection_refused", "refused", "run --target closed")
shop("dbt_unit_test_failed", "unit_test", "build", models__totals_sql="select order_id, total * 10 as cents from {{ ref('orders') }}",
    models__x_yml="unit_tests: [{name: cents, model: totals, given: [{input: ref('orders'), rows: [{order_id: 1, total: 2}]}], expect: {rows: [{order_id: 1, cents: 200}]}}]")
shop("duplicate_merge_keys", "merge", "run --target pg", "run --target pg",
    models__totals_sql="{{ config(materialized='incremental', unique_key='order_id', incremental_strategy='merge') }} select 1 as order_id, 1 as n union all select 1, 2")
shop("dbt_properties", "strategy", "run", "run", models__totals_sql="{{ config(materialized='incremental', incremental_strategy='mrege') }} select 1 as x")
shop("bad_command_line", "option", "run --slect orders")

TESTED = "models: [{name: orders, columns: [{name: order_id, data_tests: [not_null, unique]}, {name: status, data_tests: [{accepted_values: {arguments: {values: [paid]}, config: {severity: warn}}}]}]}]"
GUARDED = "select order_id, total / nullif(items, 0) as division_by_zero_guarded from {{ ref('orders') }}"
shop(None, "well_run", "run", models__averages_sql=GUARDED)
shop(None, "well_build_with_a_warning", "build", models__x_yml=TESTED)
shop(None, "well_pg", "run --target pg", models__averages_sql="{{ config(materialized='table') }} " + GUARDED)
shop(None, "well_json", "run", log_format="json", models__averages_sql=GUARDED)
shop(None, "well_debug", "--debug run", models__averages_sql=GUARDED)
shop(None, "well_compile", "compile", models__averages_sql=GUARDED)
shop(None, "well_parse", "parse")
shop(None, "well_list", "list")
shop(None, "well_connection", "debug")
shop(None, "well_seed", "seed", seeds__errors_csv="id,message\n1,division by zero\n")
shop(None, "well_docs", "run", "docs generate")
shop(None, "well_clean", "clean")
shop(None, "well_incremental", "run", "run", models__totals_sql="{{ config(materialized='incremental', unique_key='order_id') }} select 1 as order_id")
shop(None, "well_unit_test", "build", models__totals_sql="select order_id, total * 100 as cents from {{ ref('orders') }}",
    models__x_yml="unit_tests: [{name: cents, model: totals, given: [{input: ref('orders'), rows: [{order_id: 1, total: 2}]}], expect: {rows: [{order_id: 1, cents: 200}]}}]")
shop(None, "well_fresh", "run", "source freshness", models__loads_sql="{{ config(materialized='table') }} select current_timestamp as loaded_at",
    models__x_yml="sources: [{name: raw, schema: main, tables: [{name: loads, config: {loaded_at_field: loaded_at, freshness: {error_after: {count: 1, period: day}}}}]}]")


# ── of held_out.jsonl ─────────────────────────────────────────────────────────────────────────────────────────────

CLINIC = {
    "dbt_project.yml": "name: clinic\nprofile: clinic\nversion: '1.0'\nconfig-version: 2\nmodel-paths: [models]\nsnapshot-paths: [snapshots]\n",
    "profiles.yml": "clinic:\n  target: dev\n  outputs:\n    dev: {{type: duckdb, path: w.duckdb, threads: 2}}\n",
    "models/visits.sql": "{{ config(materialized='table') }}\nselect 1 as id, 20 as minutes\n",
}
TESTED_VISITS = """models:
  - name: visits
    columns:
      - name: id
        data_tests: [{relationships: {arguments: {to: ref('staff'), field: id}}}]
      - name: minutes
        data_tests: [{accepted_values: {arguments: {values: [30]}}}]
"""
HELD_OUT: dict[str, dict[str, str]] = {}
"""Files by the names of the logs: of those that a diff may be proposed for, written anew after what the logs say."""


def clinic(name: str, **files: str) -> None:
    HELD_OUT[f"dbt_{name}"] = {**CLINIC, **_named(files)}


clinic("badcol", models__avg_wait_sql="select avg(minuts) as wait from {{ ref('visits') }}\n")
clinic("noref", models__x_sql="select * from {{ ref('visit') }}\n")
clinic("nosource", models__x_sql="select * from {{ source('crm', 'accounts') }}\n")
clinic("novar", models__x_sql="select '{{ var(\"run_day\") }}' as run_day\n")
clinic("contract", models__c_sql="{{ config(materialized='table') }}\nselect 1 as id\n",
    models__c_yml="models:\n  - name: c\n    config:\n      contract: {enforced: true}\n    columns:\n      - name: id\n        data_type: varchar\n")
clinic("osc",
    models__i_sql="{{ config(materialized='incremental', on_schema_change='fail') }}\nselect id{% if var('wide') %}, minutes{% endif %}\nfrom {{ ref('visits') }}\n")
clinic("tests", models__staff_sql="select 7 as id\n", models__s_yml=TESTED_VISITS)
clinic("tests_json", models__staff_sql="select 7 as id\n", models__s_yml=TESTED_VISITS)
clinic("snapcol",
    snapshots__v_sql="{% snapshot vs %}\n{{ config(unique_key='id', strategy='timestamp', updated_at='changed_at') }}\nselect id, minutes from {{ ref('visits') }}\n{% endsnapshot %}\n")
clinic("cycle", models__a_sql="select * from {{ ref('b') }}\n", models__b_sql="select * from {{ ref('a') }}\n")
clinic("pymodel", models__p_py="def model(dbt, session):\n    df = dbt.ref('visits').df()\n    return df[['patient']]\n")


def main() -> None:
    import dbt.adapters.duckdb
    import dbt.adapters.postgres  # noqa: F401 - once, not in each fork

    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "0"
    for line in sys.stdin:
        folder, *arguments = json.loads(line)
        print(json.dumps(run(Path(folder), *arguments)), flush=True)


if __name__ == "__main__":
    main()

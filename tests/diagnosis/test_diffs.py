"""The dbt project whose failures the Airflow logs hold, run against PostgreSQL: what is proposed is applied, and the model then runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from rowferry import diagnose
from rowferry.demo.servers import Server

PROJECT = Path(__file__).parent / "airflow/dbt"


def _run(root: Path) -> dict[str, str]:
    """Statuses by model."""
    command = [Path(sys.executable).with_name("dbt"), "--quiet", "run", "--profiles-dir", "."]
    subprocess.run(command, cwd=root, env={**os.environ, "DO_NOT_TRACK": "1"}, capture_output=True, timeout=300, check=False)
    results = json.loads((root / "target/run_results.json").read_text())["results"]
    return {result["unique_id"].split(".")[2]: result["status"] for result in results}


def test_each_diff_that_is_proposed_applies_and_its_model_then_runs(pg18: Server, database: Callable[[Server], str], tmp_path: Path) -> None:
    root, warehouse = tmp_path / "small", urlsplit(database(pg18))
    shutil.copytree(PROJECT, root)
    target = {"type": "postgres", "host": "127.0.0.1", "port": pg18.port, "user": warehouse.username, "pass": "", "dbname": warehouse.path[1:], "schema": "dwh", "threads": 1}
    (root / "profiles.yml").write_text(json.dumps({"small": {"target": "pg", "outputs": {"pg": target}}}))  # JSON is YAML
    before = _run(root)
    proposed = {str(found.node).split(".")[2]: found.diff for found in diagnose(target_dir=root / "target") if found.diff}
    assert before["averages"] == "error" and before["report"] == "skipped" and "averages" in proposed
    for diff in proposed.values():
        subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=root, input=diff.encode(), capture_output=True, check=True)
    after = _run(root)
    assert {after[model] for model in proposed} == {"success"} and after["report"] == "success"

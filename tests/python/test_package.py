"""What is built and shipped: the sdist alone is enough to make the wheel, and the wheel to import it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("native", "python", "airflow_plugins", "setup.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """An sdist of the working tree, unpacked."""
    place = tmp_path_factory.mktemp("sdist")
    tree = place / "a tree with spaces"
    tree.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            built = shutil.ignore_patterns("*.so", "__pycache__", "target", "logs")
            shutil.copytree(ROOT / name, tree / name, ignore=built)
        else:
            shutil.copy(ROOT / name, tree)
    _run([sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(place)!r})"], cwd=tree)
    [archive] = place.glob("rowferry-*.tar.gz")
    shutil.unpack_archive(archive, place)
    return place / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    _run(_pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(place), str(sdist)))
    [made] = place.glob("*.whl")
    return made


def test_one_wheel_serves_every_python_from_3_10(wheel):
    assert "-cp310-abi3-" in wheel.name


def test_the_wheel_holds_the_types_the_example_dag_and_the_dbt_project(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    example_dags = "airflow_rowferry/example_dags"
    assert {"rowferry/py.typed", "rowferry/_native.pyi", "rowferry/demo/shop.sql"} <= names
    assert {f"{example_dags}/daily_etl.py", f"{example_dags}/dbt_shop/dbt_project.yml"} <= names
    assert not [name for name in names if "/target/" in name or name.startswith(("tests/", "native/"))]


def test_the_installed_wheel_imports_and_has_its_command(wheel, tmp_path):
    _run(_pip("install", "--no-deps", "--target", str(tmp_path), str(wheel)))
    code = "import rowferry, rowferry._native as n; print(n.__file__, n.__version__, rowferry.__version__)"
    path, native_version, version = _run([sys.executable, "-P", "-c", code], PYTHONPATH=str(tmp_path)).split()
    assert Path(path).is_relative_to(tmp_path)
    assert native_version == version
    assert "--source" in _run([str(tmp_path / "bin" / "rowferry"), "run", "--help"], PYTHONPATH=str(tmp_path))


def test_importing_needs_no_library_but_libc_libpq_and_cjson(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as packed:
        module = packed.extract("rowferry/_native.abi3.so", tmp_path)
    needed = re.findall(r"\(NEEDED\).*\[(\w+)\.so", _run(["readelf", "-d", module]))
    assert needed and set(needed) <= {"libc", "libm", "libpthread", "libdl", "libpq", "libcjson", "libzstd"}


@pytest.mark.parametrize(
    ("library", "package"), [("libpq", "libpq-dev"), ("libcjson", "libcjson-dev"), ("libzstd", "libzstd-dev"), ("odbc", "unixodbc-dev")]
)
def test_a_missing_library_is_named_with_its_apt_package(sdist, tmp_path, library, package):
    _script(tmp_path / "pkg-config", f'case "$2" in {library}) exit 1 ;; esac; echo ""')
    _script(tmp_path / "pg_config", "exit 1")
    built = _build(sdist, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert built.returncode != 0
    assert f"apt-get install {package}" in built.stderr


def test_without_pkg_config_that_is_named_too(sdist, tmp_path):
    for tool in ("gcc", "cc"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "/usr/bin/gcc")
    built = _build(sdist, PATH=str(tmp_path))
    assert "apt-get install pkg-config" in built.stderr


def _build(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "setup.py", "build_ext", "--build-temp", "t", "--build-lib", "l"]
    return subprocess.run(command, cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True)


def _pip(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]


def _run(command: list[str], cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)

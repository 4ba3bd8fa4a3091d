"""The core as a program of its own, or as a library of it for drivers that need a Python around them; compiled from what is there now."""

from __future__ import annotations

import shlex
import subprocess
from glob import glob
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# As in the Makefile.
FLAGS = (
    "-std=c11 -O1 -g -pthread -fvisibility=hidden -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes"
    " -Wmissing-prototypes -Werror -D_DEFAULT_SOURCE=1 -Inative"
)
LIBRARIES = ("libpq", "libcjson", "libzstd")


def compile_run_job(folder: Path) -> Path:
    return _compiled(folder / "run_job")


def compile_library(folder: Path) -> Path:
    """Its `main` is to be called from Python."""
    return _compiled(folder / "run_job.so", "-shared", "-fPIC", "-fvisibility=default")


def compile_nth_write(folder: Path) -> Path:
    """To be preloaded by a process that loads a DuckDB file."""
    made = folder / "nth_write.so"
    flags = ["-std=c11", "-O1", "-shared", "-fPIC", "-D_DEFAULT_SOURCE=1"]
    subprocess.run(["cc", *flags, ROOT / "tests/faults/nth_write.c", "-o", made], check=True)
    return made


def _compiled(made: Path, *flags: str) -> Path:
    sources = [path for place in ("native/core", "native/drivers", "tests/faults") for path in glob(f"{place}/*.c", root_dir=ROOT)]
    includes, libraries = (
        shlex.split(subprocess.check_output(["pkg-config", flag, *LIBRARIES], text=True)) for flag in ("--cflags", "--libs")
    )
    subprocess.run(["cc", *FLAGS.split(), *flags, *includes, *sources, "-o", made, *libraries, "-ldl", "-lm"], cwd=ROOT, check=True)
    return made

"""Builds `rowferry._native`, one extension for CPython 3.10 and up; pyproject.toml holds everything else."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from glob import glob

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import SetupError

STABLE_ABI = "cp310"

# pkg-config's name, the apt package that brings it, and whether we link with it:
# unixODBC is opened at first use, so only its headers are needed here.
LIBRARIES = (
    ("libpq", "libpq-dev", True),
    ("libcjson", "libcjson-dev", True),
    ("libzstd", "libzstd-dev", True),
    ("odbc", "unixodbc-dev", False),
)


class BuildNative(build_ext):
    """Looks for the C libraries when something is compiled, not when metadata is read."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # whoever calls knows that something changed; times of files do not tell after a checkout

    def build_extension(self, ext: Extension) -> None:
        ext.define_macros.append(("RF_VERSION", f'"{self.distribution.get_version()}"'))
        for name, package, linked in LIBRARIES:
            compile_flags, link_flags = find_library(name, package)
            ext.extra_compile_args += compile_flags
            ext.extra_link_args += link_flags if linked else []
        super().build_extension(ext)


class StableWheel(bdist_wheel):
    """One wheel for every CPython from the level of the stable ABI on."""

    def finalize_options(self) -> None:
        self.py_limited_api = STABLE_ABI
        super().finalize_options()


def find_library(name: str, package: str) -> tuple[list[str], list[str]]:
    """Flags to compile and to link with a library, from pkg-config, for libpq else from pg_config.

    Raises:
        SetupError: Nobody knows the library; names the apt package to install.
    """
    if shutil.which("pkg-config"):
        asked = [output_of("pkg-config", flag, name) for flag in ("--cflags", "--libs")]
        if None not in asked:
            return asked[0], asked[1]
    if name == "libpq" and shutil.which("pg_config"):
        include, library = (output_of("pg_config", flag) for flag in ("--includedir", "--libdir"))
        if include and library:
            return [f"-I{include[0]}"], [f"-L{library[0]}", "-lpq"]
    missing = package if shutil.which("pkg-config") else f"pkg-config {package}"
    raise SetupError(f"the C library {name} was not found; on Debian or Ubuntu: sudo apt-get install {missing}")


def output_of(*command: str) -> list[str] | None:
    """The words a command prints, or None when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return shlex.split(done.stdout) if done.returncode == 0 else None


setup(
    cmdclass={"build_ext": BuildNative, "bdist_wheel": StableWheel},
    ext_modules=[
        Extension(
            "rowferry._native",
            sources=sorted(glob("native/*/*.c")),
            # Headers count as sources too: a change to one rebuilds, and the sdist carries them.
            depends=sorted(glob("native/*/*.h")),
            include_dirs=["native"],
            define_macros=[("Py_LIMITED_API", "0x030A0000"), ("_DEFAULT_SOURCE", "1")],
            extra_compile_args=["-std=c11", "-O2", "-g", "-pthread", "-fvisibility=hidden"],
            extra_link_args=["-pthread", "-Wl,--as-needed"],
            py_limited_api=True,
        )
    ],
)

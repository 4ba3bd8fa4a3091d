"""Libraries that unixODBC loads as drivers: one that does as a script says, one that cannot be loaded."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
NATIVE = HERE.parent / "native"


def build_scripted(folder: Path) -> Path:
    """The driver of the C units, told by its environment what to do: see `scripted_odbc.c`."""
    library = folder / "libscripted.so"
    includes = [f"-I{NATIVE}", f"-I{NATIVE.parent.parent / 'native'}"]
    subprocess.run(["gcc", "-std=c11", "-D_DEFAULT_SOURCE", "-shared", "-fPIC", *includes, NATIVE / "fake_odbc.c", HERE / "scripted_odbc.c", "-o", library], check=True)
    return library


def build_lacking(folder: Path, name: str) -> Path:
    """A driver of that name whose own library, libneeded.so, is missing."""
    compile_c = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o"]
    subprocess.run([*compile_c, folder / "libneeded.so"], input=b"int needed(void) { return 0; }", check=True)
    source = b"int needed(void); int SQLConnect(void) { return needed(); }"
    subprocess.run([*compile_c, folder / name, f"-L{folder}", "-lneeded"], input=source, check=True)
    (folder / "libneeded.so").unlink()
    return folder / name

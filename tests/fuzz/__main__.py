"""Fuzzes each target for FUZZ_SECONDS, as many side by side as there are processors; `make fuzz` compiles them first.

New inputs and findings go to build/fuzz/<target>, from where the next `make fuzz` goes on; the corpus of the
repository is only read. Ends in a line of figures for each target; exit code 1 on any finding.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BUILD = FOLDER.parent.parent / "build"


def main() -> int:
    seconds = int(os.environ.get("FUZZ_SECONDS") or 600)
    targets = [source.stem for source in sorted(FOLDER.glob("fuzz_*.c"))]
    print(f"{len(targets)} targets, {seconds} s each; what is found goes to {BUILD / 'fuzz'}", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        codes = list(pool.map(lambda target: fuzz(target, seconds), targets))
    for target, code in zip(targets, codes, strict=True):
        log = (BUILD / "fuzz" / target / "log").read_text(errors="replace")
        print(f"{target}: {runs_told(log)} runs, {'no' if code == 0 else '1'} finding")
        if code != 0:
            print(tail(log))
    return 1 if any(codes) else 0


def fuzz(target: str, seconds: int) -> int:
    folder = BUILD / "fuzz" / target
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    command = [str(BUILD / "clang/tests/fuzz" / target), *options, str(corpus), str(FOLDER / "corpus" / target)]
    with (folder / "log").open("w") as log:
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode


def runs_told(log: str) -> str:
    told = re.findall(r"^stat::number_of_executed_units: *(\d+)|^#(\d+)\t", log, re.MULTILINE)
    return (told[-1][0] or told[-1][1]) if told else "0"


def tail(log: str) -> str:
    return "\n".join(log.splitlines()[-40:])


if __name__ == "__main__":
    sys.exit(main())

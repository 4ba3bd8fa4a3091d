"""Runs the job of a file of settings, and prints its report or its error; Ctrl-C cancels it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import rowferry
from rowferry.errors import RowferryError


def main() -> int:
    try:
        print(json.dumps(rowferry.run(json.loads(Path(sys.argv[1]).read_text())).to_dict()))
    except RowferryError as error:
        print(json.dumps(error.to_dict()))
        return 1
    except KeyboardInterrupt:
        print(json.dumps({"code": "cancelled", "message": "by Ctrl-C"}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m rowferry` is `rowferry`."""

import sys

from rowferry.cli import main

sys.exit(main())

"""Run the command line as `python -m kalmanrnn`."""

import sys

from kalmanrnn.cli.entry_point import main

sys.exit(main())

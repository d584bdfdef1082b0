"""Run the command line as `python -m kalmanrnn`."""

import sys

from kalmanrnn.cli import main

sys.exit(main())

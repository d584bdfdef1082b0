"""Replay a drive from CSV through an exported folder with numpy alone; print estimates as CSV.

    python replay.py EXPORTED DRIVE > estimates.csv

Needs numpy and the `runtime.py` that lies in the exported folder. README.md says what a drive is.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from drive_files import print_estimates, read_events, read_start


def main(exported: Path, drive: Path) -> None:
    """Print the estimate at every event."""
    estimator = runtime_of(exported).load(exported)
    estimator.init(read_start(drive))
    events = read_events(drive)
    print_estimates((t, estimator.step(z, seen, u, dt)) for t, z, seen, u, dt in events)


def runtime_of(exported: Path) -> Any:
    """Import the folder's own copy of the numpy runtime."""
    spec = spec_from_file_location("runtime", exported / "runtime.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Its dataclasses, if any, look for their module.
    sys.modules["runtime"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

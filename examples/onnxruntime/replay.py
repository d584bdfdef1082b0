"""Replay a drive from CSV through an exported ONNX model; print estimates as CSV.

    python replay.py EXPORTED/NAME.onnx DRIVE > estimates.csv

Needs numpy and onnxruntime. `NAME_init.onnx` must lie beside the model; what a drive is, says
../python/README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from drive_files import Event, print_estimates, read_events, read_start


def main(model: Path, drive: Path) -> None:
    """Print the estimate at every event."""
    print_estimates(estimates(model, read_start(drive), read_events(drive)))


def estimates(
    model: Path, start: np.ndarray, events: list[Event]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each event's time and state `[X]`."""
    step = open_session(model)
    init = open_session(model.with_name(f"{model.stem}_init.onnx"))
    spec = json.loads(step.get_modelmeta().custom_metadata_map["kalmanrnn_spec"])
    # float32 keeps centimetres only near the origin: work about where the drive starts.
    home, shift = origin_of(spec, start)
    cov = np.diag(np.square(spec["initial_std"]))
    carry = run(init, {"mean": start - home, "cov": cov})
    for t, z, seen, u, dt in events:
        n, most = len(dt), spec["max_ticks"]
        if n > most:
            sys.exit(f"{n} ticks after the event at t = {t}; the model takes {most}")
        mask = np.repeat(seen, [len(sensor["channels"]) for sensor in spec["sensors"]])
        z = np.where(mask, z - shift, 0)
        if not all(np.isfinite(a).all() for a in (z, u, dt)):
            sys.exit(f"a number of the event at t = {t} is not finite")
        feeds = {f"{name.removesuffix('_out')}_in": a for name, a in carry.items()}
        # Ticks that are not there: dt = 0, and the loop stops before them.
        feeds |= {"z": z, "seen": seen, "n_ticks": np.array([n])}
        feeds |= {"u": padded(u, most), "dt": padded(dt, most)}
        found = run(step, feeds)
        carry = {name: a for name, a in found.items() if name.endswith("_out")}
        yield t, found["mean"] + home


def origin_of(spec: dict[str, Any], start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what to take from states `[X]` and from readings `[Z]`: whole metres."""
    home = np.zeros(spec["state_dim"])
    shift = np.zeros(sum(len(sensor["channels"]) for sensor in spec["sensors"]))
    if spec["origin"]:
        place = slice(*spec["origin"]["state"])
        home[place] = np.round(start[place])
        for column, component in spec["origin"]["columns"]:
            shift[column] = home[place][component]
    return home, shift


def open_session(path: Path) -> Any:
    """Open a model on one thread that does not spin between events."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(session: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run with those feeds that the model has, in its types; return its outputs by name."""
    types = {"tensor(float)": np.float32, "tensor(bool)": bool, "tensor(int64)": np.int64}
    cast = {p.name: np.asarray(feeds[p.name], types[p.type]) for p in session.get_inputs()}
    found = session.run(None, cast)
    return {port.name: a for port, a in zip(session.get_outputs(), found, strict=True)}


def padded(a: np.ndarray, rows: int) -> np.ndarray:
    """Append rows of zeros."""
    return np.concatenate([a, np.zeros((rows - len(a), *a.shape[1:]), a.dtype)])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Check single columns: NaN, constant, duplicate, on very different scales."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.sequences import Sequences, standardise

# Largest over smallest column: the first weights must undo this before anything is learnt.
MAX_RATIO = 100.0
# Cells saturate at a few units; sizes beyond these need other weights than the initial ones.
MAX_SIZE, MIN_SIZE = 100.0, 1e-3
SAME = 1 - 1e-9
STANDARDISE = "{a} = ({a} - {a}.mean({axes})) / {a}.std({axes})   # of the training sequences"


def check_finite(data: Sequences, which: str = "") -> list[Finding]:
    """Find NaN and infinity."""
    found = []
    for name, a in (("inputs", data.inputs), ("targets", data.targets)):
        bad = ~np.isfinite(a)
        if not bad.any():
            continue
        hit = np.flatnonzero(bad.any(axis=(1, 2)))
        columns = np.flatnonzero(bad.any(axis=(0, 1)))
        found.append(
            Finding(
                "error",
                "nan",
                f"{int(bad.sum())} values of the {which}{name} are NaN or infinite, in "
                f"{hit.size} of {len(a)} sequences, column {_format(columns)}; one is enough to "
                "make every weight NaN",
                float(bad.mean()),
                "drop those sequences, or fill the gaps and add a column that marks them",
                f"keep = np.isfinite({name}).reshape(len({name}), -1).all(1)",
            )
        )
    return found


def check_constant(data: Sequences) -> list[Finding]:
    """Find columns that never change."""
    found = []
    for name, a in (("inputs", data.inputs), ("targets", data.targets)):
        flat = np.flatnonzero(_flat(a))
        if not flat.size:
            continue
        what = f"{name} column {_format(flat)} never changes: it carries no information"
        if name == "targets":
            what = f"{name} column {_format(flat)} never changes: there is nothing to learn"
        level = "error" if name == "targets" else "warning"
        cure, command = "drop it", f"{name} = np.delete({name}, {flat.tolist()}, axis=-1)"
        found.append(Finding(level, "constant", what, float(flat.size), cure, command))
    return found


def check_duplicate(data: Sequences) -> list[Finding]:
    """Find input columns that equal another one up to scale and offset."""
    x = standardise(data.inputs).reshape(-1, data.inputs.shape[2])
    live = np.flatnonzero(~_flat(data.inputs))
    if live.size < 2:
        return []
    likeness = np.abs(x[:, live].T @ x[:, live]) / len(x)
    first, second = np.nonzero(np.triu(likeness > SAME, 1))
    if not first.size:
        return []
    pairs = ", ".join(
        f"{live[i]} and {live[j]}" for i, j in zip(first[:3], second[:3], strict=True)
    )
    doubled = sorted(set(live[second].tolist()))
    return [
        Finding(
            "warning",
            "duplicate",
            f"input columns {pairs} are the same up to scale and offset",
            float(likeness[first[0], second[0]]),
            "keep one of each",
            f"inputs = np.delete(inputs, {doubled}, axis=-1)",
        )
    ]


def check_scale(data: Sequences) -> list[Finding]:
    """Find columns far from size 1, or of very different sizes."""
    found = []
    for name, a in (("inputs", data.inputs), ("targets", data.targets)):
        if (~_flat(a)).any():
            found += _scale(name, data, a[..., ~_flat(a)], np.flatnonzero(~_flat(a)))
    return found


def _scale(name: str, data: Sequences, a: np.ndarray, column: np.ndarray) -> list[Finding]:
    size = np.sqrt(np.mean(a**2, axis=(0, 1)))
    big, small = int(size.argmax()), int(size.argmin())
    apart = size[big] / size[small]
    if apart >= MAX_RATIO:
        what = (
            f"{name} are on very different scales: column {column[big]} is about "
            f"{size[big]:.3g} in size, column {column[small]} about {size[small]:.3g}"
        )
        number = float(apart)
    elif size[big] > MAX_SIZE or size[small] < MIN_SIZE:
        odd = big if size[big] > MAX_SIZE else small
        what = f"{name} column {column[odd]} is about {size[odd]:.3g} in size; cells work near 1"
        number = float(size[odd])
    else:
        return []
    cure = "scale each column to mean 0 and standard deviation 1, using training sequences only"
    axes = "(0, 1)" if name == "inputs" or data.per_step else "0"
    command = STANDARDISE.format(a=name, axes=axes)
    level = "error" if max(apart, size[big]) > 1e4 else "warning"
    return [Finding(level, "scale", what, number, cure, command)]


def _flat(a: np.ndarray) -> np.ndarray:
    """Return which columns vary by no more than rounding."""
    return np.ptp(a, axis=(0, 1)) <= 1e-9 * np.abs(a).max(axis=(0, 1))


def _format(columns: np.ndarray) -> str:
    shown = ", ".join(str(c) for c in columns[:5])
    return f"{shown} and {columns.size - 5} more" if columns.size > 5 else shown

"""Single columns: NaN, constant, doubled, on wildly different scales."""

from __future__ import annotations

import numpy as np

from kalmanrnn.diagnostics.finding import Finding
from kalmanrnn.diagnostics.training.sequences import Series, standard

# Between columns: a hundredfold means that one weight matrix has to undo it before it can learn.
SCALES_APART = 100.0
# Cells saturate at a few units; a typical size beyond these needs other weights
# than those they start with.
LARGEST, SMALLEST = 100.0, 1e-3
SAME = 1 - 1e-9
STANDARDISE = "{a} = ({a} - {a}.mean({axes})) / {a}.std({axes})   # training sequences' own"


def not_finite(series: Series, what: str = "") -> list[Finding]:
    """Find NaN and infinity."""
    found = []
    for name, a in (("inputs", series.inputs), ("targets", series.targets)):
        bad = ~np.isfinite(a)
        if not bad.any():
            continue
        hit = np.flatnonzero(bad.any(axis=(1, 2)))
        columns = np.flatnonzero(bad.any(axis=(0, 1)))
        found.append(
            Finding(
                "error",
                "nan",
                f"{int(bad.sum())} values of the {what}{name} are NaN or infinite, in "
                f"{hit.size} of {len(a)} sequences, column {_list(columns)}; one is enough to "
                "make every weight NaN",
                float(bad.mean()),
                "leave those sequences out, or fill the gaps and add a column that says where",
                f"keep = np.isfinite({name}).reshape(len({name}), -1).all(1)",
            )
        )
    return found


def constant(series: Series) -> list[Finding]:
    """Find columns that never change."""
    found = []
    for name, a in (("inputs", series.inputs), ("targets", series.targets)):
        flat = np.flatnonzero(_flat(a))
        if not flat.size:
            continue
        told = f"{name} column {_list(flat)} never changes: it tells a network nothing"
        if name == "targets":
            told = f"{name} column {_list(flat)} never changes: there is nothing to learn in it"
        level = "error" if name == "targets" else "warning"
        cure, command = "leave it out", f"{name} = np.delete({name}, {flat.tolist()}, axis=-1)"
        found.append(Finding(level, "constant", told, float(flat.size), cure, command))
    return found


def duplicate(series: Series) -> list[Finding]:
    """Find input columns that are another one, up to scale and offset."""
    x = standard(series.inputs).reshape(-1, series.inputs.shape[2])
    live = np.flatnonzero(~_flat(series.inputs))
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


def scale(series: Series) -> list[Finding]:
    """Find columns far from size 1, and columns of very different sizes."""
    found = []
    for name, a in (("inputs", series.inputs), ("targets", series.targets)):
        if (~_flat(a)).any():
            found += _scale(name, series, a[..., ~_flat(a)], np.flatnonzero(~_flat(a)))
    return found


def _scale(name: str, series: Series, a: np.ndarray, column: np.ndarray) -> list[Finding]:
    size = np.sqrt(np.mean(a**2, axis=(0, 1)))
    big, small = int(size.argmax()), int(size.argmin())
    apart = size[big] / size[small]
    if apart >= SCALES_APART:
        told = (
            f"{name} are on wildly different scales: column {column[big]} is about "
            f"{size[big]:.3g} in size, column {column[small]} about {size[small]:.3g}"
        )
        number = float(apart)
    elif size[big] > LARGEST or size[small] < SMALLEST:
        odd = big if size[big] > LARGEST else small
        told = f"{name} column {column[odd]} is about {size[odd]:.3g} in size; cells work near 1"
        number = float(size[odd])
    else:
        return []
    cure = "bring each column to mean 0 and spread 1, with figures of the training sequences only"
    axes = "(0, 1)" if name == "inputs" or series.per_step else "0"
    command = STANDARDISE.format(a=name, axes=axes)
    level = "error" if max(apart, size[big]) > 1e4 else "warning"
    return [Finding(level, "scale", told, number, cure, command)]


def _flat(a: np.ndarray) -> np.ndarray:
    """Tell which columns vary by no more than rounding."""
    return np.ptp(a, axis=(0, 1)) <= 1e-9 * np.abs(a).max(axis=(0, 1))


def _list(columns: np.ndarray) -> str:
    shown = ", ".join(str(c) for c in columns[:5])
    return f"{shown} and {columns.size - 5} more" if columns.size > 5 else shown

"""Verify every format of an export against jax.

Event by event: the recorded carry goes in; every output and the new carry are compared in units
of their scale. Then a rollout over whole drives, beside jax's own drift between float32 and
float64: two correct programs drift apart, and that is not a failure.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.deploy.machine.machine import Machine
from kalmanrnn.deploy.verification.backends import Backend, formats_in, load_machine, open_backend
from kalmanrnn.deploy.verification.test_vectors import Vectors, load_vectors

VECTORS = "vectors.npz"


class FormatCheck(NamedTuple):
    """Result of one format. passed: None where it cannot run here, and `port` says why.

    events: how many were compared. worst: the largest difference over its limit; port: where.
    limit: in units of the port's scale. drift, reference_drift: the mean's largest difference
    from jax in float32 over a rollout, and that of jax in float64, in units of its scale.
    """

    backend: str
    passed: bool | None
    events: int = 0
    worst: float = 0.0
    port: str = ""
    limit: float = 0.0
    drift: float = 0.0
    reference_drift: float = 0.0


def verify(folder: Path) -> list[FormatCheck]:
    """Compare every format in a folder with the test vectors; UserError where it is damaged."""
    machine, vectors = load_machine(folder), load_vectors(folder / VECTORS)
    checks = []
    for kind in formats_in(folder, machine):
        backend = open_backend(kind, folder, machine)
        if isinstance(backend, str):
            checks.append(FormatCheck(kind, None, port=backend))
        else:
            checks.append(compare(backend, machine, vectors))
    return checks


def compare(backend: Backend, machine: Machine, vectors: Vectors) -> FormatCheck:
    """Compare one format with the test vectors."""
    events = len(vectors.starts)
    worst: dict[str, float] = {}
    for e in range(events):
        found = backend.step({name: a[e] for name, a in vectors.inputs.items()})
        assert backend.run_drive or set(found) >= set(vectors.outputs), backend.name
        for name in vectors.outputs.keys() & found.keys():
            worst[name] = max(worst.get(name, 0.0), port_error(vectors, name, found[name], e))
    over = {name: worst[name] / vectors.limit(name) for name in worst}
    port = max(over, key=lambda name: over[name])
    drift = rollout_drift(backend, machine, vectors)
    return FormatCheck(
        backend=backend.name,
        passed=over[port] <= 1.0,
        events=events,
        worst=over[port],
        port=port,
        limit=vectors.limit(port),
        drift=drift,
        reference_drift=_largest_scaled(vectors, vectors.exact - vectors.outputs["mean"]),
    )


def port_error(vectors: Vectors, name: str, found: np.ndarray, event: int) -> float:
    """Return the largest difference in one port at one event, in units of its scale."""
    off = np.abs(np.asarray(found, float) - vectors.outputs[name][event]) / vectors.scale[name]
    # NaN counts as infinitely far.
    return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0))


def rollout_drift(backend: Backend, machine: Machine, vectors: Vectors) -> float:
    """Run a format over drives on its own carry; return the mean's largest difference to jax."""
    if backend.run_drive:
        starts = np.flatnonzero(vectors.starts)[1:]
        drives = zip(*(np.split(a, starts) for a in vectors.inputs.values()), strict=True)
        whole = [
            backend.run_drive(dict(zip(vectors.inputs, parts, strict=True))) for parts in drives
        ]
        return _largest_scaled(vectors, np.concatenate(whole) - vectors.outputs["mean"])
    packet = ("z", "seen", "u", "dt")
    carried = [p.name for p in machine.step.inputs if p.name not in packet]
    means, drive = [], -1
    state: dict[str, np.ndarray] = {}
    for e, begins in enumerate(vectors.starts):
        if begins:
            drive += 1
            belief = {"mean": vectors.belief_mean[drive], "cov": vectors.belief_cov[drive]}
            state = backend.init(belief)
        given = {name: vectors.inputs[name][e] for name in packet if name in vectors.inputs}
        found = backend.step(state | given)
        state = {name: found[name] for name in carried}
        means.append(found["mean"])
    return _largest_scaled(vectors, np.stack(means) - vectors.outputs["mean"])


def _largest_scaled(vectors: Vectors, off: np.ndarray) -> float:
    size = np.abs(off) / vectors.scale["mean"]
    return float(np.nan_to_num(size, nan=np.inf).max(initial=0.0))


def format_checks(checks: list[FormatCheck]) -> str:
    """Return the checks as a table."""
    head = f"{'format':18s} {'events':>6s}  {'difference / limit':>18s}  {'drift, rollout':>15s}  "
    lines = [head + "(jax float32 to float64)"]
    for c in checks:
        if c.passed is None:
            lines.append(f"{c.backend:18s} not run: {c.port}")
            continue
        mark = "" if c.passed else "  DIFFERS"
        worst = f"{c.worst:.2f} in {c.port}"
        lines.append(
            f"{c.backend:18s} {c.events:6d}  {worst:>18s}  {c.drift:15.1e}  "
            f"({c.reference_drift:.1e}){mark}"
        )
    return "\n".join(lines)

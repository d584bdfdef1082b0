"""Recorded events that every format of an export must reproduce.

Test drives with dropouts, two resets among them and inputs at the extremes of the drives. Each
event has the carry before it, the outputs of jax in float32 after it, and how far those are from
jax in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive, Estimator, Packet
from kalmanrnn.core.errors import UserError
from kalmanrnn.core.npz import read_npz, write_npz
from kalmanrnn.core.random_streams import Stream, random_stream
from kalmanrnn.data.local_frame import localise, split_into_ticks
from kalmanrnn.deploy.machine.machine import Machine
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.simulation import simulate_batch

DRIVES, EVENTS = 3, 96
DROPOUT_SHARE = 0.15
LIMIT_EVENTS = 6
ARRAYS = ("exact", "starts", "belief_mean", "belief_cov")
MIN_LIMIT, TIMES_ROUNDING = 2e-6, 4.0
# Shares of the largest number in a port.
CLOSED_GATE = 0.1
MIN_SCALE = 1e-5


class Vectors(NamedTuple):
    """Events to reproduce; all arrays have `[N]` in front, N = drives x events.

    inputs: by the step's input ports, the carry before each event among them. outputs: by its
    output ports, from jax in float32. rounding: by output, the largest difference of jax's
    float32 from its float64 on these inputs, in units of `scale`. scale: by output, of its
    shape: how large each number gets; of a covariance, how large its diagonal lets it get.
    exact: `[N, X]` the mean of a float64 rollout. starts: `[N]` whether a drive begins;
    belief_mean `[n, X]`, belief_cov `[n, D, D]` each drive's belief, n drives.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    rounding: dict[str, float]
    scale: dict[str, np.ndarray]
    exact: np.ndarray
    starts: np.ndarray
    belief_mean: np.ndarray
    belief_cov: np.ndarray

    def limit(self, port: str) -> float:
        """Return how far another format may differ, in units of the port's scale."""
        return max(MIN_LIMIT, TIMES_ROUNDING * self.rounding[port])


def record_vectors(
    machine: Machine, make: Callable[[], Estimator], scenario: Scenario, *, seed: int = 0
) -> Vectors:
    """Run jax over test drives, event by event, in float32 and in float64.

    make: returns the estimator; called once per precision, since some keep constants.
    """
    drives = simulate_drives(scenario, machine.spec["max_ticks"], seed)
    ports = [port.name for port in machine.step.inputs]
    carried = [name for name in ports if name not in Packet._fields]
    estimator = make()
    step = jax.jit(estimator.step)
    with jax.enable_x64(True):
        exact = jax.jit(make().step)
    rows: dict[str, list[np.ndarray]] = {}
    found: dict[str, list[np.ndarray]] = {}
    apart: dict[str, list[np.ndarray]] = {}
    starts, free = [], []
    for i in range(DRIVES):
        drive = jax.tree.map(lambda a, i=i: a[i], drives._replace(truth=None))
        carry = jax.tree.map(lambda a: np.asarray(a, np.float32), estimator.init(drive.belief))
        own = jax.tree.map(_as_float64, carry)
        for e in range(EVENTS):
            packet = jax.tree.map(lambda a, e=e: a[e], drive.packets)
            after = _outputs(machine, step(carry, packet))
            with jax.enable_x64(True):
                wide = _outputs(machine, exact(*jax.tree.map(_as_float64, (carry, packet))))
                own, estimate = exact(own, jax.tree.map(_as_float64, packet))
                free.append(np.asarray(estimate.mean))
            given = dict(zip(carried, _leaves(carry), strict=True)) | packet._asdict()
            for name in ports:
                rows.setdefault(name, []).append(np.asarray(given[name]))
            for name, value in after.items():
                found.setdefault(name, []).append(value.astype(np.float32))
                apart.setdefault(name, []).append(np.abs(value - wide[name]))
            starts.append(e == 0)
            carry = jax.tree.map(np.asarray, step(carry, packet)[0])
    outputs = {name: np.stack(values) for name, values in found.items()}
    scale = {n: port_scale(values, memory=is_memory(n)) for n, values in outputs.items()}
    return Vectors(
        inputs={name: np.stack(values) for name, values in rows.items()},
        outputs=outputs,
        rounding={n: float(np.max(np.stack(a) / scale[n])) for n, a in apart.items()},
        scale=scale,
        exact=np.stack(free),
        starts=np.array(starts),
        belief_mean=np.asarray(drives.belief.mean),
        belief_cov=np.asarray(drives.belief.cov),
    )


def is_memory(port: str) -> bool:
    """Whether a port is the state of a network's cells."""
    return port.startswith("memory_")


def port_scale(values: np.ndarray, *, memory: bool = False) -> np.ndarray:
    """Return how large each number of a port gets over the events `[N, ...]`.

    memory: the numbers are activations of one network, all sums of terms of order one, so a unit
    whose gate stays nearly closed cannot be exact in units of its own size; it is held to a
    tenth of the largest (at most of 1).
    """
    size = np.abs(values).max(axis=0)
    if memory:
        size = np.maximum(size, CLOSED_GATE * min(1.0, float(size.max(initial=0.0))))
    if size.ndim == 2 and size.shape[0] == size.shape[1]:
        size = np.sqrt(np.outer(np.diag(size), np.diag(size)))
    least = max(MIN_SCALE * float(size.max(initial=0.0)), 1e-12)
    return np.maximum(size, least).astype(np.float32)


def simulate_drives(scenario: Scenario, ticks: int, seed: int) -> Drive:
    """Simulate drives with dropouts of each sensor and a few events at the inputs' extremes."""
    rng = random_stream(seed, Stream.TEST_VECTORS)
    seconds = EVENTS / scenario.event_hz
    drives = simulate_batch(scenario, jax.random.key(1_000_003 + seed), DRIVES, seconds)
    drives = localise(scenario, jax.tree.map(np.asarray, drives))
    if ticks < scenario.ticks_per_event:
        # A student run at every tick: each tick is an event, and most see nothing.
        drives = split_into_ticks(drives._replace(truth=None))
        t, packets = jax.tree.map(lambda a: a[:, :EVENTS], (drives.t, drives.packets))
        drives = drives._replace(t=t, packets=packets)
    seen = drives.packets.seen & (rng.random(drives.packets.seen.shape) >= DROPOUT_SHARE)
    z = np.where(scenario.mask(seen), drives.packets.z, np.float32(0))
    u, dt = drives.packets.u.copy(), drives.packets.dt
    if u.shape[-1]:
        edges = np.stack([u.min(axis=(0, 1, 2)), u.max(axis=(0, 1, 2))])
        for drive in range(DRIVES):
            for event in rng.choice(EVENTS, LIMIT_EVENTS, replace=False):
                u[drive, event, :] = edges[rng.integers(2, size=u.shape[-1]), range(u.shape[-1])]
    more = ticks - dt.shape[-1]
    assert more >= 0, (ticks, dt.shape)
    none = [(0, 0)] * 2
    packets = Packet(z, seen, np.pad(u, [*none, (0, more), (0, 0)]), np.pad(dt, [*none, (0, more)]))
    return drives._replace(packets=packets)


def save_vectors(path: Path, vectors: Vectors) -> None:
    """Write test vectors to one `.npz`."""
    arrays: dict[str, Any] = {f"in/{n}": a for n, a in vectors.inputs.items()}
    arrays |= {f"out/{n}": a for n, a in vectors.outputs.items()}
    arrays |= {f"scale/{n}": a for n, a in vectors.scale.items()}
    arrays |= {n: getattr(vectors, n) for n in ARRAYS}
    write_npz(path, arrays, {"rounding": vectors.rounding})


def load_vectors(path: Path) -> Vectors:
    """Read the vectors of an export; UserError where they are missing or damaged."""
    cure = "kalmanrnn export RUN --out ANOTHER"
    missing = UserError(
        f"there is no {path.name} in {path.parent}", why="it is not an export folder", cure=cure
    )
    arrays, facts = read_npz(path, missing=missing, cure=cure)
    try:
        return Vectors(
            inputs={n[3:]: a for n, a in arrays.items() if n.startswith("in/")},
            outputs={n[4:]: a for n, a in arrays.items() if n.startswith("out/")},
            rounding={str(n): float(v) for n, v in facts["rounding"].items()},
            scale={n[6:]: a for n, a in arrays.items() if n.startswith("scale/")},
            **{n: arrays[n] for n in ARRAYS},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise UserError(f"{path} is damaged", why=repr(problem)[:160], cure=cure) from None


def _outputs(machine: Machine, result: tuple[Any, Any]) -> dict[str, np.ndarray]:
    """Return the outputs of a step by the machine's output ports."""
    carry, estimate = result
    values = [*_leaves(carry), np.asarray(estimate.mean)]
    values += [] if estimate.cov is None else [np.asarray(estimate.cov)]
    return dict(zip([port.name for port in machine.step.outputs], values, strict=True))


def _leaves(carry: Any) -> list[np.ndarray]:
    """Return the leaves of a carry that are not empty."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(carry) if np.size(leaf)]


def _as_float64(a: Any) -> np.ndarray:
    a = np.asarray(a)
    return a.astype(np.float64) if a.dtype == np.float32 else a

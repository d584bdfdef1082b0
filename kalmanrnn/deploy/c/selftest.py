"""The self-test: recorded events that detect a build which computes other results."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Drive, Estimator
from kalmanrnn.deploy.c.sizes import Sizes, sizes_of
from kalmanrnn.deploy.c.tree import literal
from kalmanrnn.deploy.machine.machine import Machine

EVENTS = 10
# In units of each number's largest size in the record. Students stay within 1e-6 on other
# compilers; filters subtract large covariances in float32 and differ more.
TOLERANCE = {"student": 2e-5, "ekf": 2e-3, "ukf": 2e-3}
MIN_SCALE = 1e-3


class Record(NamedTuple):
    """Events from the start of a drive, and the estimates at them, float32.

    mean: `[X]`, cov: `[D, D]` the first belief. z: `[E, Z]`, seen: `[E, S]`, u: `[E, K, U]`,
    dt: `[E, K]`. estimates: `[E, X]`.
    """

    mean: np.ndarray
    cov: np.ndarray
    z: np.ndarray
    seen: np.ndarray
    u: np.ndarray
    dt: np.ndarray
    estimates: np.ndarray


def record_selftest(estimator: Estimator, drive: Drive, events: int = EVENTS) -> Record:
    """Run an estimator in float32 over the first events of one drive (without a batch axis)."""
    with jax.enable_x64(False):
        belief, packets = jax.tree.map(
            lambda a: np.asarray(a, bool if a.dtype == bool else np.float32),
            (drive.belief, jax.tree.map(lambda a: a[:events], drive.packets)),
        )
        first = estimator.init(belief)
        run = jax.jit(lambda carry: jax.lax.scan(estimator.step, carry, packets)[1].mean)
        estimates = np.asarray(run(first))
    z, seen, u, dt = packets
    return Record(belief.mean, belief.cov, z, seen, u, dt, estimates)


def render_selftest(machine: Machine, name: str, found: Record) -> str:
    """Return NAME_selftest.c."""
    sizes = sizes_of(machine)
    scale = state_scale(machine, found.estimates)
    limit = TOLERANCE[machine.spec["estimator"]]
    events = len(found.z)
    arrays = [
        _array("first_mean", found.mean),
        _array("first_cov", found.cov),
        _array("all_z", found.z),
        _array("all_seen", found.seen.astype(np.uint8), "unsigned char"),
        *([_array("all_u", found.u)] if sizes.u else []),
        _array("all_dt", found.dt),
        _array("expected", found.estimates),
        _array("limit", scale * limit),
    ]
    return f"""/* Events recorded at the export. Written by kalmanrnn; do not edit. */
#include "{name}.h"

#include <math.h>

{chr(10).join(arrays)}

{_function(name, sizes, events, found.dt.shape[1])}
"""


def state_scale(machine: Machine, estimates: np.ndarray) -> np.ndarray:
    """Return each state number's size `[X]`: its largest in `[E, X]`, at least 1e-3.

    Angles count as pi: wrapping leaves the rounding error of half a turn.
    """
    scale = np.maximum(np.abs(estimates).max(axis=0), MIN_SCALE)
    for block in machine.spec["blocks"]:
        if block["kind"] != "vector":
            start, stop = block["state"]
            scale[start:stop] = np.pi if block["kind"] == "angle" else 1.0
    return scale


def _function(name: str, sizes: Sizes, events: int, ticks: int) -> str:
    up = name.upper()

    def times(size: int) -> str:
        # "1 * e" is "e".
        return f"{size} * e" if size > 1 else "e"

    u = f"all_u + {times(ticks * sizes.u)}" if sizes.u else "0"
    return f"""int {name}_selftest(void)
{{
    {name}_state state;
    {name}_output output;
    int status = {name}_init(&state, first_mean, first_cov);
    for (int e = 0; e < {events} && status == {up}_OK; ++e) {{
        status = {name}_step(&state, all_z + {times(sizes.z)}, all_seen + {times(sizes.s)},
            {u}, all_dt + {times(ticks)}, {ticks}, &output);
        /* Written so that a NaN fails. */
        for (int i = 0; i < {sizes.x} && status == {up}_OK; ++i)
            if (!(fabsf(output.mean[i] - expected[{times(sizes.x)} + i]) <= limit[i]))
                status = {up}_SELFTEST_FAILED;
    }}
    return status;
}}"""


def _array(name: str, values: np.ndarray, kind: str = "float") -> str:
    values = values.ravel().astype(np.float32 if kind == "float" else values.dtype)
    numbers = [literal(value).strip("()") for value in values]
    rows = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
    return f"static const {kind} {name}[{len(numbers)}] = {{\n    " + ",\n    ".join(rows) + "\n};"

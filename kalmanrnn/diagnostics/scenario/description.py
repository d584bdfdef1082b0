"""Check what needs no model run: shapes, units, and whether jax can trace the functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.diagnostics.finding import Finding, pass_or_fail
from kalmanrnn.scenarios.scenario import Scenario, check_models

# Common units that are not SI; nothing is converted.
NOT_SI = {
    "deg": "rad",
    "deg/s": "rad/s",
    "dps": "rad/s",
    "rpm": "rad/s",
    "g": "m/s^2",
    "mg": "m/s^2",
    "km": "m",
    "cm": "m",
    "mm": "m",
    "km/h": "m/s",
    "knot": "m/s",
    "ms": "s",
}
SHOWN_IN_DEGREES = ("deg", "deg/s")
TICKS = 8


def scenario_functions(scenario: Scenario, dtype: Any) -> Iterator[tuple[str, Callable, list, Any]]:
    """Yield each function of a scenario: name, function, argument shapes, result shape."""

    def shape(*n: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(n, dtype)

    space = scenario.space
    x, u, z, one = shape(space.state_dim), shape(len(scenario.inputs)), scenario.sigma.size, shape()
    d = space.tangent_dim
    yield "process", scenario.process, [x, u, one], (space.state_dim,)
    yield "process_noise", scenario.noise_matrix, [x, u, one], (d, d)
    for sensor in scenario.sensors:
        yield f"measure of {sensor.name}", sensor.measure, [x], (sensor.size,)
    if scenario.frame is not None:
        yield "frame", scenario.frame, [x], (d, d)
    if scenario.features is not None:
        yield "features", scenario.features, [x, u], None
    if scenario.yaw_symmetry is not None:
        yield "yaw_symmetry", scenario.yaw_symmetry, [x, shape(z), one], ((space.state_dim,), (z,))


def check_description(scenario: Scenario) -> list[Finding]:
    """Check shapes, tracing, precision and units; stop at wrong shapes."""
    shapes = check_shapes(scenario)
    if shapes.level == "error":
        return [shapes]
    return [shapes, check_precision(scenario), check_purity(scenario), check_units(scenario)]


def check_shapes(scenario: Scenario) -> Finding:
    """Trace every function in float64 and check the shape of its result."""
    bad = []
    with jax.enable_x64(True):
        for name, function, takes, shape in scenario_functions(scenario, jnp.float64):
            try:
                got = jax.tree.map(lambda a: a.shape, jax.eval_shape(function, *takes))
            except Exception as error:
                bad.append(f"{name} cannot be traced by jax: {first_line(error)}")
                continue
            if shape is not None and got != shape:
                bad.append(f"{name} must return {shape}, returns {got}")
        bad += _random_shapes(scenario)
    if not bad:
        try:
            check_models(scenario)
        except ValueError as error:
            bad.append(str(error))
    good = f"state {scenario.space.state_dim}, tangent {scenario.space.tangent_dim}, "
    good += f"inputs {len(scenario.inputs)}, readings {scenario.sigma.size}"
    cure = "fix the function named; use jnp and jnp.where instead of np and if"
    return pass_or_fail("shapes", bad, good, cure)


def _random_shapes(scenario: Scenario) -> list[str]:
    """Check the shapes that `simulate_truth` and `sample_initial` return."""
    key, x = jax.random.key(0), jax.ShapeDtypeStruct((scenario.space.state_dim,), jnp.float64)
    bad = []
    try:
        truth, u = jax.eval_shape(lambda k: scenario.simulate_truth(k, TICKS), key)
        wanted = ((TICKS + 1, *x.shape), (TICKS, len(scenario.inputs)))
        if (truth.shape, u.shape) != wanted:
            got = (truth.shape, u.shape)
            bad.append(f"simulate_truth({TICKS} ticks) must return {wanted}, returns {got}")
        if scenario.sample_initial is not None:
            mean = jax.eval_shape(scenario.sample_initial, key, x)
            if mean.shape != x.shape:
                bad.append(f"sample_initial must return {x.shape}, returns {mean.shape}")
    except Exception as error:
        bad.append(f"simulate_truth or sample_initial cannot be traced by jax: {first_line(error)}")
    return bad


def check_precision(scenario: Scenario) -> Finding:
    """Check that the models keep the precision of the state, as a scan's carry must.

    Filters run in float64, students in float32.
    """
    bad = _changed(scenario, jnp.float64, x64=True) + _changed(scenario, jnp.float32, x64=False)
    cure = "give constants the state's precision: jnp.asarray(c, x.dtype), or plain numbers"
    if not bad:
        # jax tolerates this while float64 is off, but an exporter may not.
        hidden = _changed(scenario, jnp.float32, x64=True)
        if hidden:
            return pass_or_fail("precision", hidden, "", cure, "warning")
    return pass_or_fail("precision", bad, "float32 stays float32, float64 stays float64", cure)


def _changed(scenario: Scenario, dtype: Any, *, x64: bool) -> list[str]:
    bad = []
    with jax.enable_x64(x64):
        for name, function, takes, _ in scenario_functions(scenario, dtype):
            # A new lambda each time, else jax reuses the trace of the other precision.
            made = jax.eval_shape(lambda *a, f=function: f(*a), *takes)
            given = {np.dtype(a.dtype).name for a in jax.tree.leaves(made)}
            if given != {np.dtype(dtype).name}:
                bad.append(f"{name} makes {' and '.join(sorted(given))} of {np.dtype(dtype).name}")
    return bad


def check_purity(scenario: Scenario) -> Finding:
    """Trace every function twice: one that reads a clock, counter or random number differs."""
    bad = []
    with jax.enable_x64(True):
        for name, function, takes, _ in scenario_functions(scenario, jnp.float64):
            # A new lambda each time, else jax reuses the first trace.
            one, two = (jax.make_jaxpr(lambda *a, f=function: f(*a))(*takes) for _ in range(2))
            same = str(one) == str(two) and all(
                np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
                for a, b in zip(one.consts, two.consts, strict=True)
            )
            if not same:
                bad.append(f"{name} differs each time it is traced")
    cure = "make it depend on its arguments only: no numpy random numbers, no counters"
    return pass_or_fail("purity", bad, "every model depends on its arguments only", cure)


def check_units(scenario: Scenario) -> Finding:
    """Check that every channel and block has a unit, and that inputs and readings are SI."""
    bad = []
    channels = [("input", c) for c in scenario.inputs]
    channels += [(f"{s.name}'s", c) for s in scenario.sensors for c in s.channels]
    for where, channel in channels:
        if not channel.unit:
            bad.append(f"{where} {channel.name} has no unit")
        elif channel.unit in NOT_SI:
            bad.append(f"{where} {channel.name} is in {channel.unit}, not {NOT_SI[channel.unit]}")
    for block in scenario.space.blocks:
        if not block.unit:
            bad.append(f"block {block.name} has no unit")
        elif block.unit in NOT_SI and block.unit not in SHOWN_IN_DEGREES:
            bad.append(f"block {block.name} is in {block.unit}, not {NOT_SI[block.unit]}")
    cure = "use SI units (only a block may be shown in deg): inputs and readings are in SI, "
    cure += "radians; write '1' for a number without a unit"
    good = f"{len(channels)} channels and {len(scenario.space.blocks)} blocks in SI"
    return pass_or_fail("units", bad, good, cure, "warning")


def first_line(error: Exception) -> str:
    """Return an exception's type and message as one short line."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}"[:140]

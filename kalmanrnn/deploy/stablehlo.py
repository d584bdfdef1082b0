"""The step as StableHLO, for those who run XLA; not an archive.

jax promises to read what it serialises for half a year: keep another format too.
`NAME.stablehlo` maps plain arrays to plain arrays; `NAME.stablehlo.json` lists them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.core.datatypes import Belief, Estimator, Packet
from kalmanrnn.core.extras import require

if TYPE_CHECKING:
    from kalmanrnn.deploy.machine.machine import Machine
    from kalmanrnn.scenarios.scenario import Scenario

PLATFORMS = ("cpu", "cuda", "tpu")
# docs.jax.dev, "Exporting and serializing staged-out computations", compatibility guarantees.
READABLE, READABLE_BY_OLDER = timedelta(days=180), timedelta(days=21)


def write_stablehlo(
    machine: Machine, estimator: Estimator, scenario: Scenario, folder: Path
) -> list[Path]:
    """Write the step and the list of its arrays into a folder; return both paths."""
    require("flatbuffers", "export", "write StableHLO")
    ticks = next(
        machine.step.values[port.value].shape[0]
        for port in machine.step.inputs
        if port.name == "dt"
    )
    step, examples = flat_step(estimator, scenario, ticks)
    with jax.enable_x64(False):
        traced = jax.export.export(jax.jit(step, keep_unused=True), platforms=PLATFORMS)
        exported = traced(*examples)
    blob = bytes(exported.serialize())
    names = [[port.name for port in ports] for ports in (machine.step.inputs, machine.step.outputs)]
    facts = {
        "format": "kalmanrnn stablehlo 1",
        "name": machine.name,
        "sha256": sha256(blob).hexdigest(),
        **compatibility(datetime.now(UTC)),
        "calling_convention": exported.calling_convention_version,
        "platforms": list(exported.platforms),
        "inputs": _ports(names[0], exported.in_avals),
        "outputs": _ports(names[1], exported.out_avals),
    }
    model = folder / f"{machine.name}.stablehlo"
    description = folder / f"{machine.name}.stablehlo.json"
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(model, blob)
    atomic_write(description, json.dumps(facts, indent=1) + "\n")
    return [model, description]


def read_stablehlo(path: Path) -> Callable[..., Any]:
    """Return the step as a function of its arrays, in the order of the JSON beside it."""
    require("flatbuffers", "export", "read StableHLO")
    return jax.export.deserialize(bytearray(path.read_bytes())).call


def flat_step(
    estimator: Estimator, scenario: Scenario, ticks: int
) -> tuple[Callable[..., list[jax.Array]], list[jax.ShapeDtypeStruct]]:
    """Return the step as a function of arrays, empty ones left out, and their shapes.

    Inputs are carry leaves, z, seen, u, dt; outputs are carry leaves, mean, and cov if any.
    """
    space = scenario.space
    belief = Belief(*(_like(s) for s in ((space.state_dim,), 2 * (space.tangent_dim,))))
    packet = Packet(
        z=_like((scenario.sigma.size,)),
        seen=_like((len(scenario.sensors),), jnp.bool_),
        u=_like((ticks, len(scenario.inputs))),
        dt=_like((ticks,)),
    )
    shapes = (jax.eval_shape(estimator.init, belief), packet)
    leaves, structure = jax.tree.flatten(shapes)

    def step(*arrays: jax.Array) -> list[jax.Array]:
        given = iter(arrays)
        full = [next(given) if a.size else jnp.zeros(a.shape, a.dtype) for a in leaves]
        carry, estimate = estimator.step(*jax.tree.unflatten(structure, full))
        found = [*jax.tree.leaves(carry), estimate.mean, estimate.cov]
        return [a for a in found if a is not None and a.size]

    return step, [a for a in leaves if a.size]


def compatibility(now: datetime) -> dict[str, str]:
    """Return when and by what a module was written, and how long jax promises to read it."""
    import jaxlib

    return {
        "written": now.isoformat(timespec="seconds"),
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "readable_until": (now + READABLE).date().isoformat(),
        "readable_by": f"jax not older than {(now - READABLE_BY_OLDER).date().isoformat()}",
        "note": "not an archive: keep the C, ONNX or numpy export too",
    }


def _like(shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _ports(names: list[str], avals: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": list(a.shape), "dtype": np.dtype(a.dtype).name}
        for name, a in zip(names, avals, strict=True)
    ]

"""The spec of an exported estimator, as plain JSON data."""

from __future__ import annotations

from typing import Any

import numpy as np

from kalmanrnn.core.environment import versions
from kalmanrnn.core.state_space import Block
from kalmanrnn.core.version import __version__
from kalmanrnn.deploy.ir.program import Port, Program
from kalmanrnn.scenarios.scenario import Scenario

FORMAT = 1
RADIANS = {"deg": "rad", "deg/s": "rad/s", "deg/h": "rad/s"}
FRAMES = {
    "world": "east, north, up",
    "body": "forward, left, up",
    "quaternion": "x, y, z, w; turns body axes into world axes",
    "units": "SI and radians",
}


def build_spec(
    scenario: Scenario, name: str, more: dict[str, Any], step: Program, init: Program
) -> dict[str, Any]:
    """Return what a user of an export must know about the scenario and the estimator."""
    return {
        "format": FORMAT,
        "kalmanrnn": __version__,
        "name": name,
        "scenario": {
            "name": scenario.name,
            "summary": scenario.summary,
            "constants": {key: float(v) for key, v in scenario.constants.items()},
        },
        **more,
        "blocks": [block_facts(scenario, block) for block in scenario.space.blocks],
        "state_dim": scenario.space.state_dim,
        "tangent_dim": scenario.space.tangent_dim,
        "identity": scenario.space.identity().tolist(),
        "initial_std": [float(s) for s in scenario.initial_std],
        "inputs": [{"name": c.name, "unit": c.unit} for c in scenario.inputs],
        "sensors": sensor_facts(scenario),
        "frames": FRAMES,
        "origin": origin_facts(scenario),
        "tick_hz": float(scenario.tick_hz),
        "event_hz": float(scenario.event_hz),
        "ports": {
            part.name: {
                "inputs": [port_facts(part, p) for p in part.inputs],
                "outputs": [port_facts(part, p) for p in part.outputs],
            }
            for part in (step, init)
        },
        "versions": versions(),
    }


def block_facts(scenario: Scenario, block: Block) -> dict[str, Any]:
    """Return a block's slices of state and tangent; `unit` is that of the exported numbers."""
    state, tangent = (
        scenario.space.state_slice(block.name),
        scenario.space.tangent_slice(block.name),
    )
    return {
        "name": block.name,
        "kind": block.kind,
        "size": block.state_size,
        "unit": "" if block.kind == "rotation" else RADIANS.get(block.unit, block.unit),
        "tangent_unit": RADIANS.get(block.unit, block.unit),
        "shown_in": block.unit,
        "state": [state.start, state.stop],
        "tangent": [tangent.start, tangent.stop],
        "side": block.side if block.kind == "rotation" else "",
    }


def sensor_facts(scenario: Scenario) -> list[dict[str, Any]]:
    """Return each sensor's columns of `z`, in the order of `seen`."""
    found = []
    for i, sensor in enumerate(scenario.sensors):
        columns = np.flatnonzero(scenario.sensor_of == i)
        found.append(
            {
                "name": sensor.name,
                "channels": [{"name": c.name, "unit": c.unit} for c in sensor.channels],
                "columns": [int(columns[0]), int(columns[-1]) + 1],
                "rate_hz": float(sensor.rate_hz),
                "offset_s": float(sensor.offset_s),
                "sigma": [float(s) for s in sensor.sigma],
                "angular": [bool(a) for a in scenario.angular[columns]],
                "reads": sensor.observes,
            }
        )
    return found


def origin_facts(scenario: Scenario) -> dict[str, Any] | None:
    """Return which numbers move with the world's origin.

    float32 resolves a centimetre up to 100 km: subtract a position near the robot from them in
    float64, and add it to the estimate.
    """
    if not scenario.origin:
        return None
    state = scenario.space.state_slice(scenario.origin)
    columns = scenario.origin_columns
    return {
        "block": scenario.origin,
        "state": [state.start, state.stop],
        "columns": [[int(c), int(columns[c])] for c in np.flatnonzero(columns >= 0)],
    }


def port_facts(program: Program, port: Port) -> dict[str, Any]:
    """Return a port's name, shape and type."""
    value = program.values[port.value]
    return {"name": port.name, "shape": list(value.shape), "dtype": value.dtype}

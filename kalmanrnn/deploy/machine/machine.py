"""An estimator as two programs and a spec, from which every format of an export is made.

The step takes the carry, `z`, `seen`, `u`, `dt` and returns the new carry, `mean` and, from
filters, `cov`; the init takes `mean` and `cov` and returns the first carry. Empty arrays have no
port.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Belief, Estimator, Packet
from kalmanrnn.core.errors import UsageError
from kalmanrnn.deploy.ir.program import Program
from kalmanrnn.deploy.ir.tracing import trace
from kalmanrnn.deploy.machine.cost import estimate_flops
from kalmanrnn.deploy.machine.facts import build_spec
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.models.student import Normaliser, Student, estimator
from kalmanrnn.scenarios.scenario import Scenario

PACKET = ("z", "seen", "u", "dt")


class Machine(NamedTuple):
    """An estimator ready to be written in any format.

    step, init: its programs. spec: `facts.build_spec`, plain JSON data.
    """

    name: str
    step: Program
    init: Program
    spec: dict[str, Any]


class Source(NamedTuple):
    """What a machine is traced from: weights by name, and a function of them to an estimator."""

    weights: dict[str, Any]
    estimator_of: Callable[[dict[str, Any]], Estimator]
    facts: dict[str, Any]


def trace_estimator(
    what: Student | str,
    scenario: Scenario,
    *,
    params: Any = None,
    norm: Normaliser | None = None,
    max_ticks: int | None = None,
    fold: bool = True,
) -> Machine:
    """Trace a student with its parameters and normaliser, or the filter "ekf" or "ukf".

    max_ticks: the most ticks between two events, the scenario's own number if not given.
    fold: False keeps every operation as traced. UserError where a primitive of the scenario
    cannot be exported.
    """
    source = _filter_source(what, scenario) if isinstance(what, str) else None
    if source is None:
        source = _student_source(what._replace(scenario=scenario), params, norm)  # pyright: ignore
    ticks = max_ticks or source.facts.get("max_ticks") or scenario.ticks_per_event
    kind = source.facts["estimator"]
    name = f"{scenario.name}_{source.facts['student']['student'] if kind == 'student' else kind}"
    packet, belief = _shapes(scenario, ticks)
    with jax.enable_x64(False):
        carry = jax.eval_shape(lambda w, b: source.estimator_of(w).init(b), source.weights, belief)
    leaves, tree = jax.tree_util.tree_flatten_with_path(carry)
    names = [carry_name(path, filtering=kind != "student") for path, _ in leaves]
    examples = {n: leaf for n, (_, leaf) in zip(names, leaves, strict=True)}
    outputs = [*names, "mean"] + ["cov"] * (kind != "student")

    def step(*arrays):
        weights, arrays = _weights_first(source, arrays)
        carry = jax.tree.unflatten(tree, arrays[: len(leaves)])
        carry, estimate = source.estimator_of(weights).step(carry, Packet(*arrays[len(leaves) :]))
        return (
            *jax.tree.leaves(carry),
            estimate.mean,
            *([estimate.cov] if kind != "student" else []),
        )

    def init(*arrays):
        weights, arrays = _weights_first(source, arrays)
        return jax.tree.leaves(source.estimator_of(weights).init(Belief(*arrays)))

    given = examples | dict(zip(PACKET, packet, strict=True))
    programs = (
        trace(step, "step", given, outputs, weights=source.weights, counted="dt", fold=fold),
        trace(init, "init", belief._asdict(), names, weights=source.weights, fold=fold),
    )
    facts = source.facts | {"max_ticks": ticks, "carry": [n for n in names if examples[n].size]}
    facts["weights"] = {"count": _count(source.weights), "sha256": weights_digest(source.weights)}
    facts["multiply_adds_per_event"] = estimate_flops(programs[0])
    return Machine(name, *programs, build_spec(scenario, name, facts, *programs))


def _weights_first(source: Source, arrays: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    return (arrays[0], arrays[1:]) if source.weights else ({}, arrays)


def _filter_source(kind: str, scenario: Scenario) -> Source:
    if kind not in FILTERS:
        raise UsageError(
            f"there is no estimator {kind!r} to export",
            why=f"it must be the student of a run, or one of {', '.join(FILTERS)}",
            cure="--estimator ekf, or the folder of a run",
        )
    return Source({}, lambda weights: FILTERS[kind](scenario), {"estimator": kind, "student": None})


def _student_source(student: Student, params: Any, norm: Normaliser | None) -> Source:
    assert params is not None, "a student comes with its params and norm"
    assert norm is not None
    leaves, tree = jax.tree_util.tree_flatten_with_path((params, norm))
    names = [weight_name(path) for path, _ in leaves]
    weights = {n: np.asarray(leaf, np.float32) for n, (_, leaf) in zip(names, leaves, strict=True)}
    assert len(weights) == len(leaves), names

    def estimator_of(weights):
        params, norm = jax.tree.unflatten(tree, [weights[n] for n in names])
        return estimator(student, params, norm)

    facts: dict[str, Any] = {"estimator": "student", "student": asdict(student.config)}
    facts["normalisation"] = {k: np.asarray(v, float).tolist() for k, v in norm._asdict().items()}
    if student.config.every == "tick":
        facts["max_ticks"] = 1
    return Source(weights, estimator_of, facts)


def _shapes(scenario: Scenario, ticks: int) -> tuple[Packet, Belief]:
    """Return the types of a packet and a belief."""

    def floats(*shape):
        return jax.ShapeDtypeStruct(shape, np.float32)

    seen = jax.ShapeDtypeStruct((len(scenario.sensors),), np.bool_)
    packet = Packet(
        floats(scenario.sigma.size), seen, floats(ticks, len(scenario.inputs)), floats(ticks)
    )
    d = scenario.space.tangent_dim
    return packet, Belief(floats(scenario.space.state_dim), floats(d, d))


def carry_name(path: Any, *, filtering: bool) -> str:
    """Name a leaf of a carry: `x`, `memory_0_h`; a filter's are `state_mean` and `state_cov`."""
    parts = [str(getattr(p, "name", getattr(p, "idx", getattr(p, "key", p)))) for p in path]
    if parts[0] == "memory":
        parts[-1] = "hc"[int(parts[-1])]
    return "_".join(["state"] * filtering + parts)


def weight_name(path: Any) -> str:
    """Name a leaf of (params, normaliser): `layers.0.x_map.kernel`, `norm.output_std`."""
    first, *rest = path
    parts = [str(getattr(p, "name", getattr(p, "key", getattr(p, "idx", p)))) for p in rest]
    parts = [part.strip(".") for part in parts if part.strip(".") not in ("value", "raw_value")]
    return ".".join(["norm"] * (first.idx == 1) + parts)


def weights_digest(weights: dict[str, Any]) -> str:
    """Return the sha256 of names, shapes and float32 numbers."""
    found = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], "<f4")
        found.update(f"{name}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def _count(weights: dict[str, Any]) -> int:
    return sum(int(np.size(a)) for a in weights.values())

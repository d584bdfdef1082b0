"""Cost of an export on this machine beside the filters of its scenario: time, bytes, operations.

All C comes from one generator, is compiled alike, and replays the export's own test vectors.
"""

from __future__ import annotations

import platform
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError
from kalmanrnn.deploy.c import compiled, source_files
from kalmanrnn.deploy.c.sizes import carry_of, identifier, sizes_of, target_of, with_target
from kalmanrnn.deploy.machine.machine import Machine, trace_estimator
from kalmanrnn.deploy.options import PORTABLE, C
from kalmanrnn.deploy.verification.backends import load_machine
from kalmanrnn.deploy.verification.checks import VECTORS, FormatCheck, format_checks
from kalmanrnn.deploy.verification.replay import (
    OPTIONS,
    Events,
    compile_replay,
    events_from_vectors,
    run_replay,
    run_tool,
)
from kalmanrnn.deploy.verification.test_vectors import load_vectors
from kalmanrnn.scenarios.scenario import Scenario

SECONDS = 1.5
FILTERS = ("ekf", "ukf")


class Cost(NamedTuple):
    """Cost of one estimator, compiled here.

    fastest_us, median_us: per event, each segment of events at its fastest or median lap. code,
    weights, state, stack: bytes; the stack is an estimate. multiply_adds: of a full event,
    estimated. refused: events that returned an error status instead of an estimate. cov: whether
    estimates come with a covariance.
    """

    name: str
    fastest_us: float
    median_us: float
    code: int
    weights: int
    state: int
    stack: int
    multiply_adds: int
    refused: int
    cov: bool


class CostComparison(NamedTuple):
    """Costs of an export and of the filters it may replace, measured in one run.

    costs: the export's own first; empty where `missing` says why. ticks: per event, mean.
    """

    costs: tuple[Cost, ...]
    events: int
    ticks: float
    machine: str
    compiler: str
    missing: str = ""
    target: str = PORTABLE


def compare_costs(
    folder: Path,
    scenario: Scenario,
    *,
    seconds: float = SECONDS,
    float_machine: Machine | None = None,
) -> CostComparison:
    """Compile an export's C and that of its scenario's filters, and time each for `seconds`.

    float_machine: the same student with float32 weights, timed beside it.
    """
    machine, vectors = load_machine(folder), load_vectors(folder / VECTORS)
    events = events_from_vectors(vectors)
    none = CostComparison((), len(events.z), float(events.ticks.mean()), _processor(), "")
    none = none._replace(target=target_of(machine))
    if not (folder / C).is_dir():
        return none._replace(missing="this export has no C")
    others = [kind for kind in FILTERS if kind != machine.spec["estimator"]]
    try:
        none = none._replace(
            compiler=f"{_compiler_version(compiled.find_compiler())}, {' '.join(OPTIONS)}"
        )
        with tempfile.TemporaryDirectory(prefix="kalmanrnn-") as work:
            own = shutil.copytree(folder / C, Path(work) / "own")
            costs = [measure_cost(machine, own, events, seconds=seconds)]
            if float_machine is not None:
                source_files.write_sources(float_machine, Path(work) / "floats")
                found = measure_cost(float_machine, Path(work) / "floats", events, seconds=seconds)
                costs.append(found._replace(name=f"{found.name} in float32"))
            for kind in others:
                other = trace_estimator(kind, scenario, max_ticks=machine.spec["max_ticks"])
                source_files.write_sources(
                    with_target(other, target_of(machine)), Path(work) / kind
                )
                costs.append(measure_cost(other, Path(work) / kind, events, seconds=seconds))
    except UserError as problem:
        return none._replace(missing=f"{problem.what}: {problem.why}")
    return none._replace(costs=tuple(costs))


def measure_cost(
    machine: Machine,
    folder: Path,
    events: Events,
    *,
    seconds: float = SECONDS,
    options: Sequence[str] = OPTIONS,
) -> Cost:
    """Compile a machine's C with a replay, run it, and measure its size."""
    name = identifier(machine.name)
    program = compile_replay(machine, folder, events, options)
    laps, refused = run_replay(program, events, seconds)
    return Cost(
        name=machine.spec["estimator"],
        fastest_us=float(laps.min(axis=0).sum()) / len(events.z) / 1e3,
        median_us=float(np.median(laps, axis=0).sum()) / len(events.z) / 1e3,
        code=_text_size(folder / f"{name}.o"),
        weights=_text_size(folder / f"{name}_weights.o") * bool(machine.spec["weights"]["count"]),
        state=4 * sum(size for _, size in carry_of(machine)),
        stack=_stack_estimate(folder / f"{name}.h"),
        multiply_adds=int(machine.spec["multiply_adds_per_event"]),
        refused=refused,
        cov=sizes_of(machine).cov,
    )


def format_report(found: CostComparison, checks: Sequence[FormatCheck]) -> str:
    """Return REPORT.md: what was verified, and what it costs, whichever is cheaper."""
    verification = "\n".join(["## Verification", "", "```text", format_checks(list(checks)), "```"])
    if found.missing:
        return f"# Report\n\n{verification}\n\n## Cost\n\nNot measured: {found.missing}.\n"
    head = "| | µs an event | median | code | weights | state | stack | multiply-adds |"
    rows = [head, "|---" * 8 + "|", *(_row(c) for c in found.costs)]
    rows.append("")
    rows.append(
        f"The C of this export and of the filters, all from one generator, replayed {found.events} "
        f"events of {found.ticks:.3g} ticks on average, on one core with warm caches: each segment "
        f"of events at its fastest lap, then at its median lap. Sizes in bytes; stack and "
        f"multiply-adds are estimates. {found.machine}; {found.compiler}."
    )
    lines = [_compare_line(found.costs[0], other) for other in found.costs[1:]]
    refused = [
        f"- The {_display_name(c.name)} refused {c.refused} of {found.events} events."
        for c in found.costs
        if c.refused
    ]
    only = " and the ".join(sorted(_display_name(c.name) for c in found.costs if c.cov))
    silent = [f"- Estimates of the {only} have a covariance; the student gives none."]
    silent *= not all(c.cov for c in found.costs)
    other = [
        f"- All loops were written for a {found.target}; only their time there matters. Elsewhere "
        "an export with `--target portable` is faster."
    ]
    other *= found.target != PORTABLE
    body = "\n".join(["## Cost", "", *rows, "", *other, *lines, *silent, *refused])
    return f"# Report\n\n{verification}\n\n{body}\n"


def _row(c: Cost) -> str:
    sizes = " | ".join(f"{n:,}" for n in (c.code, c.weights, c.state, c.stack, c.multiply_adds))
    return f"| {_display_name(c.name)} | {c.fastest_us:.3g} | {c.median_us:.3g} | {sizes} |"


def _compare_line(own: Cost, other: Cost) -> str:
    """Return which takes longer and which is larger; within a tenth they are equal."""
    mine, its = _display_name(own.name), _display_name(other.name)
    ratio = other.fastest_us / own.fastest_us
    if ratio > 1.1:
        time = f"the {its} takes {ratio:.3g} times as long as the {mine}"
    elif ratio < 1 / 1.1:
        time = f"the {mine} takes {1 / ratio:.3g} times as long as the {its}: the {its} is cheaper"
    else:
        time = f"the {mine} and the {its} take the same time within a tenth"
    large = (own.code + own.weights) / (other.code + other.weights)
    size = f"the {mine} takes {large:.2g} times the flash of the {its}"
    if large < 1:
        size = f"the {its} takes {1 / large:.2g} times the flash of the {mine}"
    return f"- On this machine {time}; {size}."


def _display_name(kind: str) -> str:
    return kind.upper() if kind in FILTERS else kind


def _stack_estimate(header: Path) -> int:
    """Read the stack estimate from the header's comment."""
    found = re.search(r"stack about\D+(\d+)", header.read_text(encoding="utf-8"))
    assert found is not None, header
    return int(found[1])


def _text_size(objects: Path) -> int:
    """Return the bytes of code and constants in an object file."""
    size = shutil.which("size")
    if not size:
        raise UserError("there is no `size`", why="it comes with the compiler", cure="binutils")
    return int(run_tool([size, str(objects)], objects.name).splitlines()[1].split()[0])


def _compiler_version(compiler: str) -> str:
    return run_tool([compiler, "--version"], "--version").splitlines()[0]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()

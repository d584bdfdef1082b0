"""Export an estimator: every format beside the vectors that verify it, all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax

from kalmanrnn.core.datatypes import Estimator
from kalmanrnn.core.errors import DATA, UsageError, UserError
from kalmanrnn.deploy.c import misra, source_files
from kalmanrnn.deploy.c.packaging import render_readme
from kalmanrnn.deploy.c.selftest import record_selftest
from kalmanrnn.deploy.c.sizes import with_target
from kalmanrnn.deploy.int8.evaluate import QuantisationResult, format_errors, quantise_within
from kalmanrnn.deploy.int8.quantise import check_weights, with_scales
from kalmanrnn.deploy.machine import archive
from kalmanrnn.deploy.machine.machine import Machine, trace_estimator
from kalmanrnn.deploy.options import (
    FORMATS,
    INT8_LIMIT,
    ONNX,
    STABLEHLO,
    TARGETS,
    WEIGHTS,
    C,
    Target,
    Weights,
)
from kalmanrnn.deploy.verification import test_vectors
from kalmanrnn.deploy.verification.benchmark import compare_costs, format_report
from kalmanrnn.deploy.verification.checks import VECTORS, FormatCheck, format_checks, verify
from kalmanrnn.deploy.verification.sequence_features import add_features, has_sequence_model
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.models.student import estimator as student_estimator
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training.trained import TrainedStudent

VERIFIED = "verified.json"


class Subject(NamedTuple):
    """What is exported: its programs, how jax makes it, and the scenario it is for.

    trained: the student, None for a filter. quantised: what int8 weights cost it, None for
    float32; float_machine: then the student with its own weights.
    """

    machine: Machine
    make: Callable[[], Estimator]
    scenario: Scenario
    trained: TrainedStudent | None = None
    quantised: QuantisationResult | None = None
    float_machine: Machine | None = None


def export(
    estimator: TrainedStudent | str,
    folder: str | Path,
    *,
    scenario: Scenario | None = None,
    formats: Sequence[str] = FORMATS,
    max_ticks: int | None = None,
    weights: Weights = "float32",
    int8_limit: float = INT8_LIMIT,
    target: Target = "portable",
    quiet: bool = False,
) -> list[FormatCheck]:
    """Write an estimator as code for a robot into a new folder, and verify every format.

    estimator: a trained student, or the filter "ekf" or "ukf" of `scenario`. formats: some of
    "numpy", "c", "onnx", "stablehlo"; weights, spec and the numpy runtime are always written.
    max_ticks: the most ticks between two events, as in simulation if not given. weights: "int8"
    rounds a student's matrices. int8_limit: the largest ratio of int8 to float32 error allowed
    in any state group, on simulated test drives. target: "portable" or "cortex-m", the
    processor the C loops are written for. quiet: prints no progress to stderr.

    Returns one check per format. Raises UserError, and leaves no folder, for an option that
    does not fit, a part of the scenario that cannot be exported, or a format that differs.
    """
    out = Path(folder)
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    is_filter = isinstance(estimator, str)
    check_options(formats, max_ticks=max_ticks, weights=weights, target=target)
    check_weights(weights, estimator if is_filter else "student", int8_limit)
    check_folder(out)
    if is_filter != (scenario is not None):
        raise UsageError(
            f"the filter {estimator} needs a scenario" if is_filter else "a student has a scenario",
            why="a filter uses the scenario it is given, a student the one it was trained on",
            cure='export("ekf", folder, scenario=scenario), or export(student, folder)',
        )
    if not quiet:
        name = estimator if isinstance(estimator, str) else "student"
        print(f"exporting the {name} and verifying it", file=sys.stderr)
    if isinstance(estimator, str):
        assert scenario is not None
        machine = trace_estimator(estimator, scenario, max_ticks=max_ticks)
        make = partial(FILTERS[estimator], scenario)
        return write_export(Subject(with_target(machine, target), make, scenario), out, formats)
    quantised = None
    if weights == "int8":
        config = estimator.config
        quantised = quantise_within(estimator, config.data, config.train.seed, int8_limit)
    subject = trace_student(estimator, quantised, max_ticks=max_ticks, target=target)
    return write_export(subject, out, formats)


def trace_student(
    trained: TrainedStudent,
    quantised: QuantisationResult | None,
    *,
    max_ticks: int | None,
    target: Target,
) -> Subject:
    """Trace a student, or what its quantisation gave."""
    scenario = trained.student.scenario

    def traced(which: TrainedStudent) -> Machine:
        student, params, norm = which.student, which.params, which.norm
        machine = trace_estimator(student, scenario, params=params, norm=norm, max_ticks=max_ticks)
        return with_target(machine, target)

    chosen = quantised.trained if quantised else trained
    machine, float_machine = traced(chosen), None
    if quantised:
        machine, float_machine = with_scales(machine, quantised.scales), traced(trained)
    make = partial(student_estimator, chosen.student, chosen.params, chosen.norm)
    return Subject(machine, make, scenario, chosen, quantised, float_machine)


def write_export(subject: Subject, out: Path, formats: Sequence[str]) -> list[FormatCheck]:
    """Write a folder and verify it; UserError, and no folder, where a format differs."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        _write_formats(subject, part, formats)
        checks = verify(part)
        wrong = [c for c in checks if c.passed is False]
        if wrong:
            raise UserError(
                f"{', '.join(c.backend for c in wrong)} differs from jax",
                why="; ".join(f"{c.port} is off by {c.worst:.3g} times its limit" for c in wrong),
                cure="leave that format out with --format, and report it; nothing was written",
                code=DATA,
            )
        (part / "VERIFIED.txt").write_text(format_checks(checks) + "\n")
        (part / "README.md").write_text(_render_readme(subject, formats), encoding="utf-8")
        if C in formats:
            costs = compare_costs(part, subject.scenario, float_machine=subject.float_machine)
            report = format_report(costs, checks)
            report += f"\n{format_errors(subject.quantised)}" if subject.quantised else ""
            (part / "REPORT.md").write_text(report, encoding="utf-8")
        facts = {"checks": [c._asdict() for c in checks], "name": subject.machine.name}
        (part / VERIFIED).write_text(json.dumps(facts, indent=1) + "\n")
        part.rename(out)
        return checks
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_options(
    formats: Sequence[str], *, max_ticks: int | None, weights: str, target: str
) -> None:
    """Refuse options that do not exist."""
    choices = [("format", name, FORMATS) for name in formats]
    choices += [("weights", weights, WEIGHTS), ("target", target, TARGETS)]
    for option, given, known in choices:
        if given not in known:
            raise UsageError(
                f"unknown {option} {given!r}",
                why=f"it must be one of {', '.join(known)}",
                cure=f"--{option} {known[0]}",
            )
    if max_ticks is not None and max_ticks < 1:
        raise UsageError(
            f"--max-ticks must be positive, got {max_ticks}",
            why="it is the most ticks between two events",
            cure="leave it out, for as many as in simulation",
        )


def check_folder(out: Path) -> None:
    """Refuse a folder that exists or cannot be made."""
    if out.exists():
        raise UsageError(
            f"{out} already exists",
            why="an export never overwrites another",
            cure=f"--out {out}-2",
        )
    if not out.absolute().parent.is_dir():
        raise UsageError(
            f"there is no folder {out.parent}",
            why="the export's folder is made in it",
            cure=f"mkdir -p {out.parent}",
        )


def _write_formats(subject: Subject, folder: Path, formats: Sequence[str]) -> None:
    """Write test vectors and formats into a new folder."""
    machine, make, scenario, trained = subject[:4]
    folder.mkdir()
    vectors = test_vectors.record_vectors(machine, make, scenario)
    sequence = trained if trained and has_sequence_model(trained.student) else None
    if sequence:
        vectors = add_features(vectors, sequence)
    test_vectors.save_vectors(folder / VECTORS, vectors)
    archive.write_archive(machine, folder)
    if C in formats:
        drives = test_vectors.simulate_drives(scenario, machine.spec["max_ticks"], 0)
        first = jax.tree.map(lambda a: a[0], drives._replace(truth=None))
        source_files.write_sources(machine, folder / C, record_selftest(make(), first))
    if ONNX in formats:
        from kalmanrnn.deploy.onnx.model import write_onnx
        from kalmanrnn.deploy.onnx.sequence_model import write_sequence

        write_onnx(machine, folder / ONNX)
        if sequence:
            student, params, norm = sequence.student, sequence.params, sequence.norm
            write_sequence(machine.name, student, params, norm, machine.spec, folder / ONNX)
    if STABLEHLO in formats:
        from kalmanrnn.deploy.stablehlo import write_stablehlo

        write_stablehlo(machine, make(), scenario, folder / STABLEHLO)


def _render_readme(subject: Subject, formats: Sequence[str]) -> str:
    """Return the folder's README: what is in it and how to use it."""
    summary = subject.machine.spec["scenario"]["summary"]
    parts = [
        f"""# {subject.machine.name}

{summary}. Written by kalmanrnn.

- `VERIFIED.txt`: how each format compared with jax. `REPORT.md`: what it costs.
- `runtime.py` runs the estimator with numpy alone: `load(folder)`, then `init(mean)` and
  `step(z, seen, u, dt)`. Together with `spec.json` and `weights.npz` it is the archive.
"""
    ]
    if C in formats:
        parts += [render_readme(subject.machine), misra.render_readme()]
    return "\n".join(parts)

"""Write an export: every form beside what proves it, all of it or nothing.

The folder is made beside its place and renamed only after every form has been verified.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax

from kalmanrnn.core.datatypes import Estimator
from kalmanrnn.core.errors import DATA, USAGE, UserError
from kalmanrnn.deploy.c import misra, source_files
from kalmanrnn.deploy.c.names import PORTABLE
from kalmanrnn.deploy.c.packaging import render_readme
from kalmanrnn.deploy.c.selftest import record_selftest as record_selftest
from kalmanrnn.deploy.c.sizes import with_target
from kalmanrnn.deploy.int8.evaluate import QuantisationResult, format_errors
from kalmanrnn.deploy.int8.quantise import with_scales
from kalmanrnn.deploy.machine import archive
from kalmanrnn.deploy.machine.machine import Machine, trace_estimator
from kalmanrnn.deploy.verification import test_vectors
from kalmanrnn.deploy.verification.backends import FORMATS, ONNX, STABLEHLO, C
from kalmanrnn.deploy.verification.benchmark import compare_costs, format_report
from kalmanrnn.deploy.verification.checks import VECTORS, FormatCheck, format_checks, verify
from kalmanrnn.deploy.verification.sequence_features import add_features, has_sequence_model
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.models.student import estimator as student_estimator
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.training.trained import TrainedStudent

VERIFIED = "verified.json"


class Subject(NamedTuple):
    """What is exported: its machine, how jax makes it, the robot it is for.

    trained: the student that it is, None for a filter. judged: what int8 weights cost it, None
    for float32; floats: then the machine of the student as it was.
    """

    machine: Machine
    make: Callable[[], Estimator]
    scenario: Scenario
    trained: TrainedStudent | None = None
    quantised: QuantisationResult | None = None
    floats: Machine | None = None


def subject_of(
    scenario: Scenario,
    trained: TrainedStudent | None,
    kind: str,
    max_ticks: int | None,
    *,
    target: str = PORTABLE,
    judged: QuantisationResult | None = None,
) -> Subject:
    """Trace a run's student, or a filter of its scenario by name.

    target: the processor that the C's loops are for. judged: the student with int8 weights,
    which then is the one exported.
    """
    if kind != "student":
        machine = with_target(trace_estimator(kind, scenario, max_ticks=max_ticks), target)
        return Subject(machine, lambda: FILTERS[kind](scenario), scenario)
    assert trained is not None

    def traced(which: TrainedStudent) -> Machine:
        student, params, norm = which.student, which.params, which.norm
        made = trace_estimator(student, scenario, params=params, norm=norm, max_ticks=max_ticks)
        return with_target(made, target)

    chosen = judged.trained if judged else trained
    machine, floats = traced(chosen), None
    if judged:
        machine, floats = with_scales(machine, judged.scales), traced(trained)
    student, params, norm = chosen.student, chosen.params, chosen.norm
    make = partial(student_estimator, student, params, norm)
    return Subject(machine, make, scenario, chosen, judged, floats)


def write_export(subject: Subject, out: Path, formats: Sequence[str]) -> list[FormatCheck]:
    """Write an export's folder and verify it; UserError, and no folder, where a form differs."""
    check_options(out, formats)
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        _write_formats(subject, beside, formats)
        checks = verify(beside)
        wrong = [c for c in checks if c.passed is False]
        if wrong:
            raise UserError(
                f"{', '.join(c.backend for c in wrong)} does not do what jax does",
                why="; ".join(f"{c.port} is {c.worst:.3g} times its limit off" for c in wrong),
                cure="nothing was kept; leave that form out with --format, and report it",
                code=DATA,
            )
        (beside / "VERIFIED.txt").write_text(format_checks(checks) + "\n")
        (beside / "README.md").write_text(_render_readme(subject, formats), encoding="utf-8")
        if C in formats:
            costs = format_report(
                compare_costs(beside, subject.scenario, floats=subject.floats), checks
            )
            costs += f"\n{format_errors(subject.quantised)}" if subject.quantised else ""
            (beside / "REPORT.md").write_text(costs, encoding="utf-8")
        facts = {"checks": [c._asdict() for c in checks], "name": subject.machine.name}
        (beside / VERIFIED).write_text(json.dumps(facts, indent=1) + "\n")
        beside.rename(out)
        return checks
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _render_readme(subject: Subject, formats: Sequence[str]) -> str:
    """Say what lies in the folder and how to use it."""
    spec = subject.machine.spec
    parts = [
        f"# {subject.machine.name}\n\n{spec['scenario']['summary']}. Written by kalmanrnn; "
        "`VERIFIED.txt` says how it was compared with jax, `REPORT.md` what it costs. "
        "`runtime.py` runs it with numpy alone: `load(folder)`, then `init(mean)` and "
        "`step(z, seen, u, dt)`; it, `spec.json` and `weights.npz` are the archive.\n"
    ]
    if C in formats:
        parts += [render_readme(subject.machine), misra.render_readme()]
    return "\n".join(parts)


def check_options(out: Path, formats: Sequence[str]) -> None:
    """Refuse an unknown form and a folder that is there."""
    for name in formats:
        if name not in FORMATS:
            raise UserError(
                f"there is no form {name!r}",
                why=f"the forms are {', '.join(FORMATS)}",
                cure=f"--format {' '.join(FORMATS)}",
                code=USAGE,
            )
    if out.exists():
        raise UserError(
            f"{out} exists already",
            why="an export never writes over another",
            cure=f"--out {out}-2",
            code=USAGE,
        )
    if not out.absolute().parent.is_dir():
        raise UserError(
            f"there is no folder {out.parent}",
            why="the export's folder is made in it",
            cure=f"mkdir -p {out.parent}",
            code=USAGE,
        )


def _write_formats(subject: Subject, folder: Path, formats: Sequence[str]) -> None:
    """Write vectors and all forms into a new folder; the archive and numpy come always."""
    machine, make, scenario, trained = subject[:4]
    folder.mkdir()
    recorded = test_vectors.record_vectors(machine, make, scenario)
    sequence = trained if trained and has_sequence_model(trained.student) else None
    if sequence:
        recorded = add_features(recorded, sequence)
    test_vectors.save_vectors(folder / VECTORS, recorded)
    archive.write_archive(machine, folder)
    if C in formats:
        drives = test_vectors.simulate_drives(scenario, machine.spec["max_ticks"], 0)
        first = jax.tree.map(lambda a: a[0], drives._replace(truth=None))
        source_files.write_sources(machine, folder / C, record_selftest(make(), first))
    if ONNX in formats:
        from kalmanrnn.deploy.onnx.model import write_onnx
        from kalmanrnn.deploy.onnx.sequence_model import write_sequence

        (folder / ONNX).mkdir()
        write_onnx(machine, folder / ONNX)
        if sequence:
            student, params, norm = sequence.student, sequence.params, sequence.norm
            write_sequence(machine.name, student, params, norm, machine.spec, folder / ONNX)
    if STABLEHLO in formats:
        from kalmanrnn.deploy.stablehlo import write_stablehlo

        (folder / STABLEHLO).mkdir()
        write_stablehlo(machine, make(), scenario, folder / STABLEHLO)

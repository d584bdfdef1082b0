"""What an event costs in exported C: students of five sizes beside the EKF and UKF, on one core.

All C is compiled with -O3 -march=native and replays the same drives of imu_gps; students have
random weights, for the time does not depend on them. The filters are general ones, with dense
Jacobians: an EKF written by hand for this one robot could leave out their zeros. The network
alone is compared with onnxruntime and a kernel by hand, a student with filterpy's UKF.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import common
import export_core
import jax
import numpy as np
from step_latency import filterpy_lap, one_drive

from kalmanrnn.core.config import DataConfig, StudentConfig
from kalmanrnn.core.datatypes import Estimator
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.teacher_runs import TeacherRun, run_teacher
from kalmanrnn.deploy.c import source_files
from kalmanrnn.deploy.int8.quantise import quantise_weights, with_scales
from kalmanrnn.deploy.machine.machine import Machine, trace_estimator
from kalmanrnn.deploy.verification.replay import (
    OPTIONS,
    Events,
    compile_replay,
    events_from_drives,
    run_replay,
)
from kalmanrnn.deploy.verification.test_vectors import simulate_drives
from kalmanrnn.models.student import estimator, make_student
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.simulation import simulate_batch

QUESTION = "Time of an event of imu_gps in exported C, the UKF : the gain student of 64 units"
SIZES = {"32": (32, 1), "64": (64, 1), "128": (128, 1), "2 x 64": (64, 2), "256": (256, 1)}
TICKS = (1, 2, 5, 10, 20)
# What is computed stays within the export's limits; the UKF gains most.
MORE_OPTIONS = ("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")


class Ready(NamedTuple):
    """A machine and the compiled program that replays events through it."""

    machine: Machine
    program: Path


Replays = dict[str, Ready]


def teacher_run_of(scenario: Scenario) -> TeacherRun:
    """Let the teacher run over a few drives, to fit scales on."""
    drives = jax.block_until_ready(simulate_batch(scenario, jax.random.key(0), 4, 20.0))
    return run_teacher(scenario, DataConfig(check_segments=0), drives, every="event", seed=0)


def student_of(
    scenario: Scenario,
    teacher_run: TeacherRun,
    hidden: int,
    layers: int,
    *,
    weights: str = "float32",
) -> tuple[Machine, Estimator]:
    """Trace a `gain` student of that size with random weights, its scales fitted."""
    student, params = make_student(scenario, StudentConfig(hidden=hidden, layers=layers), seed=0)
    norm = fit_normaliser(student, teacher_run.drives, teacher_run.run, 0)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 1e-3 * rng.standard_normal(a.shape, np.float32), params)
    scales = {}
    if weights == "int8":
        params, scales = quantise_weights(params, {})
    machine = trace_estimator(student, scenario, params=params, norm=norm)
    machine = with_scales(machine, scales) if scales else machine
    return machine, estimator(student, params, norm)


def replays_of(scenario: Scenario, events: Events, folder: Path) -> Replays:
    """Emit and compile every estimator; return its replay by name."""
    teacher_run = teacher_run_of(scenario)
    made: Replays = {}
    for name in (*SIZES, "EKF", "UKF"):
        machine = (
            student_of(scenario, teacher_run, *SIZES[name])[0]
            if name in SIZES
            else trace_estimator(name.lower(), scenario)
        )
        place = folder / name.replace(" ", "")
        source_files.write_sources(machine, place)
        made[name] = Ready(machine, compile_replay(machine, place, events))
    return made


def microseconds(made: Replays, events: Events, rounds: int, seconds: float) -> dict[str, Any]:
    """Return each estimator's microseconds an event `[rounds]`; they take turns.

    Within a turn every stretch of 16 events counts at its fastest lap, so that what else the
    machine does is left out.
    """
    took: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, (_, program) in made.items():
            laps, refused = run_replay(program, events, seconds)
            assert not refused, (name, refused)
            took[name].append(laps.min(axis=0).sum() / len(events.z) / 1e3)
    return {name: np.array(each) for name, each in took.items()}


def tell_options(made: Replays, events: Events, rounds: int, seconds: float) -> dict[str, Any]:
    """Time everyone again, compiled with what the filters gain most from."""
    again: Replays = {}
    for name, (machine, program) in made.items():
        place = Path(shutil.copytree(program.parent, f"{program.parent}-again"))
        options = (*OPTIONS, *MORE_OPTIONS)
        again[name] = Ready(machine, compile_replay(machine, place, events, options))
    us = microseconds(again, events, rounds, seconds)
    print(f"\n{TICKS[-1]} ticks an event, us, with {' '.join(MORE_OPTIONS)} too:")
    tell_students(us)
    return {name: common.spread(each)._asdict() for name, each in us.items()}


def tell_students(us: dict[str, Any]) -> list[tuple[str, str]]:
    """Print all times, and the filters' by each student's; return (student, filter) if slower."""
    slower = []
    for name, each in us.items():
        against = {kind: np.median(us[kind] / each) for kind in ("EKF", "UKF")}
        ratios = ", ".join(f"{kind} : it {ratio:.2f}" for kind, ratio in against.items())
        print(f"  {name}: {common.spread(each)}  {ratios if name in SIZES else ''}".rstrip())
        slower += [(name, kind) for kind, r in against.items() if name in SIZES and r < 1]
    return slower


def measure_core(laps: int) -> dict[str, Any]:
    """Time the network alone: generated, by hand, through onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        took = export_core.take_times(Path(folder), laps)
    results = {name: common.spread(ns) for name, ns in took._asdict().items()}
    print("One LSTM layer of 64 with its head, ns a step:")
    for name, each in results.items():
        print(f"  {name.replace('_', ' ')}: {each}")
    ratios = {
        "onnxruntime, called from Python : generated": [
            results["onnxruntime"].median / results["generated"].median,
            results["onnxruntime"].low / results["generated"].low,
        ],
        "generated : by hand": [
            results["generated"].median / results["by_hand"].median,
            results["generated"].low / results["by_hand"].low,
        ],
    }
    for name, (median, fastest) in ratios.items():
        print(f"  {name} {median:.2f} (fastest to fastest {fastest:.2f})")
    return {"ns": {k: v._asdict() for k, v in results.items()}, "ratios": ratios}


def tell_ticks(made: Replays, events: Events, rounds: int, seconds: float) -> dict[str, Any]:
    """Time everyone at fewer and fewer ticks an event, and say where a student loses."""
    results: dict[str, Any] = {}
    slower = []
    for ticks in TICKS:
        cut = events._replace(ticks=np.minimum(events.ticks, ticks).astype(np.int32))
        us = microseconds(made, cut, rounds, seconds)
        results[str(ticks)] = {name: common.spread(each)._asdict() for name, each in us.items()}
        print(f"\n{ticks} ticks an event, us:")
        slower += [f"{name} at {ticks} ({kind})" for name, kind in tell_students(us)]
    print(f"\nstudents slower than a filter, at how many ticks: {', '.join(slower) or 'none'}")
    return {"us": results, "slower": slower}


def filterpy_us(scenario: Scenario, rounds: int) -> common.Spread:
    """Return the microseconds of an event in filterpy's UKF with numpy models."""
    import numpy_imu_gps as twin

    events = 2
    drive = one_drive(simulate_batch(scenario, jax.random.key(0), 1, 20.0), events)
    lap = filterpy_lap(scenario, twin.run_ukf, drive)
    lap()
    took = []
    for _ in range(rounds):
        begin = time.perf_counter()
        lap()
        took.append(1e6 * (time.perf_counter() - begin) / events)
    return common.spread(took)


def pin() -> None:
    """Keep to one core, and so does everything started from here."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    flags = common.arguments(QUESTION)
    seconds = 0.1 if flags.quick else 0.5
    scenario = load_scenario("imu_gps")
    events = events_from_drives(simulate_drives(scenario, scenario.ticks_per_event, 0))
    with tempfile.TemporaryDirectory() as folder:
        made = replays_of(scenario, events, Path(folder))
        pin()
        core = measure_core(200 if flags.quick else 2000)
        ticks = tell_ticks(made, events, flags.repeats, seconds)
        more = tell_options(made, events, flags.repeats, seconds)
    full = ticks["us"][str(TICKS[-1])]
    theirs = filterpy_us(scenario, flags.repeats)
    # The replays leave out what else the machine does; so must this.
    ratio = theirs.low / full["64"]["median"]
    print(f"\nUKF, filterpy: {theirs} us an event; its fastest : the student of 64 {ratio:,.0f}")
    taken_from = {
        "core": core,
        **ticks,
        "more_options": more,
        "filterpy": theirs._asdict(),
        "filterpy : 64": ratio,
    }
    common.finish(flags, QUESTION, full["UKF"]["median"] / full["64"]["median"], taken_from)


if __name__ == "__main__":
    main()

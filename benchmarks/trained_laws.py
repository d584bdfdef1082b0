"""Measure the laws that only a trained student can be asked about.

Ten times longer drives: do its accuracy ratios grow? Every heading: the same drives seen in
worlds turned by eighths of a circle, does its error change? Usage: trained_laws.py RUN [--json]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from common import machine, versions

from kalmanrnn.data.augmentation import rotate_yaw
from kalmanrnn.data.local_frame import localise
from kalmanrnn.data.teacher_runs import make_drives, run_teacher, teacher_estimates
from kalmanrnn.evaluation import metrics
from kalmanrnn.evaluation.summary import tangent_errors
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.models.student import estimator
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.training.run_directory import open_run
from kalmanrnn.training.trained import load_trained

SEED = 12345
QUESTION = "does a trained student hold on long drives and in every heading?"


def sizes(scenario, mean, truth, skip):
    """RMSE by state group, in its unit, past the first `skip` events."""
    errors = tangent_errors(scenario.space, np.asarray(mean, float), np.asarray(truth, float))
    errors = errors[:, skip:]
    known = np.ones(errors.shape, bool)
    groups = metrics.state_groups(scenario.space)
    return {g.name: metrics.rmse(metrics.error_norms(g, errors, known)) for g in groups}


def ratios(scenario, run, config, seconds, count):
    """Accuracy ratios on fresh drives of that length."""
    data = replace(config.data, seconds=seconds, check_stretches=0)
    drives = make_drives(scenario, data, SEED, 0, count)
    taught = run_teacher(scenario, data, drives, every=config.student.every, seed=0)
    skip = round(config.data.skip_s * scenario.event_hz)
    truth = taught.drives.truth
    own = sizes(scenario, run(taught.drives).mean, truth, skip)
    teacher = sizes(scenario, taught.run.mean, truth, skip)
    return {name: own[name] / teacher[name] for name in own}


def octants(scenario, run, config, count):
    """Student's RMSE by group on the same drives in eight headings: largest over mean, less 1."""
    drives = make_drives(scenario, config.data, SEED, 1, count)
    estimates = teacher_estimates(scenario, config.data.teacher, drives)
    skip = round(config.data.skip_s * scenario.event_hz)
    found = []
    for k in range(8):
        with jax.enable_x64(True):
            angles = np.full(count, k * np.pi / 4)
            about, _ = rotate_yaw(scenario, drives, estimates, angles)
            about = jax.tree.map(np.asarray, about)
        local = localise(scenario, about)
        found.append(sizes(scenario, run(local).mean, local.truth, skip))
    table = {name: np.array([f[name] for f in found]) for name in found[0]}
    return {name: float(np.abs(a / a.mean() - 1).max()) for name, a in table.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--drives", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    print(f"{QUESTION}\n{machine()}\n{versions()}")
    folder = open_run(args.run)
    config = folder.config()
    scenario = load_scenario(config.sim, config.set)
    trained = load_trained(folder, scenario, config)
    run = jax.jit(partial(rollout, estimator(trained.student, trained.params, trained.norm)))
    seconds = config.data.seconds
    short = ratios(scenario, run, config, seconds, args.drives)
    long = ratios(scenario, run, config, 10 * seconds, args.drives // 2)
    spread = octants(scenario, run, config, args.drives)
    print(f"{'group':12s} {seconds:g} s   {10 * seconds:g} s   growth   largest octant deviation")
    for name in short:
        growth = long[name] / short[name]
        print(f"{name:12s} {short[name]:.3f}  {long[name]:.3f}  {growth:.3f}   {spread[name]:.1%}")
    if args.json:
        worst = max(long[name] / short[name] for name in short)
        print(json.dumps({"question": QUESTION, "ratio": worst, "short": short, "long": long,
                          "octants": spread}))  # fmt: skip


if __name__ == "__main__":
    main()

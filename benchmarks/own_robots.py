"""Judge students that were trained in simulation only on recordings of two other robots."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from common import machine, versions

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.evaluation.estimates import run_filter, run_student
from kalmanrnn.logs.binding.bound_log import bind_log
from kalmanrnn.logs.recording.recording import Recording, Stream
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.training.run_directory import open_run
from kalmanrnn.training.trained import TrainedStudent, load_trained

QUESTION = "does a student trained in simulation do the filter's job on the robot's own logs?"
DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
RADAR_LIDAR = "udacity_radar_lidar/obj_pose-laser-radar-synthetic-input.txt"
WIFIBOT = "wifibot/wifibot*.txt"
# What the course that the file comes from asks, and how near the UKF a student must be.
LIMITS = (0.11, 0.11, 0.52, 0.52)
RADAR_RATIO, WIFIBOT_RATIO = 1.15, 1.10
FIX_S, FIX_SIGMA_M, HEADING_ERROR = 0.5, 0.1, np.radians(30.0)
TURNS_DEG = (-60, -30, 30, 60)
KINDS = ("ukf", "ekf", "student")


def radar_lidar_recording(path: Path) -> Recording:
    """Read `L px py t_us ...` and `R range bearing rate t_us ...` rows with the truth behind."""
    rows = [line.split() for line in path.read_text().splitlines()]
    found = {
        kind: np.array([[float(v) for v in row[1:]] for row in rows if row[0] == kind])
        for kind in "LR"
    }
    t = {"L": found["L"][:, 2] * 1e-6, "R": found["R"][:, 3] * 1e-6}
    start = min(t["L"][0], t["R"][0])
    lidar = Stream("lidar", t["L"] - start, found["L"][:, :2], ("lidar_x", "lidar_y"), ("m", "m"))
    channels, units = ("range", "bearing", "range_rate"), ("m", "rad", "m/s")
    radar = Stream("radar", t["R"] - start, found["R"][:, :3], channels, units)
    order = np.argsort(np.concatenate([t["L"], t["R"]]))
    truth = np.concatenate([found["L"][:, 3:], found["R"][:, 4:]])[order]
    speed = np.hypot(truth[:, 2], truth[:, 3])
    reference = Stream(
        "truth",
        np.concatenate([t["L"], t["R"]])[order] - start,
        np.column_stack([truth[:, :2], speed, truth[:, 4:]]),
        ("position_0", "position_1", "speed_0", "heading_0", "turn_rate_0"),
        ("m", "m", "m/s", "rad", "rad/s"),
    )
    return Recording(float(start), (lidar, radar), reference)


def wifibot_recording(path: Path, seed: int) -> Recording:
    """Read `t gyro vx vy theta px py`, and make fixes of the truth by adding noise.

    The first belief is the first fix, and a heading 30 degrees off: left of the truth for even
    seeds, right of it for odd ones.
    """
    table = np.loadtxt(path, skiprows=1)
    t, heading = table[:, 0] - table[0, 0], np.unwrap(table[:, 4])
    at = np.arange(0.0, t[-1], FIX_S)
    position = np.stack([np.interp(at, t, column) for column in table[:, 5:7].T], axis=-1)
    fixes = position + FIX_SIGMA_M * np.random.default_rng(seed).normal(size=position.shape)
    sign = 1.0 if seed % 2 == 0 else -1.0
    odometry = Stream("odometry", t, table[:, 1:3], ("gyro", "vx"), ("rad/s", "m/s"))
    gps = Stream("gps", at, fixes, ("gps_east", "gps_north"), ("m", "m"))
    reference = Stream(
        "motion capture",
        t,
        np.column_stack([table[:, 5:7], heading]),
        ("position_0", "position_1", "heading_0"),
        ("m", "m", "rad"),
    )
    first = {
        "position": tuple(map(float, fixes[0])),
        "heading": (float(heading[0] + sign * HEADING_ERROR),),
    }
    return Recording(float(table[0, 0]), (odometry, gps), reference, first=first)


def drives_of(scenario: Scenario, recordings: list[Recording]) -> Drive:
    """Bind recordings of one log, alike but for their noise, as one batch."""
    bound = [bind_log(scenario, recording).drive for recording in recordings]
    return jax.tree.map(lambda *a: np.concatenate(a), *bound)


def turned(scenario: Scenario, drive: Drive, angles: np.ndarray) -> Drive:
    """Turn a log's world, but not what the filter takes for granted: a batch, one per angle."""
    assert scenario.initialise is not None
    parts = []
    for angle in angles:
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[c, -s], [s, c]])
        truth, z = np.array(drive.truth), np.array(drive.packets.z)
        for a in (truth, z):
            a[..., :2] = a[..., :2] @ matrix.T
            # Fourth in both is an angle: the heading, and the radar's bearing.
            a[..., 3] += angle
        z = np.where(scenario.mask(drive.packets.seen), z, 0.0)
        with jax.enable_x64(True):
            first = np.asarray(scenario.initialise(z[0, 0], drive.packets.seen[0, 0]))
        belief = drive.belief._replace(mean=first[None])
        packets = drive.packets._replace(z=z)
        parts.append(drive._replace(truth=truth, packets=packets, belief=belief))
    return jax.tree.map(lambda *a: np.concatenate(a), *parts)


def trained_of(run: Path) -> TrainedStudent:
    """Load a run's student."""
    folder = open_run(run)
    config = folder.config()
    return load_trained(folder, load_scenario(config.sim, config.set), config)


def tracks(trained: TrainedStudent, drives: Drive) -> dict[str, np.ndarray]:
    """Run UKF, EKF and student over drives: states `[B, E, X]`."""
    scenario = trained.student.scenario
    means = {kind: run_filter(scenario, drives, kind).mean for kind in KINDS[:2]}
    found = run_student(trained.student, trained.params, trained.norm, drives)
    return means | {"student": found.mean}


def cartesian(x: np.ndarray) -> np.ndarray:
    """Turn radar_lidar's states `[..., 5]` into px, py, vx, vy."""
    velocity = x[..., 2:3] * np.stack([np.cos(x[..., 3]), np.sin(x[..., 3])], axis=-1)
    return np.concatenate([x[..., :2], velocity], axis=-1)


def rmse_of(means: dict[str, np.ndarray], truth: np.ndarray) -> dict[str, np.ndarray]:
    """RMSE of px, py, vx, vy over every row of every drive, as the course counts."""
    off = {kind: cartesian(mean) - cartesian(truth) for kind, mean in means.items()}
    return {kind: np.sqrt(np.mean(d**2, axis=(0, 1))) for kind, d in off.items()}


def judge_radar(run: Path, path: Path) -> dict[str, Any]:
    """RMSE from the first row on, and the student's ratios; then the same in turned worlds."""
    trained = trained_of(run)
    scenario = trained.student.scenario
    drive = bind_log(scenario, radar_lidar_recording(path)).drive
    rmse = rmse_of(tracks(trained, drive), np.asarray(drive.truth))
    ratio = rmse["student"] / rmse["ukf"]
    inside = {kind: bool((rmse[kind] <= LIMITS).all()) for kind in KINDS}
    holds = inside["ukf"] and inside["student"] and bool((ratio <= RADAR_RATIO).all())
    print(f"radar_lidar: RMSE over all {drive.t.shape[1]} rows, run {run.name}\n")
    print(
        "| | px [m] | py [m] | vx [m/s] | vy [m/s] | within the limits |\n|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        print(f"| {kind} | {_cells(rmse[kind])} | {'yes' if inside[kind] else 'NO'} |")
    print(f"| the course's limits | {_cells(LIMITS)} | |")
    print(f"| student / ukf (at most {RADAR_RATIO:.2f}) | {_cells(ratio)} | |")
    print(f"\nholds: {holds}\n", flush=True)
    about = turned(scenario, drive, np.radians(TURNS_DEG))
    wrong = rmse_of(tracks(trained, about), np.asarray(about.truth))
    print(f"The file heads along x, as the filter assumes. Turned by {TURNS_DEG} deg, in turn:\n")
    print("| | px [m] | py [m] | vx [m/s] | vy [m/s] |\n|---|---|---|---|---|")
    for kind in KINDS:
        print(f"| {kind} | {_cells(wrong[kind])} |")
    print(f"| student / ukf | {_cells(wrong['student'] / wrong['ukf'])} |\n", flush=True)
    found = {kind: rmse[kind].tolist() for kind in KINDS}
    return {"rmse": found, "ratio": ratio.tolist(), "holds": holds}


def judge_wifibot(run: Path, paths: list[Path], draws: int) -> dict[str, Any]:
    """Position RMSE per file, over draws of the fixes' noise and both signs of heading error."""
    print(f"wifibot: 2-D position RMSE over {draws} draws of noise, run {run.name}\n")
    columns = ["file", *(f"{kind} [m]" for kind in KINDS)]
    columns += [f"student / ukf (at most {WIFIBOT_RATIO:.2f})", "draws from", "to"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    found: dict[str, Any] = {}
    trained = trained_of(run)
    for path in paths:
        recordings = [wifibot_recording(path, seed) for seed in range(draws)]
        drives = drives_of(trained.student.scenario, recordings)
        means = tracks(trained, drives)
        off = {k: m[..., :2] - np.asarray(drives.truth)[..., :2] for k, m in means.items()}
        square = {k: np.nanmean(np.sum(d**2, axis=-1), axis=1) for k, d in off.items()}
        rmse = {k: float(np.sqrt(s.mean())) for k, s in square.items()}
        each = np.sqrt(square["student"] / square["ukf"])
        ratio = rmse["student"] / rmse["ukf"]
        cells = " | ".join(f"{rmse[k]:.4f}" for k in KINDS)
        print(f"| {path.stem} | {cells} | {ratio:.3f} | {each.min():.3f} | {each.max():.3f} |")
        found[path.stem] = {"rmse": rmse, "ratio": ratio, "holds": ratio <= WIFIBOT_RATIO}
    print(f"\nholds: {all(f['holds'] for f in found.values())}\n", flush=True)
    return found


def _cells(values: Any) -> str:
    return " | ".join(f"{value:.3f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--radar-run", type=Path, help="a run of --sim radar_lidar")
    parser.add_argument("--wifibot-run", type=Path, help="a run of --sim wifibot")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the recordings")
    parser.add_argument("--draws", type=int, default=64, help="draws of the fixes' noise")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    flags = parser.parse_args()
    where = {"machine": machine(), "versions": versions()}
    print(f"{QUESTION}\n{where['machine']}\n{where['versions']}\n", flush=True)
    found: dict[str, Any] = {}
    if flags.radar_run:
        found["radar_lidar"] = judge_radar(flags.radar_run, flags.data / RADAR_LIDAR)
    if flags.wifibot_run:
        found |= judge_wifibot(flags.wifibot_run, sorted(flags.data.glob(WIFIBOT)), flags.draws)
    if flags.json:
        print(json.dumps({"question": QUESTION, "ratio": None, "from": found} | where))


if __name__ == "__main__":
    main()

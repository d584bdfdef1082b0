"""The logs of one run: kept in its folder as drive files, split into train and test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.config import FILTER_NAMES, RunConfig, is_external
from kalmanrnn.core.errors import UserError
from kalmanrnn.data.log_segments import Split, filter_log, split_logs
from kalmanrnn.logs.binding.bound_log import BoundLog, bind_log, with_logged_noise
from kalmanrnn.logs.recording.recording import Recording, load_recording, save_recording
from kalmanrnn.scenarios.scenario import Scenario, load_scenario


class LogDataset(NamedTuple):
    """Logs bound to a scenario and filtered.

    scenario: the run's, with the noise and the antenna that the first log states.
    logs: each bound as a whole, by name.
    """

    scenario: Scenario
    logs: dict[str, BoundLog]
    split: Split


def save_logs(folder: Path, recordings: Sequence[tuple[str, Recording]]) -> None:
    """Copy recordings into a run's folder, so that it can be resumed without the originals."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (name, recording) in enumerate(recordings):
        save_recording(folder / f"{i:03d}-{name}.npz", recording)


@lru_cache(maxsize=1)
def load_log_dataset(config: RunConfig, folder: Path) -> LogDataset:
    """Load what `save_logs` saved; the same in every process, once in each."""
    recordings = [(f.stem[4:], load_recording(f)) for f in sorted(folder.glob("*.npz"))]
    if not recordings:
        raise UserError(
            f"there are no logs in {folder}",
            why="the run was started with --log, and its copies are gone",
            cure="start a new run with --log",
        )
    check_distinct(recordings)
    first = recordings[0][1]
    scenario, _ = with_logged_noise(scenario_for_log(config.sim, config.set, first), first)
    whole, logs = [], {}
    for name, recording in recordings:
        logs[name] = log = bind_log(scenario, recording)
        drive = jax.tree.map(lambda a: np.asarray(a)[0], log.drive)
        whole.append(filter_log(log.scenario, segment_filter(config), name, drive))
    return LogDataset(scenario, logs, split_logs(whole, config.logs))


def check_distinct(recordings: Sequence[tuple[str, Recording]]) -> None:
    """Refuse logs that share readings, and logs with different antenna positions."""
    seen: dict[bytes, str] = {}
    for name, recording in recordings:
        if recording.lever_arm_m != recordings[0][1].lever_arm_m:
            raise UserError(
                f"{name} and {recordings[0][0]} have their GPS antenna in different places",
                why=f"{recording.lever_arm_m} and {recordings[0][1].lever_arm_m} m from the IMU",
                cure="train on logs of one robot at a time",
            )
        slowest = min(recording.streams, key=lambda s: len(s.t))
        own = {row.tobytes() for row in slowest.values if np.ptp(slowest.values, axis=0).any()}
        shared = next((seen[row] for row in own if row in seen), None)
        if shared is not None:
            raise UserError(
                f"{name} and {shared} hold the same readings",
                why=f"of {slowest.name}; training data would be in the test set",
                cure="give each log once, and cuts of one log as one",
            )
        seen |= dict.fromkeys(own, name)


def segment_filter(config: RunConfig) -> str:
    """Name the filter that gives the state where segments start."""
    return FILTER_NAMES[0] if is_external(config.data.teacher) else config.data.teacher


def scenario_for_log(sim: str, settings: tuple[str, ...], recording: Recording) -> Scenario:
    """Load a scenario, with the antenna where the log has it."""
    arm = recording.lever_arm_m
    given = any(text.startswith("lever_arm_m=") for text in settings)
    if not any(arm) or given:
        return load_scenario(sim, settings)
    try:
        return load_scenario(sim, settings, lever_arm_m=arm)
    except UserError as problem:
        raise UserError(
            f"the log's GPS antenna is {arm} m from the IMU; {sim} has no `lever_arm_m` parameter",
            why=problem.why,
            cure="add a lever_arm_m to the sim's make(), or leave gps.lever_arm_m out of the map",
        ) from None

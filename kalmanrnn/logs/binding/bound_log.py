"""Bind a recording to a scenario: a drive with events at the sensors' times, ticks between.

Columns are found by name: every channel of the scenario's inputs must exist; sensors may be
missing and are then never seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from kalmanrnn.core.datatypes import Belief, Drive, Packet
from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.binding.initial_belief import initial_belief, start_time
from kalmanrnn.logs.binding.position_fixes import find_fixes
from kalmanrnn.logs.binding.truth import truth_at
from kalmanrnn.logs.recording.recording import Recording
from kalmanrnn.logs.recording.time_alignment import (
    fill_gaps,
    merge_times,
    split_into_ticks,
    thin,
)
from kalmanrnn.scenarios.scenario import Scenario

MIN_EVENTS = 10
# Readings closer than this share of the sensor's interval are dropped: a student was trained
# at the scenario's rate.
MIN_INTERVAL_SHARE = 0.75
MAX_INPUT_GAP_S = 1.0
MAX_GAP_S = 600.0


class BoundLog(NamedTuple):
    """A real drive, and what a report needs to know about it.

    scenario: the scenario, with the sensor noise that the log itself states.
    drive: batch axis 1; its truth is the reference, NaN where that is silent, or None.
    start: seconds on the log's own clock (Unix or since boot) at the drive's t = 0.
    notes: sentences on what was converted, shifted and dropped.
    """

    scenario: Scenario
    drive: Drive
    start: float
    recording: Recording
    notes: tuple[str, ...]


def bind(scenario: Scenario, recording: Recording) -> Drive:
    """Turn a recording into a batch of one drive of a scenario, with its initial belief.

    Truth is NaN where the recording has none. `bind_log` gives the notes and the log's own noise
    besides. Raises UserError where the scenario's inputs or sensors are not in the recording.

        drive = kr.bind(kr.load_scenario("imu_gps"), kr.read_log("husky.bag"))
    """
    return bind_log(scenario, recording).drive


def bind_log(scenario: Scenario, recording: Recording) -> BoundLog:
    """Make a drive of a recording; its clock starts at its first event. UserError if it cannot."""
    u_t, u, notes = read_inputs(scenario, recording)
    scenario, more = with_logged_noise(scenario, recording)
    notes += more
    fixes = find_fixes(scenario, recording)
    start, more = start_time(scenario, fixes)
    notes += more
    span = (max(start, u_t[0]), u_t[-1]) if u_t.size else (start, np.inf)
    t, seen, z, more = _events(scenario, recording, span)
    notes += more
    # On a clock that starts at 0 the ticks' sum is exact to 1e-12 s.
    packets = Packet(z, seen, *_ticks(scenario, t - t[0], u_t - t[0], u))
    blank = Belief(scenario.space.identity(), np.eye(scenario.space.tangent_dim))
    drive = Drive(t, packets, blank, None)
    belief, more = initial_belief(scenario, recording, fixes, drive)
    notes += more
    truth = None
    if recording.reference is not None:
        truth = truth_at(scenario.space, recording.reference, t)
        if truth is None:
            notes.append(f"the reference has nothing on {scenario.name}'s state at these times")
    drive = Drive(t - t[0], packets, belief, truth)
    drive = jax.tree.map(lambda a: np.asarray(a)[None], drive)
    notes = [*recording.notes, *notes]
    return BoundLog(scenario, drive, recording.start + float(t[0]), recording, tuple(notes))


def read_inputs(
    scenario: Scenario, recording: Recording
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return times `[n]` and inputs `[n, U]` at the times of the fastest of their streams."""
    names = [channel.name for channel in scenario.inputs]
    found = [place for name in names if (place := recording.column(name))]
    missing = [name for name in names if recording.column(name) is None]
    if missing:
        raise UserError(
            f"the log has no {', '.join(missing)}, inputs of {scenario.name}",
            why="it has " + ", ".join(c for s in recording.streams for c in s.channels),
            cure=f"name them in the map, or use a scenario with inputs that the log has "
            f"(inputs of {scenario.name}: {', '.join(names)})",
        )
    if not found:
        return np.zeros(0), np.zeros((0, 0)), []
    streams = {s.name: s for s, _ in found}
    clock = max(streams.values(), key=lambda s: len(s.t)).t
    low = max(s.t[0] for s in streams.values())
    high = min(s.t[-1] for s in streams.values())
    clock = clock[(clock >= low) & (clock <= high)]
    if len(clock) < 2:
        raise UserError(
            "the inputs' streams do not overlap in time: " + ", ".join(streams),
            why="they must be stamped by one clock",
            cure="see kalmanrnn inspect LOG; set `delay_s` or `clock` in the map",
        )
    columns = [np.interp(clock, s.t, s.values[:, i]) for s, i in found]
    steps = np.diff(clock)
    long = int((steps > MAX_INPUT_GAP_S).sum())
    note = f"{', '.join(streams)}: {long} gaps up to {steps.max():.2f} s, interpolated"
    return clock, np.stack(columns, axis=-1), [note] if long else []


def with_logged_noise(scenario: Scenario, recording: Recording) -> tuple[Scenario, list[str]]:
    """Use the standard deviations that the log's messages state (medians) for each sensor."""
    sensors, notes = list(scenario.sensors), []
    for i, sensor in enumerate(scenario.sensors):
        place = recording.columns([c.name for c in sensor.channels])
        if place is None or place[0].variance is None:
            continue
        stated = place[0].variance[:, place[1]]
        stated = stated[np.isfinite(stated).all(axis=1)]
        if not len(stated) or not (np.median(stated, axis=0) > 0).all():
            continue
        sigma = np.sqrt(np.median(stated, axis=0))
        if np.allclose(sigma, sensor.sigma):
            continue
        sensors[i] = replace(sensor, sigma=tuple(map(float, sigma)))
        unit = sensor.channels[0].unit
        notes.append(
            f"{sensor.name}: standard deviations {', '.join(f'{s:.3g}' for s in sigma)} {unit} "
            f"from the log's messages (median), not the scenario's "
            + ", ".join(f"{s:.3g}" for s in sensor.sigma)
        )
    return replace(scenario, sensors=tuple(sensors)) if notes else scenario, notes


def _events(
    scenario: Scenario, recording: Recording, span: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Return event times `[E]`, seen `[E, S]`, measurements `[E, Z]`, and notes.

    A sensor has no readings if the log lacks one of its channels.
    """
    notes: list[str] = []
    used: list[tuple[np.ndarray, np.ndarray]] = []
    for sensor in scenario.sensors:
        found = recording.columns([channel.name for channel in sensor.channels])
        t, z = np.zeros(0), np.zeros((0, sensor.size))
        if found is not None:
            t, z = found[0].t, found[0].values[:, found[1]]
        inside = (t >= span[0]) & (t <= span[1])
        t, z = t[inside], z[inside]
        keep = thin(t, MIN_INTERVAL_SHARE / sensor.rate_hz)
        used.append((t[keep], z[keep]))
        if not len(t):
            notes.append(f"{sensor.name}: no readings within the log's span; never seen")
        elif len(keep) < len(t):
            notes.append(
                f"{sensor.name}: {len(keep)} of {len(t)} readings used, at least "
                f"{MIN_INTERVAL_SHARE / sensor.rate_hz:g} s apart, for {scenario.name} has it at "
                f"{sensor.rate_hz:g} Hz"
            )
    times, index = merge_times([t for t, _ in used], 0.5 / scenario.tick_hz)
    if len(times) < MIN_EVENTS:
        both = zip(scenario.sensors, used, strict=True)
        counts = ", ".join(f"{s.name} {len(t)}" for s, (t, _) in both)
        raise UserError(
            f"too few readings for {scenario.name}: {len(times)} events, {MIN_EVENTS} are needed",
            why=f"only readings after the start and within the inputs' time count: {counts}",
            cure="use a longer log; see kalmanrnn inspect LOG for rates and clocks",
        )
    _check_gaps(times)
    filled, known = fill_gaps(times, 1 / scenario.event_hz)
    if not known.all():
        notes.append(f"{(~known).sum()} events without a reading inserted into gaps")
    place = np.flatnonzero(known)
    seen = np.zeros((len(filled), len(scenario.sensors)), bool)
    z = np.zeros((len(filled), scenario.sigma.size))
    for i, ((_, values), event) in enumerate(zip(used, index, strict=True)):
        seen[place[event], i] = True
        z[np.ix_(place[event], scenario.sensor_of == i)] = values
    return filled, seen, z, notes


def _check_gaps(times: np.ndarray) -> None:
    """Refuse a gap too long for any filter: a clock that was reset, or two drives."""
    gaps = np.diff(times)
    worst = int(gaps.argmax())
    if gaps[worst] > MAX_GAP_S:
        start, end = times[worst], times[worst + 1]
        raise UserError(
            f"no readings for {gaps[worst]:.0f} s, from {start:.1f} s to {end:.1f} s",
            why="the clock was reset, or the log holds two drives",
            cure=f"use one part: `window: {{end_s: {start + 0.1:.1f}}}` or "
            f"`window: {{start_s: {end - 0.1:.1f}}}` in the map",
        )


def _ticks(
    scenario: Scenario, events: np.ndarray, t: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs `[E, K, U]` and dt `[E, K]`; even ticks if there are no inputs."""
    if scenario.inputs:
        return split_into_ticks(events, t, u)
    gaps = np.append(np.diff(events), 0.0)
    counts = np.maximum(1, np.round(gaps * scenario.tick_hz)).astype(int)
    place = np.arange(counts.max())
    dt = np.where(place < counts[:, None], (gaps / counts)[:, None], 0.0)
    return np.zeros((*dt.shape, 0)), dt

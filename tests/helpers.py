"""Pieces that several test files share."""

from pathlib import Path

import jax
import numpy as np

from kalmanrnn.logs.recording.recording import Recording, Stream

ROOT = Path(__file__).resolve().parents[1]
TEST_DATA = ROOT / "tests" / "data"
# Flags of a training that takes seconds: what is tested is what happens to a run.
SMALL_RUN = (
    *("--sim", "linear", "--hidden", "8", "--layers", "1", "--head", "8", "--seconds", "8"),
    *("--drives", "16", "--validation", "8", "--test", "8", "--skip-s", "2", "--quiet"),
    *("--distil-steps", "20", "--distil-batch", "8", "--rollout-steps", "4"),
    *("--rollout-batch", "8", "--check-segments", "1", "--num-validations", "4"),
)
SHARED = ROOT.parent / "shared" / "data"


def one(drives, index=0):
    return jax.tree.map(lambda a: np.asarray(a)[index], drives)


def build_recording(scenario, drive, **more):
    """Say a simulated drive in streams: readings whose means over ticks are its inputs."""
    u = drive.packets.u[:-1]
    u = u.reshape(u.shape[0] * u.shape[1], u.shape[2])
    readings = [u[0]]
    for row in u:
        readings.append(2 * row - readings[-1])
    t = np.arange(len(readings)) / scenario.tick_hz
    names = tuple(c.name for c in scenario.inputs)
    units = tuple(c.unit for c in scenario.inputs)
    streams = [Stream("inputs", t, np.array(readings), names, units)] if names else []
    for i, sensor in enumerate(scenario.sensors):
        seen = drive.packets.seen[:, i]
        z = drive.packets.z[seen][:, scenario.sensor_of == i]
        channels = tuple(c.name for c in sensor.channels)
        units = tuple(c.unit for c in sensor.channels)
        streams.append(Stream(sensor.name, drive.t[seen], z, channels, units))
    names = [f"{b.name}_{i}" for b in scenario.space.blocks for i in range(b.state_size)]
    reference = Stream("truth", drive.t, drive.truth, tuple(names), ("",) * len(names))
    return Recording(1.7e9, tuple(streams), reference, **more)

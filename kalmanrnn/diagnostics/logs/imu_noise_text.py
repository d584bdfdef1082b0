"""An IMU's noise as text: a summary, kalibr's YAML, an argument for a sim file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from kalmanrnn.core.atomic_write import atomic_write
from kalmanrnn.diagnostics.logs.imu_noise import SENSORS, ImuNoise
from kalmanrnn.logs.calibration.allan import NoiseFit

MAX_MISFIT = 0.25


def format_summary(found: ImuNoise) -> list[str]:
    """Return lines of text: each figure per axis and as the mean that is written."""
    rest = found.rest
    lines = [f"{found.topic}: {rest.seconds:.0f} s at rest, {rest.rate_hz:.4g} Hz"]
    lines += [f"note: {note}" for note in rest.notes]
    for name, unit in SENSORS.items():
        n = found.noise[name]
        lines += ["", f"{name:34s}{'x':>10s} {'y':>10s} {'z':>10s} {'mean':>10s}"]
        lines.append(_row(f"noise density [{unit}/sqrt(Hz)]", n.density))
        if n.instability.any():
            lines.append(_row(f"flat part of the deviation [{unit}]", n.instability))
        lines.append(_row(f"random walk [{walk_unit(name)}]", n.walk, known=n.walk_observable))
        lines.append(f"  {format_walk(n, rest.seconds)}")
        if n.misfit > MAX_MISFIT:
            lines.append(
                f"  the fit misses the curve by up to {100 * n.misfit:.0f} %: there is more than "
                "noise in it (vibration, a filter, steps); see --plot"
            )
    return lines


def walk_unit(name: str) -> str:
    """Return the unit of a random walk."""
    return {"gyroscope": "rad/s^2/sqrt(Hz)", "accelerometer": "m/s^3/sqrt(Hz)"}[name]


def format_walk(n: NoiseFit, seconds: float) -> str:
    """Describe how well a random walk is known."""
    if n.walk_observable:
        return f"random walk: the mean is known to about {100 * n.walk_error:.0f} % (one sigma)"
    return (
        f"random walk: {seconds:.0f} s are too short to separate it from the noise; not written. "
        "Record for hours."
    )


def format_yaml(found: ImuNoise) -> str:
    """Return kalibr's imu.yaml: the mean over the three axes of each figure."""
    lines = ["# From an Allan deviation at rest; each figure is the mean over the three axes."]
    units = {"accelerometer": "m/s^2/sqrt(Hz)", "gyroscope": "rad/s/sqrt(Hz)"}
    for name, unit in units.items():
        n = found.noise[name]
        lines.append(f"{name}_noise_density: {n.density.mean():.6e}  # {unit}")
        if n.walk_observable:
            line = f"{name}_random_walk: {n.walk.mean():.6e}  # {walk_unit(name)}"
            lines.append(f"{line}, known to {100 * n.walk_error:.0f} %")
        else:
            lines.append(f"# {name}_random_walk: the log, {found.rest.seconds:.0f} s, is too short")
    # A JSON string is a YAML string, whatever the topic is called.
    lines.append(f"rostopic: {json.dumps(found.topic)}")
    lines.append(f"update_rate: {found.rest.rate_hz:.6g}  # Hz")
    return "\n".join(lines) + "\n"


def write_yaml(found: ImuNoise, path: Path) -> None:
    """Write kalibr's imu.yaml."""
    atomic_write(path, format_yaml(found))


def format_sim_argument(found: ImuNoise) -> str:
    """Return the figures as an argument for a sim file."""
    parts = [f"rate_hz={found.rest.rate_hz:.4g}"]
    for name, n in found.noise.items():
        parts.append(f"{name}_noise_density={n.density.mean():.3g}")
        parts += [f"{name}_random_walk={n.walk.mean():.3g}"] if n.walk_observable else []
    return f"imu=Imu({', '.join(parts)})"


def _row(name: str, values: np.ndarray, *, known: bool = True) -> str:
    cells = [*values, values.mean()]
    return f"  {name:32s}" + " ".join(f"{v:10.3g}" if known else f"{'-':>10s}" for v in cells)

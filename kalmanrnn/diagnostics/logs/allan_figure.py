"""Figure of an IMU's Allan deviations and the noise model fitted to them."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from kalmanrnn.diagnostics.figure_file import AXES, save_figure
from kalmanrnn.diagnostics.logs.imu_noise import SENSORS, WALK_UNITS, ImuNoise
from kalmanrnn.logs.calibration.allan import AllanCurve, NoiseFit, fitted_deviation
from kalmanrnn.report.style import STYLE, frame, grid


def draw_allan(found: ImuNoise, path: Path) -> None:
    """Draw both sensors, axis by axis, on logarithmic axes."""
    with mpl.rc_context(STYLE):
        figure, axes = grid(2, height=3.9)
        for ax, (name, unit) in zip(axes, SENSORS.items(), strict=True):
            _panel(ax, found.curves[name], found.noise[name])
            n = found.noise[name]
            ax.set_title(name)
            text = f"N = {n.density.mean():.3g} {unit}/√Hz"
            if n.walk_observable:
                text += f"\nK = {n.walk.mean():.3g} {WALK_UNITS[name].replace('sqrt(Hz)', '√Hz')}"
            ax.text(0.97, 0.97, text, transform=ax.transAxes, ha="right", va="top")
            frame(ax, x="averaging time [s]", y=f"Allan deviation [{unit}]")
        axes[0].legend(loc="lower left")
        seconds, rate = found.rest.seconds, found.rest.rate_hz
        text = f"{found.topic}, {seconds:.0f} s at rest, {rate:.4g} Hz. Dashed: the fit."
        figure.suptitle(text, x=0.01, ha="left", fontsize=9, color="#444444")
        save_figure(figure, path)


def _panel(ax: Axes, curve: AllanCurve, noise: NoiseFit) -> None:
    fitted = fitted_deviation(noise, curve.tau)
    for i, (name, colour) in enumerate(zip("xyz", AXES, strict=True)):
        ax.loglog(curve.tau, curve.deviation[:, i], color=colour, lw=1.6, label=name)
        ax.loglog(curve.tau, fitted[:, i], color=colour, lw=1.0, ls=(0, (4, 2)))
    mean = noise._replace(
        density=noise.density.mean(keepdims=True), instability=np.zeros(1), walk=np.zeros(1)
    )
    white = fitted_deviation(mean, curve.tau)[:, 0]
    low, high = 0.7 * curve.deviation.min(), 1.4 * curve.deviation.max()
    ax.loglog(curve.tau, white, color="0.4", lw=0.8, ls=":", label="N / √τ")
    if noise.walk_observable:
        walk = noise.walk.mean() * np.sqrt(curve.tau / 3)
        ax.loglog(curve.tau, walk, color="0.4", lw=0.8, ls="-.", label="K √(τ/3)")
    ax.set_ylim(low, high)
    ax.grid(which="minor", lw=0.3, alpha=0.5)

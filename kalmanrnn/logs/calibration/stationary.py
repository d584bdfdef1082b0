"""Check that an IMU is at rest and evenly sampled, or report when it moves; numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kalmanrnn.core.errors import UserError

# A window that much noisier than quiet ones was disturbed; chance alone reaches 2.
NOISE_RATIO = 4.0
# No IMU at rest is noisier in a window of a second: rad/s, m/s^2.
MAX_NOISE = (0.05, 1.0)
# Nor does its mean stray that far from its median: a bias does not, a turn or a tilt does.
MAX_WANDER = (0.05, 0.5)
MAX_GAP_PERIODS = 10
MIN_REST_S = 10.0


class StationaryImu(NamedTuple):
    """An IMU at rest: gyro [rad/s] and accel [m/s^2] `[n, 3]`, its rate, and notes."""

    gyro: np.ndarray
    accel: np.ndarray
    rate_hz: float
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Duration [s]."""
        return len(self.gyro) / self.rate_hz


def select_stationary(
    t: np.ndarray, gyro: np.ndarray, accel: np.ndarray, *, log: str
) -> StationaryImu:
    """Select the longest span without a long gap, and check that the IMU is at rest in it.

    t: `[n]` seconds after the log's first reading. UserError if it moves, is too short, or an
    axis never changes.
    """
    t, gyro, accel, notes = _longest_regular_span(t, gyro, accel)
    if len(t) < 200 or t[-1] - t[0] < MIN_REST_S:
        seconds = t[-1] - t[0] if len(t) else 0.0
        raise UserError(
            f"{log} is too short: {len(t)} IMU readings in {seconds:.1f} s",
            why=f"noise takes {MIN_REST_S:g} s and 200 readings to show, a random walk takes hours",
            cure="record the IMU at rest: 20 minutes for its noise, hours for its random walk",
        )
    rate_hz = (len(t) - 1) / (t[-1] - t[0])
    for values, name in ((gyro, "gyro"), (accel, "accel")):
        if (np.ptp(values, axis=0) == 0).any():
            raise UserError(
                f"an axis of the {name} in {log} never changes",
                why="a real sensor has noise; it is switched off, or its column is wrong",
                cure="plot it: kalmanrnn inspect LOG --plot log.png",
            )
    moving, figures = moving_windows(gyro, accel, rate_hz)
    if moving.all() and not moving_windows(np.radians(gyro), accel, rate_hz)[0].any():
        raise UserError(
            f"the gyro of {log} varies by up to {figures['gyro_noise']:.3g} while nothing moves",
            why="as rad/s this contradicts a still accelerometer; as deg/s it does not",
            cure=f"kalmanrnn allan {log} --gyro-unit deg/s",
        )
    if moving.any():
        seconds = window_size(rate_hz) / rate_hz
        first, last = (float(t[0]) + seconds * i for i in longest_run(~moving))
        cure = "record the IMU at rest for hours, undisturbed"
        if last - first >= 3 * MIN_REST_S:
            span = f"--from-s {first:.1f} --to-s {last:.1f}"
            cure = f"use its longest rest: kalmanrnn allan {log} {span}"
        raise UserError(
            f"the IMU moves in {moving.sum() * seconds:.0f} of {len(moving) * seconds:.0f} s "
            f"of {log}",
            why=f"in a second the gyro varies by up to {figures['gyro_noise']:.3g} rad/s and the "
            f"accelerometer by {figures['accel_noise']:.3g} m/s^2 (means leave their medians by "
            f"{figures['gyro_away']:.3g} and {figures['accel_away']:.3g}); "
            "noise is measured at rest",
            cure=cure,
        )
    return StationaryImu(gyro, accel, rate_hz, tuple(notes))


def moving_windows(
    gyro: np.ndarray, accel: np.ndarray, rate_hz: float
) -> tuple[np.ndarray, dict[str, float]]:
    """Return which windows `[w]` of about a second move, and the evidence.

    Compared with the quietest fifth of the windows, axis by axis.
    """
    width = window_size(rate_hz)
    moving, figures = np.zeros(len(gyro) // width, bool), {}
    both = zip((gyro, accel), ("gyro", "accel"), MAX_NOISE, MAX_WANDER, strict=True)
    for values, name, noisiest, wander in both:
        cut = values[: len(moving) * width].reshape(-1, width, 3)
        mean, noise = cut.mean(axis=1), cut.std(axis=1)
        quiet = np.minimum(np.quantile(noise, 0.2, axis=0), noisiest)
        # Constant or coarsely quantised readings: no less than a hundredth of the cap.
        quiet = np.maximum(quiet, 0.01 * noisiest)
        away = np.abs(mean - np.median(mean, axis=0))
        limit = np.minimum(NOISE_RATIO * quiet, noisiest)
        moving |= ((noise > limit) | (away > wander)).any(axis=1)
        figures |= {f"{name}_noise": float(noise.max()), f"{name}_away": float(away.max())}
    return moving, figures


def window_size(rate_hz: float) -> int:
    """Return the readings in a window of about a second, at least twenty."""
    return max(20, round(rate_hz))


def longest_run(yes: np.ndarray) -> tuple[int, int]:
    """Return start and end (exclusive) of the longest run of True; 0, 0 if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], yes, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best])


def _longest_regular_span(
    t: np.ndarray, gyro: np.ndarray, accel: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Drop readings without a valid time, and keep the longest span without a long gap."""
    values, notes = np.concatenate([gyro, accel], axis=1), []
    good = np.isfinite(t) & np.isfinite(values).all(axis=1)
    good[good] &= np.diff(t[good], prepend=-np.inf) > 0
    if not good.all():
        notes.append(f"{(~good).sum()} readings that are not finite or out of order dropped")
    t, values = t[good], values[good]
    steps = np.diff(t)
    if len(steps):
        median_step = float(np.median(steps))
        uneven = int((np.abs(steps / median_step - 1) > 0.5).sum())
        if uneven:
            notes.append(
                f"uneven: {uneven} of {len(steps)} steps differ from the median "
                f"{1e3 * median_step:.3g} ms by more than half, the longest is "
                f"{steps.max():.3g} s; treated as even"
            )
        first, last = longest_run(steps <= MAX_GAP_PERIODS * median_step)
        if last - first < len(steps):
            notes.append(
                f"long gaps: only the longest span without one used, {t[last] - t[first]:.0f} "
                f"of {t[-1] - t[0]:.0f} s"
            )
            t, values = t[first : last + 1], values[first : last + 1]
    return t, values[:, :3], values[:, 3:], notes

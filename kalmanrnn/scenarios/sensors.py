"""Sensors: what they measure, how often and how accurately.

A `Sensor` corrects the estimate at events; the `Imu` drives it at every tick. All noise is
given as one standard deviation, an IMU's as densities, as in kalibr.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Channel:
    """A named number with its unit, one column of inputs or measurements."""

    name: str
    unit: str


@dataclass(frozen=True)
class Sensor:
    """A sensor that corrects the estimate at events.

    measure: `h`, state `[X]` -> ideal reading `[z]`.
    sigma: one standard deviation per channel, in the channel's unit (SI, radians).
    angular: the readings are angles, so that innovations wrap at pi; one flag for all channels,
        or one each.
    observes: the vector block that the reading is a value of ("position" for a GPS); its
        readings then move with the world's origin. Empty for all others.
    offset_s: when in its period it reports, in [0, 1 / rate_hz) [s], so that sensors can take
        turns.
    dropout: the probability that a reading is missing.
    outage_s, outage_chance: length [s] of a gap, and the probability of one per drive.
    outlier, outlier_scale: the probability that a reading's noise is that many times larger.
    """

    name: str
    channels: tuple[Channel, ...]
    rate_hz: float
    sigma: tuple[float, ...]
    measure: Callable[[jax.Array], jax.Array]
    angular: bool | tuple[bool, ...] = False
    observes: str = ""
    offset_s: float = 0.0
    dropout: float = 0.0
    outage_s: float = 0.0
    outage_chance: float = 0.0
    outlier: float = 0.0
    outlier_scale: float = 20.0

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if not self.rate_hz > 0:
            raise ValueError(f"{self.name}: rate_hz must be positive, got {self.rate_hz}")
        if len(self.sigma) != len(self.channels):
            raise ValueError(
                f"{self.name}: {len(self.channels)} channels but {len(self.sigma)} values in sigma"
            )
        if not all(s > 0 for s in self.sigma):
            raise ValueError(f"{self.name}: every sigma must be positive, got {self.sigma}")
        if isinstance(self.angular, tuple) and len(self.angular) != len(self.channels):
            raise ValueError(
                f"{self.name}: {len(self.channels)} channels but {len(self.angular)} values in "
                "angular"
            )
        if not 0 <= self.offset_s < 1 / self.rate_hz:
            raise ValueError(
                f"{self.name}: offset_s must be 0 or more and less than the period "
                f"{1 / self.rate_hz:g} s, got {self.offset_s}"
            )
        for name in ("dropout", "outage_chance", "outlier"):
            if not 0 <= getattr(self, name) < 1 + (name == "outage_chance"):
                raise ValueError(
                    f"{self.name}: {name} must be a probability, got {getattr(self, name)}"
                )

    @property
    def size(self) -> int:
        """Channels of a reading."""
        return len(self.channels)


def event_rate(sensors: Sequence[Sensor], tick_hz: float) -> float:
    """Return the slowest rate [Hz] that fits every sensor's period and offset.

    Searched among multiples of the fastest sensor's rate, up to tick_hz; without offsets it is
    that rate, even where it does not divide tick_hz, which the scenario refuses. ValueError
    for an offset that fits none.
    """
    fastest = max(sensor.rate_hz for sensor in sensors)
    for n in range(1, round(tick_hz / fastest) + 1):
        if all(_is_whole(n * fastest * sensor.offset_s) for sensor in sensors):
            return n * fastest
    for sensor in sensors:
        if not _is_whole(tick_hz * sensor.offset_s):
            raise ValueError(
                f"{sensor.name}: offset_s {sensor.offset_s:g} fits no event rate up to tick_hz "
                f"{tick_hz:g}; it must be a whole number of ticks, such as "
                f"{round(sensor.offset_s * tick_hz) / tick_hz:.9g}"
            )
    return fastest


def _is_whole(steps: float) -> bool:
    """Whether decimals such as 0.0333333 s fall on a step, to a millionth of it."""
    return abs(steps - round(steps)) < 1e-6


@dataclass(frozen=True)
class Imu:
    """A strapdown IMU: gyroscope and accelerometer, three axes each.

    gyroscope_noise_density: [rad/s/sqrt(Hz)]. gyroscope_random_walk: [rad/s^2/sqrt(Hz)].
    accelerometer_noise_density: [m/s^2/sqrt(Hz)]. accelerometer_random_walk: [m/s^3/sqrt(Hz)].
    gyroscope_turn_on_bias: [rad/s]. accelerometer_turn_on_bias: [m/s^2].
    The defaults are those of a good MEMS unit.
    """

    rate_hz: float = 100.0
    gyroscope_noise_density: float = 1.0e-3
    gyroscope_random_walk: float = 2.0e-5
    accelerometer_noise_density: float = 1.0e-2
    accelerometer_random_walk: float = 2.0e-4
    gyroscope_turn_on_bias: float = 5.0e-3
    accelerometer_turn_on_bias: float = 1.0e-1

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"Imu.{name} must be positive, got {value}")

    def channels(self) -> tuple[Channel, ...]:
        """Name the six inputs: gyro x, y, z, then accel x, y, z, in body axes."""
        gyro = [Channel(f"gyro_{axis}", "rad/s") for axis in "xyz"]
        accel = [Channel(f"accel_{axis}", "m/s^2") for axis in "xyz"]
        return (*gyro, *accel)

    def biases(self, key: jax.Array, ticks: int) -> tuple[jax.Array, jax.Array]:
        """Draw gyro and accel biases `[ticks, 3]`: a turn-on value and a random walk."""
        turn_on_key, walk_key = jax.random.split(key)
        scale = _six(self.gyroscope_random_walk, self.accelerometer_random_walk)
        start = _six(self.gyroscope_turn_on_bias, self.accelerometer_turn_on_bias)
        steps = scale * self.rate_hz**-0.5 * _normal(walk_key, ticks)
        steps = steps.at[0].set(start * jax.random.normal(turn_on_key, (6,)))
        walk = jnp.cumsum(steps, axis=0)
        return walk[:, :3], walk[:, 3:]

    def noise(self, key: jax.Array, ticks: int) -> jax.Array:
        """Draw white noise `[ticks, 6]` for gyro and accel."""
        density = _six(self.gyroscope_noise_density, self.accelerometer_noise_density)
        return density * self.rate_hz**0.5 * _normal(key, ticks)


def _normal(key: jax.Array, ticks: int) -> jax.Array:
    """Draw `[ticks, 6]` in float32, at a third of the cost; as noise it is as good."""
    return jax.random.normal(key, (ticks, 6), jnp.float32).astype(float)


def _six(gyro: float, accel: float) -> np.ndarray:
    return np.repeat([gyro, accel], 3)


def Gps(
    rate_hz: float = 5.0,
    sigma_m: tuple[float, ...] = (1.0, 1.0, 1.8),
    *,
    measure: Callable[[jax.Array], jax.Array],
    observes: str = "position",
    **chances: Any,
) -> Sensor:
    """Make a GPS that measures a position east, north (and up) [m]."""
    names = ("east", "north", "up")[: len(sigma_m)]
    channels = tuple(Channel(f"gps_{name}", "m") for name in names)
    return Sensor("gps", channels, rate_hz, sigma_m, measure, observes=observes, **chances)


def Compass(
    rate_hz: float, sigma_rad: float, *, measure: Callable[[jax.Array], jax.Array]
) -> Sensor:
    """Make a compass that measures the heading [rad], from east towards north."""
    channels = (Channel("compass", "rad"),)
    return Sensor("compass", channels, rate_hz, (sigma_rad,), measure, angular=True)

"""3-D strapdown navigation: a MEMS IMU at 100 Hz corrected by GPS positions at 5 Hz.

World east, north, up; body forward, left, up. The accelerometer reads specific force
(+9.8 m/s^2 upwards at rest). Attitude errors are written in world axes. The process model is
strapdown integration over one tick with the attitude at its middle (Sola 2017, section 5.4).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core import quaternion
from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Gps, Imu
from kalmanrnn.scenarios.trajectories import integrate, random_spline, smoothstep

GRAVITY = 9.80665  # m/s^2
DOWN = np.array([0.0, 0.0, -GRAVITY])
IMU = Imu()
SPACE = StateSpace(
    (
        Block("attitude", "rotation", unit="deg"),
        Block("velocity", unit="m/s"),
        Block("position", unit="m"),
        Block("gyro_bias", unit="deg/s"),
        Block("accel_bias", unit="m/s^2"),
    )
)


def process(x: jax.Array, u: jax.Array, dt: jax.Array) -> jax.Array:
    """Integrate one IMU reading."""
    q, v, p, gyro_bias, accel_bias = x[:4], x[4:7], x[7:10], x[10:13], x[13:16]
    half_turn = quaternion.exp(0.5 * dt * (u[:3] - gyro_bias))
    middle = quaternion.multiply(q, half_turn)
    accel = quaternion.rotate(middle, u[3:] - accel_bias) + DOWN.astype(x.dtype)
    q = quaternion.normalise(quaternion.multiply(middle, half_turn))
    p = p + v * dt + 0.5 * accel * dt**2
    return jnp.concatenate([q, v + accel * dt, p, gyro_bias, accel_bias])


def motion(key: jax.Array, ticks: int, dt: float) -> tuple[jax.Array, jax.Array]:
    """Draw smooth 3-D motion: states `[ticks + 1, 10]` and ideal IMU readings `[ticks, 6]`.

    Speed 0 to 20 m/s with stops, all headings, climbs, banked turns; turn rates and bank angles
    differ between drives.
    """
    curve_key, start_key, yaw_key, swing_key, lean_key = jax.random.split(key, 5)
    fast, turn, climb, sway = (
        random_spline(k, ticks, dt, knot_s)
        for k, knot_s in zip(jax.random.split(curve_key, 4), (5.0, 4.0, 5.0, 2.0), strict=True)
    )
    start = jax.random.uniform(start_key, (3,), minval=-1.0, maxval=1.0)
    start = start * jnp.array([1000.0, 1000.0, 100.0])
    start_yaw = jax.random.uniform(yaw_key, minval=-jnp.pi, maxval=jnp.pi)
    swing = jnp.exp(jax.random.uniform(swing_key, minval=jnp.log(0.15), maxval=jnp.log(1.5)))
    lean = jax.random.uniform(lean_key, maxval=0.8)

    def pose(c):
        speed = 20.0 * smoothstep(0.5 + 0.4 * c[0])
        pitch = 0.1 * c[3]
        bank = lean * jnp.arctan(speed * swing * c[2] / GRAVITY) + 0.03 * c[4]
        yaw = start_yaw + swing * c[1]
        # Nose up is a negative rotation about the left-pointing y axis.
        tilt = quaternion.multiply(
            quaternion.from_axis_angle(1, -pitch), quaternion.from_axis_angle(0, bank)
        )
        q = quaternion.multiply(quaternion.from_axis_angle(2, yaw), tilt)
        flat = jnp.cos(pitch)
        direction = jnp.stack([flat * jnp.cos(yaw), flat * jnp.sin(yaw), jnp.sin(pitch)])
        return q, speed * direction

    def reading(c, rate):
        (q, _), (q_rate, accel) = jax.jvp(pose, (c,), (rate,))
        back = quaternion.inverse(q)
        turn_rate = 2 * quaternion.multiply(back, q_rate)[:3]
        return jnp.concatenate([turn_rate, quaternion.rotate(back, accel - DOWN)])

    now = jnp.stack([fast[0], turn[0], turn[1], climb[0], sway[0]])
    rate = jnp.stack([fast[1], turn[1], turn[2], climb[1], sway[1]])
    # Time is the last axis: the innermost loop is long then, and 20 times faster on CPU.
    over_time = partial(jax.vmap, in_axes=1, out_axes=1)
    q, velocity = over_time(pose)(now)
    position = start[:, None] + integrate(velocity, dt)
    states = jnp.concatenate([q[:, ::2], velocity[:, ::2], position])
    return states.T, over_time(reading)(now[:, 1::2], rate[:, 1::2]).T


def make(
    gps_hz: float = 5.0,
    gps_sigma_m: tuple[float, float, float] = (1.0, 1.0, 1.8),
    lever_arm_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
    dropout: float = 0.0,
    outage_s: float = 0.0,
    outage_chance: float = 0.0,
    outlier: float = 0.0,
    imu: Imu = IMU,
) -> Scenario:
    """Make the scenario; `lever_arm_m` is the antenna's position in body axes."""
    arm = jnp.asarray(lever_arm_m)

    def measure(x):
        return (
            x[7:10]
            if not any(lever_arm_m)
            else x[7:10] + quaternion.rotate(x[:4], arm.astype(x.dtype))
        )

    def process_noise(x, u, dt):
        per_axis = jnp.array(
            [
                imu.gyroscope_noise_density**2,
                imu.accelerometer_noise_density**2,
                0.0,
                imu.gyroscope_random_walk**2,
                imu.accelerometer_random_walk**2,
            ],
            x.dtype,
        )
        return jnp.repeat(per_axis, 3) * dt

    def simulate_truth(key, ticks):
        motion_key, bias_key, noise_key = jax.random.split(key, 3)
        states, ideal = motion(motion_key, ticks, 1 / imu.rate_hz)
        gyro_bias, accel_bias = imu.biases(bias_key, ticks + 1)
        bias = jnp.concatenate([gyro_bias, accel_bias], axis=1)
        u = ideal + bias[:-1] + imu.noise(noise_key, ticks)
        return jnp.concatenate([states, bias], axis=1), u

    std = _initial_std(imu)

    def sample_initial(key, truth):
        draw_key, size_key, sign_key = jax.random.split(key, 3)
        d = jnp.asarray(std) * jax.random.normal(draw_key, (15,))
        yaw = jnp.deg2rad(jax.random.uniform(size_key, minval=5.0, maxval=10.0))
        d = d.at[2].set(jnp.where(jax.random.bernoulli(sign_key), yaw, -yaw))
        # The initial belief has biases of zero: its error there is the full bias.
        d = d.at[9:].set(-truth[10:])
        return SPACE.retract(truth, d)

    return Scenario(
        name="imu_gps",
        summary="3-D navigation, IMU 100 Hz and GPS 5 Hz, 15 error states",
        space=SPACE,
        inputs=imu.channels(),
        sensors=(
            Gps(
                gps_hz,
                gps_sigma_m,
                measure=measure,
                dropout=dropout,
                outage_s=outage_s,
                outage_chance=outage_chance,
                outlier=outlier,
            ),
        ),
        tick_hz=imu.rate_hz,
        process=process,
        process_noise=process_noise,
        simulate_truth=simulate_truth,
        initial_std=std,
        sample_initial=sample_initial,
        origin="position",
        frame=frame,
        features=features,
        yaw_symmetry=yaw_symmetry,
    )


def _initial_std(imu: Imu) -> tuple[float, ...]:
    """Tilt 1 degree, yaw 7.6 (the root mean square of 5 to 10), 0.5 m/s, 2 m, turn-on biases."""
    tilt, yaw = 0.01745, 0.133
    gyro, accel = imu.gyroscope_turn_on_bias, imu.accelerometer_turn_on_bias
    return (tilt, tilt, yaw, *[0.5] * 3, *[2.0] * 3, *[gyro] * 3, *[accel] * 3)


def yaw_symmetry(x: jax.Array, z: jax.Array, angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rotate state and fix about the vertical: nothing here depends on north."""
    q = quaternion.from_axis_angle(2, angle)
    parts = [quaternion.multiply(q, x[:4]), *(quaternion.rotate(q, x[i : i + 3]) for i in (4, 7))]
    return jnp.concatenate([*parts, x[10:]]), quaternion.rotate(q, z)


def frame(x: jax.Array) -> jax.Array:
    """Correct in world axes; only the biases' tangent is in body axes."""
    to_body = quaternion.matrix(x[:4]).T
    d = jnp.eye(15, dtype=x.dtype)
    return d.at[9:12, 9:12].set(to_body).at[12:15, 12:15].set(to_body)


def features(x: jax.Array, u_mean: jax.Array) -> jax.Array:
    """World axes: force without gravity, turn rate, velocity, biases, body axes, in O(1)."""
    turn = quaternion.rotate(x[:4], u_mean[:3] - x[10:13])
    force = quaternion.rotate(x[:4], u_mean[3:] - x[13:16]) + DOWN.astype(x.dtype)
    biases = jnp.concatenate([x[10:13] / 5e-3, x[13:16] / 0.1])
    axes = quaternion.matrix(x[:4])[:, :2].T.reshape(-1)
    return jnp.concatenate([turn, force, x[4:7] / 10.0, axes, biases])


SCENARIO = make()

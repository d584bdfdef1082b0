"""Read temperature, gravity and metallicity from spectra of 7,000 points.

Strided convolutions shorten 7,000 points to 53 steps, over which an LSTM reads from both ends.
variant=plain is an LSTM over the 7,000 points as they are: a gradient has to come back through all
of them, and one update takes long. Its loss does not fall, and it is kept to show that.

Synthetic. Labels are uniform: temperature T 4,000 to 7,000 K, gravity log g 1 to 5, metallicity
[M/H] -1.5 to 0.5. With wavelength u from 0 to 1 (400 to 700 nm) a spectrum is

    brightness x Planck(T, u) x exp(-sum over lines of strength / (1 + ((u - centre) / width)^2)^2)
    + noise of 0.02

Planck's curve is divided by its mean. Brightness, exp of a normal of 0.3, says nothing: distances
differ. 60 lines, their places and figures drawn once with a fixed seed: eight of hydrogen, which
grow with T (strength x exp(2 t), t = (T - 5,500) / 1,500) and whose width doubles for each 2 in
log g; the others of metals, strength x exp(ln 10 x 0.5 [M/H] + a t + b (log g - 3) / 2), a from
-1.5 to 0.3 and b from -0.4 to 0.6 by line, narrow. So each label shows in many places, and none
in one alone.

Spectra are made by their number at every update: none is kept, and 50,000 of them
(--set count=50000) take no more memory than 5,000. Figure of merit: the smallest R^2 of the
three labels on 1,000 fresh spectra.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kalmanrnn.core.config import BudgetConfig, NetworkConfig
from kalmanrnn.scenarios.sensors import Channel
from kalmanrnn.tasks.model import Model
from kalmanrnn.tasks.predict import outputs
from kalmanrnn.tasks.sampler import drawer
from kalmanrnn.tasks.task import Merit, Sample, SequenceTask, Verdict, plain

LOW, HIGH = np.array([4000.0, 1.0, -1.5]), np.array([7000.0, 5.0, 0.5])
FIRST_NM, LAST_NM = 400.0, 700.0
SECOND_RADIATION_NM_K = 1.4388e7
BRIGHTNESS, NOISE = 0.3, 0.02
LINES, HYDROGEN = 60, 8
AT_ONCE = 50


class Lines(NamedTuple):
    """Absorption lines, `[L]` each; exponents are per unit of t, (log g - 3) / 2 and [M/H]."""

    centre: np.ndarray
    width: np.ndarray
    log_strength: np.ndarray
    by_temperature: np.ndarray
    by_gravity: np.ndarray
    by_metals: np.ndarray
    width_by_gravity: np.ndarray


def lines() -> Lines:
    """Draw the lines that all spectra share."""
    rng = np.random.default_rng(7000)
    hydrogen = np.arange(LINES) < HYDROGEN
    return Lines(
        centre=rng.uniform(0.01, 0.99, LINES),
        width=np.where(hydrogen, 3e-3, rng.uniform(4e-4, 1e-3, LINES)),
        log_strength=np.where(hydrogen, np.log(0.5), rng.uniform(np.log(0.3), np.log(1.5), LINES)),
        by_temperature=np.where(hydrogen, 2.0, rng.uniform(-1.5, 0.3, LINES)),
        by_gravity=np.where(hydrogen, 0.0, rng.uniform(-0.4, 0.6, LINES)),
        by_metals=np.where(hydrogen, 0.0, np.log(10) * 0.5),
        width_by_gravity=np.where(hydrogen, np.log(2), 0.0),
    )


def flux(labels: jax.Array, points: int) -> jax.Array:
    """Return the spectrum without brightness and noise `[points]` of labels T, log g, [M/H]."""
    temperature, gravity, metals = labels
    t, g = (temperature - 5500) / 1500, (gravity - 3) / 2
    u = jnp.linspace(0.0, 1.0, points)
    nm = FIRST_NM + (LAST_NM - FIRST_NM) * u
    planck = (500 / nm) ** 5 / jnp.expm1(SECOND_RADIATION_NM_K / (nm * temperature))

    def absorb(depth: jax.Array, line: Lines) -> tuple[jax.Array, None]:
        exponent = line.by_temperature * t + line.by_gravity * g + line.by_metals * metals
        strength = jnp.exp(line.log_strength + exponent)
        width = line.width * jnp.exp(line.width_by_gravity * g)
        return depth + strength / (1 + ((u - line.centre) / width) ** 2) ** 2, None

    every = jax.tree.map(lambda a: jnp.asarray(a, u.dtype), lines())
    depth, _ = jax.lax.scan(absorb, jnp.zeros(points), every)
    return planck / planck.mean() * jnp.exp(-depth)


def spectrum(key: jax.Array, points: int) -> Sample:
    """Draw one star: `[points, 1]` flux, `[3]` labels."""
    label_key, brightness_key, noise_key = jax.random.split(key, 3)
    labels = jax.random.uniform(label_key, (3,), minval=jnp.array(LOW), maxval=jnp.array(HIGH))
    brightness = jnp.exp(BRIGHTNESS * jax.random.normal(brightness_key))
    noise = NOISE * jax.random.normal(noise_key, (points,))
    return plain((brightness * flux(labels, points) + noise)[:, None], labels)


def judge(model: Model, key: jax.Array) -> Verdict:
    """Explain how much of each label's variance."""
    task = model.task
    made = drawer(task.draw, task.steps)
    said, true = [], []
    for first in range(0, task.budget.test, AT_ONCE):
        sample = made(key, jnp.arange(first, first + AT_ONCE))
        said.append(outputs(model, np.asarray(sample.x)))
        true.append(np.asarray(sample.y, np.float64))
    y = np.concatenate(true)
    r = np.concatenate(said) - y
    r2 = 1 - (r**2).mean(axis=0) / y.var(axis=0)
    off = np.sqrt((r**2).mean(axis=0))
    names = [channel.name for channel in task.labels]
    units = [f" [{channel.unit}]" if channel.unit else "" for channel in task.labels]
    nm = np.linspace(FIRST_NM, LAST_NM, task.steps)
    stars = (
        ("5,500 K", 5500.0, 4.0, 0.0),
        ("4,200 K", 4200.0, 4.0, 0.0),
        ("6,800 K", 6800.0, 2.0, -1.0),
    )
    return Verdict(
        float(r2.min()),
        rows=(
            *((f"R^2 of {name}", float(a)) for name, a in zip(names, r2, strict=True)),
            *(
                (f"root mean square error of {name}{unit}", float(a))
                for name, unit, a in zip(names, units, off, strict=True)
            ),
        ),
        curves=tuple(
            (
                f"{name}, log g {g:g}, [M/H] {m:g}",
                nm,
                np.asarray(flux(jnp.array([t, g, m]), task.steps)),
            )
            for name, t, g, m in stars
        ),
        axes=("wavelength [nm]", "flux before noise"),
    )


def make(variant: str = "conv", count: int = 5000, points: int = 7000) -> SequenceTask:
    """Describe the task; variant: conv or plain."""
    if variant not in ("conv", "plain"):
        raise ValueError(f"variant must be conv or plain, got {variant}")
    if variant == "plain":
        network = NetworkConfig(hidden=32)
        budget = BudgetConfig(
            updates=150,
            batch=16,
            sequences=count,
            learning_rate=2e-3,
            warmup=20,
            validation=64,
            test=200,
        )
    else:
        network = NetworkConfig(
            hidden=32, bidirectional=True, conv=((16, 16, 8), (32, 8, 4), (32, 8, 4))
        )
        budget = BudgetConfig(
            updates=2000,
            batch=50,
            sequences=count,
            learning_rate=3e-3,
            final_fraction=0.01,
            num_validations=5,
        )
    return SequenceTask(
        name="spectra",
        summary=f"{count:,} spectra of {points:,} points: temperature, gravity and metallicity",
        kind="sequence_value",
        inputs=(Channel("flux", ""),),
        labels=(Channel("temperature", "K"), Channel("log g", ""), Channel("[M/H]", "dex")),
        draw=spectrum,
        steps=points,
        network=network,
        budget=budget,
        merit=Merit("smallest R^2 of the three labels", bar=0.95, higher=True),
        judge=judge,
    )


TASK = make()

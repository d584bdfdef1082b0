"""Sequences that a network can learn, for doctor's tests: faults are planted in them there."""

import numpy as np


def lagged(seed=0, n=160, steps=40, lag=5, noise=0.1):
    """White noise in; out comes one column of it `lag` steps late, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, steps, 2))
    y = 0.5 * x[..., 1:] + noise * rng.normal(size=(n, steps, 1))
    y[:, lag:, 0] += x[:, :-lag, 0]
    return x, y


def sines(seed=0, n=160, steps=40):
    """Give the next value of sines of 0.5 to 4 Hz at 25 samples per second."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps + 1) / 25
    frequency, phase = rng.uniform(0.5, 4, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    x = np.sin(2 * np.pi * frequency * t + phase)
    return x[:, :-1, None], x[:, 1:, None]


def forecasts(seed=0, n=400):
    """25 values of a sine in, the next 10 out."""
    x, y = sines(seed, n, 35)
    return x[:, :25], y[:, 24:34, 0]


def walks(seed=0, n=160, steps=40, feedback=True):
    """Increments in, their sum out, from a random start; the last output as an input or not."""
    rng = np.random.default_rng(seed)
    step = 0.3 * rng.normal(size=(n, steps))
    level = np.cumsum(step, axis=1) + rng.normal(size=(n, 1))
    columns = [step, level - step] if feedback else [step]
    return np.stack(columns, axis=-1), level[..., None]


def bursts(seed=0, n=160, steps=130):
    """A half sine of 10 steps somewhere in the first 50; 1 until it is over."""
    rng = np.random.default_rng(seed)
    into = np.arange(steps) - rng.integers(0, 40, (n, 1))
    x = np.where((into >= 0) & (into < 10), np.sin(np.pi * (into + 0.5) / 10), 0)
    return x[..., None], (into < 10).astype(float)[..., None]


def filtered(seed=0, n=160, steps=40):
    """A slow process, seen with noise, is to be told from it."""
    x = slow(seed, n, steps)
    return x + 0.5 * np.random.default_rng(seed + 1).normal(size=x.shape), x


def bent(seed=0, n=160, steps=40):
    """A slow process in, its square out."""
    x = slow(seed, n, steps)
    return x, x**2


def slow(seed, n, steps, memory=0.95):
    rng = np.random.default_rng(seed)
    x = np.empty((n, steps, 1))
    x[:, 0] = rng.normal(size=(n, 1))
    for t in range(1, steps):
        x[:, t] = memory * x[:, t - 1] + np.sqrt(1 - memory**2) * rng.normal(size=(n, 1))
    return x


def classes(seed=0, n=160, steps=40):
    """Noise whose mean tells a class; the class at the end."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    x = rng.normal(size=(n, steps, 3))
    x[..., 0] += 0.5 * label[:, None]
    return x, label[:, None].astype(float)


def labels(seed=0):
    """The same class at each step."""
    x, y = classes(seed)
    return x, np.repeat(y[:, None], x.shape[1], axis=1)


def windows(seed=0, n=160, steps=24, lag=8):
    """Windows cut one behind the other from one long series; its noise comes out `lag` late."""
    x = slow(seed, 1, n * steps + lag, memory=0.9)[0]
    y = x[:-lag] + 0.1 * np.random.default_rng(seed).normal(size=(n * steps, 1))
    return x[lag:].reshape(n, steps, 1), y.reshape(n, steps, 1)


HEALTHY = (lagged, sines, forecasts, walks, bursts, filtered, bent, classes, labels)

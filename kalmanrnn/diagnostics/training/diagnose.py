"""Look at sequences and, where there is one, at the network that should learn them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from kalmanrnn.core.config import NetworkConfig
from kalmanrnn.diagnostics.finding import Finding, format_findings, worst_first
from kalmanrnn.diagnostics.training import (
    boundaries,
    columns,
    fit,
    lags,
    learning,
    memory,
    width,
)
from kalmanrnn.diagnostics.training import (
    output_range as reach,
)
from kalmanrnn.diagnostics.training.axes import axes
from kalmanrnn.diagnostics.training.curves import Curves, curves
from kalmanrnn.diagnostics.training.growth import growth
from kalmanrnn.diagnostics.training.leak import leak
from kalmanrnn.diagnostics.training.length import too_long
from kalmanrnn.diagnostics.training.net import Network, own, somebodys
from kalmanrnn.diagnostics.training.offset import unseen_offset
from kalmanrnn.diagnostics.training.regression import HELD_SHARE, scaled
from kalmanrnn.diagnostics.training.sequences import (
    FEW_SEQUENCES,
    Series,
    alike,
    bounded,
    finite,
    neighbours,
    openings,
    pieces,
    series_of,
)
from kalmanrnn.diagnostics.training.settings import DEFAULT_RATE, Settings
from kalmanrnn.diagnostics.training.shift import off_by_one

# Among findings of one level the first cause comes first: what stands early makes what is late.
CAUSES = (
    *("nan", "axes", "leak", "constant", "growth", "scale", "duplicate", "range", "output layer"),
    *("resolution", "feedback", "off by one", "carry", "window", "length", "memory", "gradient"),
    *("one batch", "learning rate", "width", "parameters"),
)
FEWEST = 4
# Steps of a sequence that networks are trained on: the time goes by them.
MOST_LEARNT = 64


class Diagnosis(NamedTuple):
    """What was found, worst first, and the curves of the picture.

    lags: how far back targets depend on inputs. curves: of the network, or of our own core after
    a short training (`whose`). sweep: widths and seeds. rate: the best of a short range test.
    """

    findings: tuple[Finding, ...]
    lags: lags.LagCurve | None = None
    curves: Curves | None = None
    whose: str = ""
    sweep: width.Sweep | None = None
    rate: float | None = None

    def __str__(self) -> str:
        """Give what a person reads."""
        return format_findings(self.findings)


Tell = Callable[[str], None]


def by_cause(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put errors before warnings, and causes before what they cause."""
    return worst_first(findings, CAUSES)


def check(
    inputs: Any,
    targets: Any,
    *,
    step: Callable | None = None,
    carry: Any = None,
    params: Any = None,
    held_out: tuple[Any, Any] | None = None,
    carried: bool = False,
    learning_rate: float | None = None,
    output_range: tuple[float, float] | None = None,
    loss: fit.Loss = fit.square,
    learn: bool = True,
) -> Diagnosis:
    """Find out why a network does not learn; `print` what it returns.

    inputs `[N, T, F]`, targets `[N, T, D]` or `[N, D]` (one per sequence), held_out: such a pair.
    step: `(carry, x) -> (carry, output)`, or `(params, carry, x)` where `params` are given, which
    a check may then train copies of; `carry` is the empty memory. Without a step our own core
    stands in. Raises UserError where shapes do not fit.
    """
    series = series_of(inputs, targets)
    held = None if held_out is None else series_of(*held_out, name="held_")
    if held is not None:
        alike(series, held)
    network = None
    if step is not None:
        sizes = series.inputs.shape[2], series.targets.shape[2]
        network = somebodys(step, carry, params, *sizes)
    settings = Settings(
        carried=carried,
        learning_rate=learning_rate,
        output_range=output_range,
        loss=loss,
        learn=learn,
    )
    return examine(series, held, network, settings)


def examine(
    series: Series,
    held: Series | None,
    network: Network | None,
    settings: Settings,
    tell: Tell = lambda line: None,
) -> Diagnosis:
    """Look at the data first, then at what it asks of a network, then at the network."""
    found, series = columns.not_finite(series), finite(series)
    found += axes(series) if len(series.inputs) else []
    if held is not None:
        found += columns.not_finite(held, "held-out ")
        held = finite(held)
    swapped = any(f.name == "axes" for f in found)
    if swapped or len(series.inputs) < 1:
        return Diagnosis(by_cause(found))
    tell("looking at columns, growth and joins")
    found += columns.constant(series) + columns.duplicate(series)
    grows = growth(series)
    found += grows or columns.scale(series)
    found += [] if held is None or not len(held.inputs) else leak(series, held)
    whole, series = series, bounded(series)
    found += boundaries.carry(neighbours(whole), carried=settings.carried)
    cut = pieces(series)
    tell("asking how far back the targets depend on the inputs")
    curve = lags.lag_curve(cut)
    # From the start on: a sum from there on is told by the inputs, one from the middle is not.
    told = len(series.inputs) < FEW_SEQUENCES or settings.fed_back
    hidden = [] if told else unseen_offset(openings(whole), curve)
    found += hidden + off_by_one(cut)
    if not hidden and not any(f.name == "carry" for f in found):
        found += lags.short_window(cut, curve)
    found += too_long(whole, curve, stride=settings.stride)
    seen, more = look_at_network(series, network, settings, curve, tell)
    found += more
    if not settings.learn or any(f.name == "constant" and f.level == "error" for f in found):
        return Diagnosis(by_cause(found), curve, seen, "the network")
    return train(cut, held, network, settings, Diagnosis(tuple(found), curve, seen), tell)


def look_at_network(
    series: Series,
    network: Network | None,
    settings: Settings,
    curve: lags.LagCurve | None,
    tell: Tell,
) -> tuple[Curves | None, list[Finding]]:
    """Look at what the network's output can be and how far back it looks."""
    limits = settings.output_range
    if network is None:
        return None, [] if limits is None else reach.out_of_range(series, *limits)
    tell("probing the network's output, its memory and its gradients")
    probed = reach.bounds(network, series.inputs.shape[2])
    found = reach.out_of_range(series, *(limits or probed))
    found += reach.output_layer(network, series, probed)
    seen = curves(network, series)
    return seen, found + memory.memory(seen, curve) + memory.gradients(seen, curve)


def train(
    series: Series,
    held: Series | None,
    network: Network | None,
    settings: Settings,
    so_far: Diagnosis,
    tell: Tell,
) -> Diagnosis:
    """Train the network, or our own core, for a short while in several ways."""
    if len(series.inputs) < FEWEST or (network is not None and not network.learns):
        return so_far._replace(findings=by_cause(so_far.findings), whose="the network")
    found = list(so_far.findings)
    core = core_for(settings, series.inputs.shape[1])
    learner, taught = network, series
    if learner is None:
        taught = scaled(series)
        sizes = taught.inputs.shape[2], taught.targets.shape[2]
        learner = own(*sizes, core, seed=0)
    tell("learning one batch by heart")
    stuck = learning.one_batch(learner, taught, settings.loss)
    tell("trying learning rates")
    slow, best = learning.learning_rate(learner, taught, settings.loss, settings.learning_rate)
    found += stuck + slow
    series = learning.opening(series, MOST_LEARNT)
    held = held and learning.first_steps(held, series.inputs.shape[1])
    whole, apart = divide(series, held)
    rate = settings.learning_rate or min(best or DEFAULT_RATE, DEFAULT_RATE)
    if network is not None and best is not None:
        tell("counting parameters against data")
        found += width.more_parameters_than_data(network, whole, apart, rate, settings.loss)
    tell("training networks of several widths")
    both = scaled(series)
    whole, apart = divide(both, None if held is None else scaled_like(held, series))
    # Widths are ours, and so is the loss: a user's own may ask for classes.
    swept = width.sweep(whole, apart, core, min(rate, 1.0), fit.square)
    found += width.wider_is_worse(swept)
    seen, whose = so_far.curves, "the network"
    if network is None:
        seen = curves(swept.network._replace(params=swept.params), both)
        whose = f"our own core after {width.UPDATES} updates"
    return Diagnosis(by_cause(found), so_far.lags, seen, whose, swept, best)


def core_for(settings: Settings, steps: int) -> NetworkConfig:
    """Return the core that stands in, with forget gates that start open for whole sequences."""
    if settings.core.chrono_steps:
        return settings.core
    return replace(settings.core, chrono_steps=max(2, steps))


def divide(series: Series, held: Series | None) -> tuple[Series, Series]:
    """Give training and held-out sequences: the last ones where nobody gives others."""
    if held is not None and len(held.inputs):
        return series, held
    last = max(1, round(HELD_SHARE * len(series.inputs)))
    parts = [series._replace(inputs=series.inputs[s], targets=series.targets[s])
             for s in (slice(None, -last), slice(-last, None))]  # fmt: skip
    return parts[0], parts[1]


def scaled_like(held: Series, series: Series) -> Series:
    """Bring held-out sequences into the training sequences' units."""

    def one(a: np.ndarray, like: np.ndarray) -> np.ndarray:
        spread = like.std(axis=(0, 1))
        return (a - like.mean(axis=(0, 1))) / np.where(spread > 0, spread, 1.0)

    return held._replace(
        inputs=one(held.inputs, series.inputs), targets=one(held.targets, series.targets)
    )

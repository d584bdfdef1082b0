"""Diagnose sequences and, where there is one, the network that should learn them."""

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
    output_range,
    width,
)
from kalmanrnn.diagnostics.training.axes import check_axes
from kalmanrnn.diagnostics.training.curves import Curves, measure_curves
from kalmanrnn.diagnostics.training.growth import check_growth
from kalmanrnn.diagnostics.training.leak import check_leak
from kalmanrnn.diagnostics.training.length import check_length
from kalmanrnn.diagnostics.training.missing_level import check_missing_level
from kalmanrnn.diagnostics.training.network import Network, from_user, make_network
from kalmanrnn.diagnostics.training.off_by_one import check_off_by_one
from kalmanrnn.diagnostics.training.regression import VALIDATION_SHARE, standardise_columns
from kalmanrnn.diagnostics.training.sequences import (
    FEW_SEQUENCES,
    Sequences,
    check_same_columns,
    drop_nonfinite,
    limit_first_steps,
    limit_last_steps,
    limit_sequences,
    make_sequences,
    split_long,
)
from kalmanrnn.diagnostics.training.settings import DEFAULT_LEARNING_RATE, DiagnosisConfig

# Of findings of one level the causes come before what they cause.
CAUSES = (
    *("nan", "axes", "leak", "constant", "growth", "scale", "duplicate", "range", "output layer"),
    *("resolution", "feedback", "off by one", "carry", "window", "length", "memory", "gradient"),
    *("one batch", "learning rate", "width", "parameters"),
)
MIN_SEQUENCES = 4
# Networks are trained on this many steps of a sequence: they decide how long it takes.
MAX_TRAINED_STEPS = 64


class Diagnosis(NamedTuple):
    """What was found, worst first, and the curves of the figure; `print` it.

    lags: how far back targets depend on inputs. curves: of the network, or of our own core after
    a short training (`network_name`). width_sweep: losses over widths and seeds. learning_rate:
    the best of a short range test.
    """

    findings: tuple[Finding, ...]
    lags: lags.LagCurve | None = None
    curves: Curves | None = None
    network_name: str = ""
    width_sweep: width.WidthSweep | None = None
    learning_rate: float | None = None

    def __str__(self) -> str:
        """Return the findings as text."""
        return format_findings(self.findings)


Log = Callable[[str], None]


def by_cause(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sort by level, causes before what they cause."""
    return worst_first(findings, CAUSES)


def diagnose(
    inputs: Any,
    targets: Any,
    *,
    step: Callable | None = None,
    carry: Any = None,
    params: Any = None,
    validation: tuple[Any, Any] | None = None,
    stateful: bool = False,
    learning_rate: float | None = None,
    output_range: tuple[float, float] | None = None,
    loss: fit.Loss = fit.mean_squared_error,
    learn: bool = True,
    log: Log = lambda line: None,
) -> Diagnosis:
    """Find out why a network does not learn; `print` what it returns.

    inputs: `[N, T, F]`. targets: `[N, T, D]`, or `[N, D]` for one per sequence. NaN is a finding.
    validation: a pair of such arrays. step: `(carry, x [F]) -> (carry, output [D])`, or
    `(params, carry, x)` where `params` are given, of which copies are then trained; carry: its
    state at the start of a sequence. Without a step a small recurrent network stands in.
    stateful: the state is carried from each sequence into the next. learning_rate: Adam's.
    output_range: lowest and highest possible output, found by trial if not given. learn: train
    small networks for about a minute. log: takes progress messages.

    Raises UserError where shapes do not fit or a step does not run.
    """
    data = make_sequences(inputs, targets)
    held_out = None if validation is None else make_sequences(*validation, name="validation_")
    if held_out is not None:
        check_same_columns(data, held_out)
    network = None
    if step is not None:
        sizes = data.inputs.shape[2], data.targets.shape[2]
        network = from_user(step, carry, params, *sizes)
    config = DiagnosisConfig(
        stateful=stateful,
        learning_rate=learning_rate,
        output_range=output_range,
        loss=loss,
        learn=learn,
    )
    return run_checks(data, held_out, network, config, log)


def run_checks(
    data: Sequences,
    validation: Sequences | None,
    network: Network | None,
    config: DiagnosisConfig,
    log: Log = lambda line: None,
) -> Diagnosis:
    """Check the data first, then what it asks of a network, then the network."""
    found, data = columns.check_finite(data), drop_nonfinite(data)
    found += check_axes(data) if len(data.inputs) else []
    if validation is not None:
        found += columns.check_finite(validation, "validation ")
        validation = drop_nonfinite(validation)
    if len(data.inputs) < 1 or any(f.name == "axes" for f in found):
        return Diagnosis(by_cause(found))
    log("checking columns, growth and boundaries")
    found += columns.check_constant(data) + columns.check_duplicate(data)
    found += check_growth(data) or columns.check_scale(data)
    found += (
        [] if validation is None or not len(validation.inputs) else check_leak(data, validation)
    )
    found += boundaries.check_carry(limit_sequences(data), stateful=config.stateful)
    log("measuring how far back the targets depend on the inputs")
    curve, over_time = check_over_time(data, config, carried=any(f.name == "carry" for f in found))
    found += over_time
    curves, of_network = check_network(limit_last_steps(data), network, config, curve, log)
    found += of_network
    if not config.learn or any(f.name == "constant" and f.level == "error" for f in found):
        return Diagnosis(by_cause(found), curve, curves, "the network")
    pieces = split_long(limit_last_steps(data))
    so_far = Diagnosis(tuple(found), curve, curves)
    return check_training(pieces, validation, network, config, so_far, log)


def check_over_time(
    data: Sequences, config: DiagnosisConfig, *, carried: bool
) -> tuple[lags.LagCurve | None, list[Finding]]:
    """Check how targets depend on the past; `carried`: the state's carry is at fault already."""
    pieces = split_long(limit_last_steps(data))
    curve = lags.lag_curve(pieces)
    # From the start on: inputs explain a sum from there on, but not one from the middle.
    skip = len(data.inputs) < FEW_SEQUENCES or config.output_feedback
    found = [] if skip else check_missing_level(limit_first_steps(data), curve)
    window = [] if found or carried else lags.check_window(pieces, curve)
    found += check_off_by_one(pieces) + window
    return curve, found + check_length(data, curve, stride=config.stride)


def check_network(
    data: Sequences,
    network: Network | None,
    config: DiagnosisConfig,
    curve: lags.LagCurve | None,
    log: Log,
) -> tuple[Curves | None, list[Finding]]:
    """Check what the network's output can be and how far back it looks."""
    limits = config.output_range
    if network is None:
        return None, [] if limits is None else output_range.check_output_range(data, *limits)
    log("probing the network's output, its memory and its gradients")
    probed = output_range.probe_output_range(network, data.inputs.shape[2])
    found = output_range.check_output_range(data, *(limits or probed))
    found += output_range.check_output_layer(network, data, probed)
    curves = measure_curves(network, data)
    found += memory.check_memory(curves, curve)
    return curves, found + memory.check_gradients(curves, curve)


def check_training(
    data: Sequences,
    validation: Sequences | None,
    network: Network | None,
    config: DiagnosisConfig,
    so_far: Diagnosis,
    log: Log,
) -> Diagnosis:
    """Train the network, or our own core, for a short while in several ways."""
    if len(data.inputs) < MIN_SEQUENCES or (network is not None and not network.is_trainable):
        return so_far._replace(findings=by_cause(so_far.findings), network_name="the network")
    found = list(so_far.findings)
    core = stand_in_config(config, data.inputs.shape[1])
    trained, its_data = network, data
    if trained is None:
        its_data = standardise_columns(data)
        sizes = data.inputs.shape[2], data.targets.shape[2]
        trained = make_network(*sizes, core, seed=0)
    log("overfitting one batch")
    found += learning.check_one_batch(trained, its_data, config.loss)
    log("trying learning rates")
    bad_rate, best = learning.check_learning_rate(
        trained, its_data, config.loss, config.learning_rate
    )
    found += bad_rate
    data = learning.shorten(data, MAX_TRAINED_STEPS)
    validation = validation and learning.first_steps(validation, data.inputs.shape[1])
    rate = config.learning_rate or min(best or DEFAULT_LEARNING_RATE, DEFAULT_LEARNING_RATE)
    if network is not None and best is not None:
        log("counting parameters against data")
        split = split_validation(data, validation)
        found += width.check_parameters(network, *split, rate, config.loss)
    log("training networks of several widths")
    scaled = standardise_columns(data)
    split = split_validation(scaled, validation and standardise_like(validation, data))
    # These networks are ours, and so is the loss: a user's own may be for classes.
    sweep = width.run_width_sweep(*split, core, min(rate, 1.0), fit.mean_squared_error)
    found += width.check_width(sweep)
    curves, name = so_far.curves, "the network"
    if network is None:
        curves = measure_curves(sweep.network._replace(params=sweep.params), scaled)
        name = f"our own core after {width.UPDATES} updates"
    return Diagnosis(by_cause(found), so_far.lags, curves, name, sweep, best)


def stand_in_config(config: DiagnosisConfig, steps: int) -> NetworkConfig:
    """Return the core that stands in, its forget gates open for the length of a sequence."""
    if config.core.chrono_steps:
        return config.core
    return replace(config.core, chrono_steps=max(2, steps))


def split_validation(data: Sequences, validation: Sequences | None) -> tuple[Sequences, Sequences]:
    """Return training and validation sequences: the last ones where none are given."""
    if validation is not None and len(validation.inputs):
        return data, validation
    last = max(1, round(VALIDATION_SHARE * len(data.inputs)))
    parts = [data._replace(inputs=data.inputs[s], targets=data.targets[s])
             for s in (slice(None, -last), slice(-last, None))]  # fmt: skip
    return parts[0], parts[1]


def standardise_like(validation: Sequences, data: Sequences) -> Sequences:
    """Scale validation sequences by the training sequences' mean and spread."""

    def scale(a: np.ndarray, like: np.ndarray) -> np.ndarray:
        std = like.std(axis=(0, 1))
        return (a - like.mean(axis=(0, 1))) / np.where(std > 0, std, 1.0)

    return validation._replace(
        inputs=scale(validation.inputs, data.inputs),
        targets=scale(validation.targets, data.targets),
    )

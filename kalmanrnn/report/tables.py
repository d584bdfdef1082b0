"""The tables of a report as rows of text, the same for every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kalmanrnn.evaluation.comparison import Comparison, EstimatorMetrics
from kalmanrnn.evaluation.innovations import innovation_stats
from kalmanrnn.report.text import (
    NOTHING,
    describe_change,
    describe_consistency,
    group_label,
    interval,
    label,
    number,
    percent,
    seconds,
    unit,
    with_unit,
)

DETAIL = "Error in detail"


class Table(NamedTuple):
    """A table whose first `text_columns` columns are text, the others numbers.

    estimators: per row, the estimator it is about, or "".
    """

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    estimators: tuple[str, ...]
    text_columns: int = 1


def tables(comparison: Comparison, info: Mapping[str, Any]) -> list[Table]:
    """Return every table for which this comparison has data."""
    made = []
    if comparison.has_truth:
        made += [overview(comparison), ratios(comparison)]
    else:
        made += [agreement(comparison)]
    if info.get("outages"):
        made += outages(info["outages"])
    if comparison.has_truth:
        made.append(detail(comparison))
    made.append(consistency(comparison))
    return made if comparison.innovations is None else [*made, innovations(comparison)]


def overview(c: Comparison) -> Table:
    """Tabulate RMSE by state group, diverged drives and cost, one row per estimator."""
    groups = [g for g in c.groups if any(g.name in o.errors for o in c.metrics.values())]
    rows = tuple(
        (
            label(name),
            *(number(o.errors[g.name].rmse) if g.name in o.errors else NOTHING for g in groups),
            _diverged(o),
            number(o.us_per_tick, 2),
        )
        for name, o in c.metrics.items()
    )
    header = ("RMSE", *(with_unit(g) for g in groups), "diverged", "µs per tick")
    note = f"Root mean square error over all drives, the first {seconds(c.skip_s)} excluded."
    return Table("Side by side", note, header, rows, tuple(c.metrics))


def _diverged(outcome: EstimatorMetrics) -> str:
    return NOTHING if outcome.diverged is None else percent(float(outcome.diverged.mean()))


def ratios(c: Comparison) -> Table:
    """Tabulate accuracy and imitation ratios with their intervals, one row per state group."""
    rows = []
    for g in c.groups:
        if g.name not in c.accuracy_ratio:
            continue
        accuracy, imitation = c.accuracy_ratio[g.name], c.imitation_ratio[g.name]
        difference = f"{number(c.agreement[g.name])} {unit(g)}"
        gain = (*interval(accuracy), describe_change(accuracy))
        rows.append((group_label(g.name), *gain, *interval(imitation), difference))
    header = ("state group", "accuracy ratio", "95 %", "meaning", "imitation ratio", "95 %")
    header = (*header, f"RMS {label(c.student)} - {label(c.teacher)}")
    note = f"Against the {label(c.teacher)}. Intervals: paired bootstrap over {c.resampled}."
    return Table("Ratios", note, header, tuple(rows), ("",) * len(rows))


def agreement(c: Comparison) -> Table:
    """Tabulate the difference between student and teacher, where there is no truth."""
    rows = tuple(
        (group_label(g.name), f"{number(c.agreement[g.name])} {unit(g)}") for g in c.groups
    )
    note = f"There is no ground truth. The first {seconds(c.skip_s)} are excluded."
    title = f"Agreement of {label(c.student)} and {label(c.teacher)}"
    return Table(title, note, ("state group", "RMS difference"), rows, ("",) * len(rows))


def detail(c: Comparison) -> Table:
    """Tabulate the distribution of the error, state group by state group."""
    rows, estimators = [], []
    for g in c.groups:
        available = [(name, o) for name, o in c.metrics.items() if g.name in o.errors]
        for i, (name, o) in enumerate(available):
            numbers = (number(x) for x in o.errors[g.name])
            rows.append((with_unit(g) if i == 0 else "", label(name), *numbers))
            estimators.append(name)
    header = ("state group", "estimator", "RMSE", "median", "95th percentile", "max")
    note = f"Over all drives and events, the first {seconds(c.skip_s)} excluded."
    return Table(DETAIL, note, header, tuple(rows), tuple(estimators), text_columns=2)


def outages(given: Any) -> list[Table]:
    """Tabulate errors at withheld fixes and, with a truth, during the outages."""
    header = ("outage", "estimator", "distance from the next fix [m]")
    note = (
        "All correcting sensors are withheld for a while. Distance of each estimate from the first "
        "fix afterwards, which the estimator has not seen; the fix's own error is included."
    )
    made = [_outages(given, "Against withheld fixes", note, header, ("first_fix",))]
    if any(e.get("end") is not None for o in given for e in o["rows"].values()):
        header = ("outage", "estimator", "error at its end [m]", "largest error [m]")
        note = "The same outages, compared with the truth."
        made.append(_outages(given, "Outages", note, header, ("end", "largest")))
    return made


def _outages(
    given: Any, title: str, note: str, header: tuple[str, ...], keys: tuple[str, ...]
) -> Table:
    rows, estimators = [], []
    for outage in given:
        when = f"{seconds(outage['seconds'])} from {seconds(outage['start_s'])}"
        for i, (name, errors) in enumerate(outage["rows"].items()):
            numbers = (number(errors.get(key)) for key in keys)
            rows.append((when if i == 0 else "", label(name), *numbers))
            estimators.append(name)
    return Table(title, note, header, tuple(rows), tuple(estimators), text_columns=2)


def innovations(c: Comparison) -> Table:
    """Tabulate innovations by channel, which need no truth."""
    found = c.innovations
    assert found is not None
    rows, estimators = [], []
    for z, (channel, unit_) in enumerate(zip(found.channels, found.units, strict=True)):
        stats = [(name, innovation_stats(found, name, z, c.skip_s)) for name in found.value]
        for i, (name, f) in enumerate((n, f) for n, f in stats if f is not None):
            inside = NOTHING if f.inside is None else percent(f.inside)
            first = f"{channel} [{unit_}]" if i == 0 else ""
            rows.append((first, label(name), number(f.rms), number(f.mean), inside))
            estimators.append(name)
    header = ("measurement", "estimator", "RMS", "mean", "within 3 sigma")
    note = (
        "Reading minus its prediction. The sensor's own noise is in every row; in a consistent "
        "filter the mean is near 0 and 99.7 % lie within 3 sigma."
    )
    return Table("Innovations", note, header, tuple(rows), tuple(estimators), text_columns=2)


def consistency(c: Comparison) -> Table:
    """Tabulate whether the covariances are consistent."""
    rows, estimators = [], []
    for name, o in c.metrics.items():
        if not o.sigma and name != c.student:
            continue
        found = describe_consistency(o.nees_mean, c.nees_band) if o.sigma else "no covariance"
        rows.append((label(name), number(o.nees_mean), found, number(o.nis_mean)))
        estimators.append(name)
    low, high = (number(x) for x in c.nees_band)
    header = ("estimator", "NEES per dimension", "its covariance is", "NIS per dimension")
    note = f"95 % band of the mean NEES, each drive counted once: {low} to {high}."
    if not c.has_truth:
        note = "Without a truth there is only NIS, which is 1 in a consistent filter."
    return Table("Can the covariance be trusted?", note, header, tuple(rows), tuple(estimators))

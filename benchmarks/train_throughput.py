"""How many events per second training goes through, beside an LSTM of the same shapes in torch.

Counted is what the training loop does, from choosing the drives of a batch to the new
parameters. Drives are made by another process meanwhile: teacher_throughput.py times that.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax

from kalmanrnn.core.config import DataConfig, RunConfig, StudentConfig
from kalmanrnn.data.datasets import build_dataset
from kalmanrnn.data.distillation import DistillationTargets
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.data.teacher_runs import TeacherRun
from kalmanrnn.models.recurrent import merge
from kalmanrnn.models.student import Normaliser, Student, make_student
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.training.batches import batch_indices, prepare_set
from kalmanrnn.training.fit import burn_in_events, steps_in_drive
from kalmanrnn.training.losses import distil_loss
from kalmanrnn.training.phases import Phase, Position, locate, phases
from kalmanrnn.training.update import init_state, make_update

QUESTION = "Events per second of training on imu_gps, the direct student's update : torch.nn.LSTM's"

TORCH = "torch.nn.LSTM, Adam"


class Learner(NamedTuple):
    """A student, its set of drives, and how its updates go through them."""

    config: RunConfig
    student: Student
    params: Any
    norm: Normaliser
    laid: list[Phase]
    taught: TeacherRun

    def at(self, part: Phase, step: int) -> tuple[Position, np.ndarray, int]:
        """Return a step's place, its drives `[B]` and its first event, as `fit` chooses them."""
        where = locate(self.laid, part.first_step + step)
        drives = batch_indices(self.config.train.seed, where, self.config.data.drives)
        return where, drives, where.window * part.window

    def lay_out(self, part: Phase) -> Any:
        """Lay the set out for one pass, as `fit` does before each."""
        where = locate(self.laid, part.first_step)
        data = prepare_set(self.student, self.norm, self.config.train, where, self.taught)
        return jax.block_until_ready(data)


def make_learner(scenario: Scenario, config: RunConfig, taught: TeacherRun) -> Learner:
    """Make a student ready to learn from a set."""
    student, params = make_student(scenario, config.student, seed=config.train.seed)
    norm = fit_normaliser(student, taught.drives, taught.run, burn_in_events(scenario, config))
    laid = phases(config.train, config.data, steps_in_drive(scenario, config))
    return Learner(config, student, params, norm, laid, taught)


def updates(learner: Learner, part: Phase, steps: int) -> Callable[[], Any]:
    """Return the package's own updates, that many from the first."""
    update = make_update(learner.student, learner.norm, learner.config.train, part)
    first = init_state(learner.student, learner.config.train, part, learner.params)
    data = learner.lay_out(part)

    def run():
        state = first
        for step in range(steps):
            where, drives, event = learner.at(part, step)
            state, _ = update(state, data, drives, event, where.fresh)
        return jax.block_until_ready(state)

    return run


def adam_updates(learner: Learner, part: Phase, steps: int) -> Callable[[], Any]:
    """Return updates that do what torch's below do: Adam for Muon, no guard, no carried memory.

    A lap returns its last loss.
    """
    transform = optax.chain(
        optax.clip_by_global_norm(learner.config.train.clip), optax.adam(part.learning_rate)
    )
    data: DistillationTargets = learner.lay_out(part)
    empty = jax.tree.map(
        lambda a: jnp.zeros((part.batch, *a.shape)),
        merge(learner.student.graph, learner.params).initial_state(),
    )

    @jax.jit
    def update(params, opt, drives, event):
        window = jax.tree.map(
            lambda a: jax.lax.dynamic_slice_in_dim(a, event, part.window, 1)[drives].swapaxes(0, 1),
            data,
        )
        objective = partial(distil_loss, learner.student, learner.norm)
        (loss, _), grads = jax.value_and_grad(objective, has_aux=True)(params, empty, window)
        changes, opt = transform.update(grads, opt, params)
        return optax.apply_updates(params, changes), opt, loss

    def run():
        params, opt, loss = learner.params, transform.init(learner.params), None
        for step in range(steps):
            _, drives, event = learner.at(part, step)
            params, opt, loss = update(params, opt, drives, event)
        jax.block_until_ready(params)
        return loss

    return run


def torch_updates(
    torch: Any, learner: Learner, part: Phase, steps: int, threads: int
) -> Callable[[], Any]:
    """Return the same in torch: the same drives, windows, shapes, first weights and loss."""
    lesson: DistillationTargets = learner.lay_out(part)
    features, output = (torch.tensor(np.asarray(a)) for a in (lesson.features, lesson.output))
    lstm, head = torch_network(torch, learner)
    weights = [w for w in (*lstm.parameters(), *head.parameters()) if w.requires_grad]
    adam = torch.optim.Adam(weights, lr=part.learning_rate)

    def run():
        torch.set_num_threads(threads)
        loss = None
        for step in range(steps):
            _, drives, event = learner.at(part, step)
            x, y = (
                a[drives, event : event + part.window].swapaxes(0, 1) for a in (features, output)
            )
            loss = (torch.sqrt(1 + (head(lstm(x)[0]) - y) ** 2) - 1).mean()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, learner.config.train.clip)
            adam.step()
        return loss.item() if loss is not None else None

    return run


def torch_network(torch: Any, learner: Learner) -> tuple[Any, Any]:
    """Make the student's network in torch, with the same weights."""
    ours = merge(learner.student.graph, learner.params)
    inputs, hidden = ours.layers[0].x_map.kernel.shape[0], ours.layers[0].hidden
    width, outputs = ours.out_map.kernel.shape
    lstm = torch.nn.LSTM(inputs, hidden, num_layers=len(ours.layers))
    head = torch.nn.Sequential(
        torch.nn.Linear(hidden, width), torch.nn.Tanh(), torch.nn.Linear(width, outputs)
    )
    pairs: list[tuple[Any, Any]] = [
        pair
        for i, layer in enumerate(ours.layers)
        for pair in (
            (getattr(lstm, f"weight_ih_l{i}"), layer.x_map.kernel),
            (getattr(lstm, f"bias_ih_l{i}"), layer.x_map.bias),
            (getattr(lstm, f"weight_hh_l{i}"), layer.h_map.kernel),
        )
    ]
    pairs += [
        (head[0].weight, ours.head_map.kernel),
        (head[0].bias, ours.head_map.bias),
        (head[2].weight, ours.out_map.kernel),
        (head[2].bias, ours.out_map.bias),
    ]
    with torch.no_grad():
        for theirs, mine in pairs:
            theirs.copy_(torch.tensor(np.asarray(mine[...]).T.copy()))
        # torch has a second bias in the same sum: held at zero, or it would learn twice as fast.
        for i in range(len(ours.layers)):
            getattr(lstm, f"bias_hh_l{i}").zero_().requires_grad_(False)
    return lstm, head


def check_torch(torch: Any, learner: Learner, part: Phase) -> None:
    """Hold the loss after two updates equal in both before anything is timed."""
    ours = adam_updates(learner, part, 3)()
    theirs = torch_updates(torch, learner, part, 3, 1)()
    np.testing.assert_allclose(theirs, ours, rtol=1e-3)


def best_threads(torch: Any, learner: Learner, part: Phase) -> int:
    """Return 1 or all of torch's threads, whichever is faster in a short trial.

    On a busy machine they wait for each other, and two were seen to take 100 times as long as one.
    """
    counts = sorted({1, torch.get_num_threads()})
    laps = {str(count): torch_updates(torch, learner, part, 3, count) for count in counts}
    took = common.rounds(laps, repeats=3)
    return min(counts, key=lambda count: float(np.median(took[str(count)])))


def import_torch() -> tuple[Any, str]:
    """Return torch, or None and the reason."""
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        return None, f"left out: {error} (pip install torch; the package does not need it)"
    return torch, f"{torch.__version__} on cpu"


def main() -> None:
    flags = common.arguments(QUESTION)
    count, seconds, steps = (32, 12.0, 3) if flags.quick else (64, 60.0, 20)
    torch, about_torch = import_torch()
    print(f"jax on {jax.default_backend()}; torch {about_torch}\n", flush=True)

    # Drives hold still here: filterpy's check of them is left to training itself.
    data = DataConfig(drives=count, seconds=seconds, check_segments=0)
    config = RunConfig("imu_gps", student=StudentConfig(), data=data)
    scenario = load_scenario(config.sim)
    taught = build_dataset(scenario, config, 0)
    gain, direct = (
        make_learner(
            scenario, replace(config, student=replace(config.student, student=kind)), taught
        )
        for kind in ("gain", "direct")
    )
    distil, free = gain.laid
    works: dict[str, tuple[Phase, Callable[[], Any]]] = {
        "gain, distillation": (distil, updates(gain, distil, steps)),
        "gain, free run": (free, updates(gain, free, steps)),
        "direct, distillation": (distil, updates(direct, distil, steps)),
        "direct, with Adam": (distil, adam_updates(direct, distil, steps)),
    }
    if torch:
        threads = best_threads(torch, direct, distil)
        check_torch(torch, direct, distil)
        works[TORCH] = (distil, torch_updates(torch, direct, distil, steps, threads))
        about_torch += f", threads: {threads}"
    layouts = {
        "gain, distillation": partial(gain.lay_out, distil),
        "gain, free run": partial(gain.lay_out, free),
        "direct, distillation": partial(direct.lay_out, distil),
    }
    took = common.rounds({name: run for name, (_, run) in works.items()}, repeats=flags.repeats)
    laying = common.rounds(layouts, repeats=flags.repeats)
    told = tell(works, took, laying, steps=steps, events=taught.drives.t.size)

    ticks = scenario.ticks_per_event
    sizes = (
        f"hidden {config.student.hidden}, {count} drives of {seconds:g} s, {ticks} ticks an event"
    )
    print(f"\n{sizes}; n laps of {steps} updates; peak memory {common.peak_gib():.2f} GiB")
    ratios = {}
    if torch:
        print(f"torch {about_torch}")
        for name in ("direct, distillation", "direct, with Adam"):
            times = common.spread(took[TORCH] / took[name])
            ratios[name] = times._asdict()
            print(f"{name} : {TORCH} = {times}")
    ratio = ratios["direct, distillation"]["median"] if torch else None
    taken_from = {"events_per_s": told, "ratio_to_torch": ratios, "torch": about_torch}
    taken_from |= {"ticks_per_event": ticks, "drives": count, "seconds": seconds, "steps": steps}
    common.finish(flags, QUESTION, ratio, taken_from)


def tell(
    works: dict[str, tuple[Phase, Callable[[], Any]]],
    took: dict[str, np.ndarray],
    laying: dict[str, np.ndarray],
    *,
    steps: int,
    events: int,
) -> dict[str, Any]:
    """Print events per second of the updates alone, and with the laying out of each pass."""
    told = {}
    for name, (part, _) in works.items():
        each = took[name] / (steps * part.batch * part.window)
        alone = common.spread(1 / each)
        told[name] = {"update": alone._asdict()}
        print(f"{name}: {alone} events/s; {1e3 * np.median(took[name]) / steps:.1f} ms an update")
        print(f"     of {part.batch} drives x {part.window} events")
        if name in laying:
            whole = common.spread(1 / (each + laying[name] / events))
            told[name]["with_layout"] = whole._asdict()
            print(f"     with laying out each pass: {whole} events/s")
    return told


if __name__ == "__main__":
    main()

import json
import shutil
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kalmanrnn.core.config import DataConfig, RunConfig, StudentConfig, TrainConfig
from kalmanrnn.core.errors import DIVERGED, INTERRUPTED, UserError
from kalmanrnn.data.datasets import build_dataset
from kalmanrnn.data.normaliser import fit_normaliser
from kalmanrnn.models.student import make_student
from kalmanrnn.scenarios.scenario import load_scenario
from kalmanrnn.training.batches import prepare_set
from kalmanrnn.training.fit import check_improved, fit
from kalmanrnn.training.loop import Progress
from kalmanrnn.training.optimizer import phase_optimizer
from kalmanrnn.training.phases import locate, phases
from kalmanrnn.training.run_directory import create_run
from kalmanrnn.training.trained import TrainedStudent
from kalmanrnn.training.update import init_state, make_update

SMALL = RunConfig(
    sim="linear",
    student=StudentConfig(hidden=12, head=8),
    data=DataConfig(drives=16, seconds=12.0, validation=8, skip_s=2.0, check_segments=1),
    train=TrainConfig(
        distil_steps=60,
        distil_batch=8,
        distil_window=20,
        distil_epochs=6,
        rollout_steps=40,
        rollout_batch=8,
        rollout_window=10,
        rollout_epochs=2,
        warmup_steps=5,
        num_validations=4,
    ),
)


def folder_of(tmp_path, name, config=SMALL):
    return create_run(tmp_path / name, config, ["test"])


def arrays(tree):
    return [np.asarray(a) for a in jax.tree.leaves(tree)]


class Prepared(NamedTuple):
    """A student of SMALL before training, with a set to learn from."""

    student: Any
    params: Any
    dataset: Any
    norm: Any
    plan: list

    def begin(self, index):
        """Give a phase, its first state and its set laid out."""
        part = self.plan[index]
        state = init_state(self.student, SMALL.train, part, self.params)
        where = locate([part], part.first_step)
        return part, state, prepare_set(self.student, self.norm, SMALL.train, where, self.dataset)


@pytest.fixture(scope="module")
def prepared():
    scenario = load_scenario("linear")
    student, params = make_student(scenario, SMALL.student, seed=0)
    dataset = build_dataset(scenario, SMALL, 0)
    norm = fit_normaliser(student, dataset.drives, dataset.run, 2)
    plan = phases(SMALL.train, SMALL.data, dataset.drives.t.shape[1])
    return Prepared(student, params, dataset, norm, plan)


@pytest.fixture(scope="module")
def updates(prepared):
    """(index of the phase) -> its update, compiled once."""
    student, _, _, norm, plan = prepared
    return lru_cache(lambda index: make_update(student, norm, SMALL.train, plan[index]))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = folder_of(tmp_path_factory.mktemp("runs"), "straight")
    return folder, fit(load_scenario("linear"), SMALL, folder, quiet=True)


def test_it_learns(straight):
    _, trained = straight
    assert trained.progress.step == 100
    assert trained.progress.skipped == 0
    assert trained.progress.score < trained.progress.untrained_score - 1.0
    assert 0 < trained.progress.difference < 1e-6


@pytest.mark.parametrize("at", [50, 83])
def test_stop_and_resume_is_bit_for_bit(straight, tmp_path, at):
    before, first = straight
    folder = folder_of(tmp_path, "halves")
    with pytest.raises(UserError, match=f"after step {at}") as caught:
        fit(load_scenario("linear"), SMALL, folder, stop=lambda step: step == at, quiet=True)
    assert caught.value.code == INTERRUPTED
    second = fit(load_scenario("linear"), SMALL, folder, quiet=True)
    for a, b in zip(arrays(first.params), arrays(second.params), strict=True):
        np.testing.assert_array_equal(a, b)
    clocks = {"seconds": 0, "logged_s": 0}
    assert second.progress._replace(**clocks) == first.progress._replace(**clocks)
    said, said_again = before.history(), folder.history()
    assert [r["step"] for r in said] == [r["step"] for r in said_again]


def test_a_damaged_checkpoint_is_a_user_error(straight, tmp_path):
    folder = folder_of(tmp_path, "damaged")
    shutil.copytree(straight[0].path, folder.path, dirs_exist_ok=True)
    folder.last.write_bytes(folder.last.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        fit(load_scenario("linear"), SMALL, folder, quiet=True)


# Each phase and each kind, but for "delta", which is nearly "residual"; the rest takes longer.
QUICK = (("distil", "gain"), ("distil", "feedback"), ("rollout", "residual"), ("rollout", "direct"))
OVERFITTED = [
    pytest.param(*pair, marks=[] if pair in QUICK else [pytest.mark.slow])
    for pair in product(("distil", "rollout"), ("gain", "residual", "delta", "feedback", "direct"))
]


@pytest.mark.parametrize(("name", "kind"), OVERFITTED)
def test_one_batch_can_be_overfitted(name, kind):
    config = replace(
        SMALL,
        student=StudentConfig(student=kind, hidden=32, head=32),
        data=replace(SMALL.data, drives=4, outage_share=0.0),
        train=replace(
            SMALL.train, distil_batch=4, rollout_batch=4, distil_window=8, rollout_window=8
        ),
    )
    scenario = load_scenario("linear")
    student, params = make_student(scenario, config.student, seed=0)
    dataset = build_dataset(scenario, config, 0)
    norm = fit_normaliser(student, dataset.drives, dataset.run, 0)
    part = phases(config.train, config.data, dataset.drives.t.shape[1])[name == "rollout"]
    part = part._replace(steps=600, learning_rate=3e-2)
    state = init_state(student, config.train, part, params)
    first = locate([part], part.first_step)
    data = prepare_set(student, norm, config.train, first, dataset)
    update = make_update(student, norm, config.train, part)
    losses = []
    for _ in range(600):
        state, loss = update(state, data, np.arange(4), 0, True)
        losses.append(loss)
    assert float(losses[-1]) * 100 < float(losses[0])


def test_an_update_that_is_not_finite_is_left_out_and_counted(prepared, updates):
    _, state, data = prepared.begin(0)
    data = data._replace(gain=data.gain * jnp.nan)
    after, _ = updates(0)(state, data, np.arange(8), 0, True)
    assert int(after.skipped) == 1
    for a, b in zip(arrays(after.params), arrays(state.params), strict=True):
        np.testing.assert_array_equal(a, b)


def test_memory_carried_over_equals_the_long_window(prepared):
    student, params, dataset, norm, plan = prepared
    params = jax.tree.map(lambda a: a + 0.05, params)
    for short in plan:
        long = short._replace(window=2 * short.window)
        # A rate of nearly nothing: only the memory moves.
        still = replace(SMALL.train, warmup_steps=10**6)
        state = init_state(student, still, short._replace(steps=10**7), params)
        data = prepare_set(student, norm, still, locate([short], short.first_step), dataset)
        once, _ = make_update(student, norm, still, long)(state, data, np.arange(8), 0, True)
        twice = state
        one = make_update(student, norm, still, short)
        for start in (0, short.window):
            twice, _ = one(twice, data, np.arange(8), start, start == 0)
        for a, b in zip(arrays(once.memory), arrays(twice.memory), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=short.name)


def test_diverged_drives_are_reset_and_counted(prepared, updates):
    part, state, data = prepared.begin(1)
    update = updates(1)
    state, _ = update(state, data, np.arange(8), 0, True)
    assert int(state.resets) == 0
    far = state.memory.x.at[:3].add(1e4)
    state = state._replace(memory=state.memory._replace(x=far))
    state, loss = update(state, data, np.arange(8), part.window, False)
    assert int(state.resets) == 3
    assert np.isfinite(float(loss))


def test_a_student_that_did_not_learn_is_refused(tmp_path):
    folder = folder_of(tmp_path, "none")
    student, params = make_student(load_scenario("linear"), SMALL.student, seed=0)
    progress = Progress(step=9, score=1.0, untrained_score=1.0)
    trained = TrainedStudent(student, params, None, progress, SMALL)
    with pytest.raises(UserError, match="did not learn") as caught:
        check_improved(trained, folder)
    assert caught.value.code == DIVERGED


def test_a_runs_folder_is_never_written_over(tmp_path):
    folder_of(tmp_path, "one")
    with pytest.raises(UserError, match="exists already"):
        folder_of(tmp_path, "one")
    folder = folder_of(tmp_path, "two")
    assert (tmp_path / "latest").resolve() == folder.path
    assert json.loads((folder.path / "config.json").read_text())["sim"] == "linear"
    assert folder.config() == SMALL


def test_the_schedule_warms_up_and_cools_down():
    part = phases(SMALL.train, SMALL.data, 60)[0]
    transform = phase_optimizer(SMALL.train, part)
    params = {"w": jnp.ones((3, 3))}
    state, update = transform.init(params), jax.jit(transform.update)
    sizes = []
    for _ in range(part.steps):
        changes, state = update({"w": jnp.ones((3, 3))}, state, params)
        sizes.append(float(optax.global_norm(changes)))
    assert sizes[0] == 0
    assert np.argmax(sizes) == SMALL.train.warmup_steps
    assert sizes[-1] < 0.05 * max(sizes)


def test_every_tick_does_not_go_with_the_truth(tmp_path):
    config = replace(
        SMALL,
        student=replace(SMALL.student, every="tick"),
        train=replace(SMALL.train, target="truth"),
    )
    with pytest.raises(UserError, match="--every tick"):
        fit(load_scenario("linear"), config, folder_of(tmp_path, "run", config), quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "target"),
    [
        (StudentConfig(hidden=8, head=8, every="tick"), "teacher"),
        (StudentConfig(hidden=8, head=8, student="residual", cell="gru"), "truth"),
        (StudentConfig(hidden=8, head=8, student="delta", cell="elman", layers=2), "both"),
        (StudentConfig(hidden=8, head=8, student="feedback"), "teacher"),
    ],
)
def test_every_choice_of_student_trains(student, target, tmp_path):
    train = replace(SMALL.train, distil_steps=20, rollout_steps=10, target=target)
    config = replace(SMALL, student=student, train=train)
    trained = fit(load_scenario("linear"), config, folder_of(tmp_path, "run", config), quiet=True)
    assert trained.progress.step == 30
    assert np.isfinite(trained.progress.score)


def test_rollout_has_a_patience_of_its_own(tmp_path):
    """Validations in vain during distillation once ended rollout after its first update."""
    train = replace(
        SMALL.train,
        distil_steps=40,
        rollout_steps=12,
        distil_learning_rate=1e-12,
        num_validations=13,
        patience=4,
    )
    config = replace(SMALL, train=train)
    trained = fit(load_scenario("linear"), config, folder_of(tmp_path, "run", config), quiet=True)
    assert trained.progress.step == 52


@pytest.mark.parametrize("index", [0, 1])
def test_nothing_leaks_from_one_drive_into_the_next(index, prepared, updates):
    _, state, data = prepared.begin(index)
    update = updates(index)
    dirty = state._replace(memory=jax.tree.map(lambda a: a + 1.0, state.memory))
    clean, _ = update(state, data, np.arange(8), 0, True)
    after, _ = update(dirty, data, np.arange(8), 0, True)
    for a, b in zip(arrays(clean.memory), arrays(after.memory), strict=True):
        np.testing.assert_array_equal(a, b)
    carried, _ = update(dirty, data, np.arange(8), 0, False)
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(arrays(clean.memory), arrays(carried.memory), strict=True)
    )

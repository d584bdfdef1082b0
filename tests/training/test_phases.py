import numpy as np

from kalmanrnn.core.config import DataConfig, TrainConfig
from kalmanrnn.training.batches import batch_indices
from kalmanrnn.training.phases import locate, phases

DATA = DataConfig(drives=6)
TRAIN = TrainConfig(
    distil_steps=40,
    distil_batch=2,
    distil_window=5,
    distil_epochs=2,
    rollout_steps=9,
    rollout_batch=3,
    rollout_window=10,
    rollout_epochs=1,
)


def test_a_pass_goes_through_every_window_of_every_drive_once():
    laid = phases(TRAIN, DATA, events=20)
    seen = []
    for step in range(12):
        where = locate(laid, step)
        assert (where.set_index, where.epoch) == (0, 0)
        seen += [(int(d), where.window) for d in batch_indices(0, where, DATA.drives)]
    assert sorted(seen) == [(d, w) for d in range(6) for w in range(4)]


def test_sets_and_parts_follow_one_another():
    laid = phases(TRAIN, DATA, events=20)
    assert [locate(laid, s).set_index for s in (0, 23, 24, 39)] == [0, 0, 1, 1]
    assert locate(laid, 40).phase.name == "rollout"
    # Free run starts on drives that distillation has not seen.
    assert locate(laid, 40).set_index == 2
    assert locate(laid, 48).set_index == 4
    assert [p.sets for p in laid] == [2, 3]


def test_each_pass_has_its_own_order():
    laid = phases(TRAIN, DATA, events=20)
    first = [batch_indices(0, locate(laid, s), 6).tolist() for s in (0, 4, 8)]
    second = [batch_indices(0, locate(laid, s), 6).tolist() for s in (12, 16, 20)]
    assert first != second
    assert first == [batch_indices(0, locate(laid, s), 6).tolist() for s in (0, 4, 8)]
    assert np.sort(np.concatenate(second)).tolist() == list(range(6))


def test_a_part_of_no_steps_is_passed_over():
    from dataclasses import replace

    laid = phases(replace(TRAIN, distil_steps=0), DATA, events=20)
    assert locate(laid, 0).phase.name == "rollout"
    assert locate(laid, 0).set_index == 0

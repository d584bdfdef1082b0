"""Every purpose draws from a stream of its own."""

import re
from itertools import combinations, product

import numpy as np
import pytest
from helpers import ROOT

from kalmanrnn.core.random_streams import Stream, random_stream


def draw(*key):
    return random_stream(*key).integers(2**62, size=2).tolist()


def test_all_streams_of_a_run_differ():
    """Short seeds once equalled longer ones with a zero behind: outages and batches shared one."""
    keys = [(0, stream) for stream in Stream]
    keys += [(0, stream, i) for stream, i in product(Stream, range(6))]
    keys += [(0, stream, i, j) for stream, i, j in product(Stream, range(4), range(4))]
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)


def test_another_seed_is_another_stream():
    for one, other in combinations(range(5), 2):
        assert draw(one, Stream.BATCHES, 3) != draw(other, Stream.BATCHES, 3)
    assert draw(7, Stream.YAW, 1, 2) == draw(7, Stream.YAW, 1, 2)


def test_numbers_are_never_reused():
    assert len({int(stream) for stream in Stream}) == len(Stream.__members__)


def test_nobody_makes_a_generator_by_himself():
    makers = re.compile(r"default_rng\(|RandomState\(|np\.random\.seed\(")
    package = ROOT / "kalmanrnn"
    found = [p for p in package.rglob("*.py") if makers.search(p.read_text())]
    assert [p.relative_to(package).as_posix() for p in found] == ["core/random_streams.py"]


def test_a_negative_index_is_refused():
    with pytest.raises(ValueError, match=r"negative|non-negative|>= 0"):
        random_stream(0, Stream.OUTAGES, -1)


def test_draws_are_those_of_numpy():
    own = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1, 2)))
    assert draw(5, Stream.BATCHES, 2) == own.integers(2**62, size=2).tolist()

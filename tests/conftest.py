"""Small sets of drives, made once for all tests."""

from __future__ import annotations

import os
import tempfile

# Before jax is imported, and for the processes that tests start: what one has compiled, all have.
_COMPILED = tempfile.TemporaryDirectory(prefix="kalmanrnn-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _COMPILED.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Most of the time goes into compiling, a fifth less so; CI trains and exports without it as well.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

# ruff: noqa: E402
from collections import Counter
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
import pytest

from kalmanrnn.core.datatypes import Drive
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.simulation import simulate


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest: no worker shall be alone with one at the end."""
    cost = Counter()
    for item in items:
        cost[item.path] += 20 if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: (-cost[item.path], item.path))


@lru_cache
def _scenario(name: str, *settings: str) -> Scenario:
    return load_scenario(name, settings)


@lru_cache
def _drives(name: str, *settings: str, count: int, seconds: float, seed: int = 0) -> Drive:
    made = simulate(_scenario(name, *settings), jax.random.key(seed), count, seconds)
    return jax.tree.map(np.asarray, made)


@lru_cache
def _compiled(kind: str, name: str, *settings: str):
    return jax.jit(partial(rollout, FILTERS[kind](_scenario(name, *settings))))


def _filtered(kind: str, name: str, *settings: str, drives: Drive) -> Any:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, _compiled(kind, name, *settings)(drives))


@pytest.fixture(scope="session")
def scenario():
    """(name, *settings) -> Scenario, loaded once."""
    return _scenario


@pytest.fixture(scope="session")
def drives():
    """(name, *settings, count=, seconds=, seed=) -> a batch of drives, made once."""
    return _drives


@pytest.fixture(scope="session")
def filtered():
    """(kind, name, *settings, drives=) -> the batched filter's estimates, compiled once."""
    return _filtered


@pytest.fixture
def float64():
    """Run the test in float64."""
    with jax.enable_x64(True):
        yield

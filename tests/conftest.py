"""Small sets of drives, made once for all tests."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

# Before jax is imported, and for the processes that tests start: what one has compiled, all have,
# and the next call of pytest too. jax names a program by its text, its flags and its own version.
_COMPILED = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
# Most of the time goes into compiling, a third less so; CI trains and exports without it as well.
_QUICK = (
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
os.environ.setdefault("XLA_FLAGS", " ".join(_QUICK))

# ruff: noqa: E402
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
import pytest
from helpers import ROOT, SMALL_RUN

from kalmanrnn.cli.entry_point import main
from kalmanrnn.core.datatypes import Drive
from kalmanrnn.filters.kinds import FILTERS
from kalmanrnn.filters.rollout import rollout
from kalmanrnn.scenarios import scenario as scenarios
from kalmanrnn.scenarios.loading import load_object
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.scenarios.simulation import simulate_batch
from kalmanrnn.tasks import task as tasks

# Files that take longest come first: no worker shall be alone with one at the end.
LONGEST = (
    "test_notebooks.py", "test_examples.py", "training/test_fit.py",
    "diagnostics/test_scenario_check.py", "deploy/test_c99.py", "deploy/test_export_folder.py",
    "diagnostics/test_doctor_network.py", "diagnostics/test_doctor_command.py",
    "deploy/test_int8.py", "filters/test_filters.py", "cli/test_cli.py", "test_interface.py",
    "experiments/test_sweep.py", "experiments/test_own_robots.py", "tasks/test_shipped_tasks.py",
    "models/test_student.py", "deploy/test_trace.py", "deploy/test_onnx.py",
)  # fmt: skip


def load_once(kept, name_or_path, settings, params, check):
    """Run a shipped sim's file once: jax knows a program again by the scenario it was made of."""
    if params or str(name_or_path).endswith(".py"):
        return load_object(name_or_path, settings, params, check)
    key = (str(name_or_path), *settings)
    if key not in kept:
        kept[key] = load_object(name_or_path, settings, params, check)
    return kept[key]


for _module in (scenarios, tasks):
    _module.load_object = partial(load_once, {})


def pytest_collection_modifyitems(items):
    rank = {ROOT / "tests" / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (rank.get(item.path, len(rank)), item.path))


@lru_cache
def _scenario(name: str, *settings: str) -> Scenario:
    return load_scenario(name, settings)


@lru_cache
def _drives(name: str, *settings: str, count: int, seconds: float, seed: int = 0) -> Drive:
    made = simulate_batch(_scenario(name, *settings), jax.random.key(seed), count, seconds)
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


@pytest.fixture(scope="session")
def linear_run(tmp_path_factory):
    """The folder of a small finished run of `linear`; one for all workers, to be read only."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with (folder / "linear_run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "linear_run" / "report" / "report.json").exists():
            assert main(["train", *SMALL_RUN, "--out", str(folder / "linear_run")]) == 0
    return folder / "linear_run"


@pytest.fixture
def float64():
    """Run the test in float64."""
    with jax.enable_x64(True):
        yield

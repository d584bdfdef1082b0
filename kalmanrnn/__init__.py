"""kalmanrnn: train a network to do a Kalman filter's job, and see how well it does.

import kalmanrnn as kr

scenario = kr.load_scenario("imu_gps", gps_hz=1.0)
drives = kr.simulate(scenario, count=64, seconds=60.0, seed=0)
ukf = kr.run_filter(scenario, drives, "ukf")
student = kr.train(scenario, kr.TrainConfig())
result = kr.evaluate(scenario, drives, ukf=ukf, student=student.run(drives))
result.ratio["position"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kalmanrnn.core.version import __version__

if TYPE_CHECKING:
    from kalmanrnn.core.config import DataConfig, StudentConfig, TrainConfig
    from kalmanrnn.core.datatypes import Belief, Drive, Packet
    from kalmanrnn.core.errors import UserError
    from kalmanrnn.core.state_space import Block, StateSpace
    from kalmanrnn.deploy.export_folder import export
    from kalmanrnn.deploy.online.estimator import OnlineEstimator
    from kalmanrnn.diagnostics.finding import Finding
    from kalmanrnn.diagnostics.scenario.check import check_scenario
    from kalmanrnn.diagnostics.training.diagnosis import Diagnosis, diagnose
    from kalmanrnn.evaluation.estimates import Estimates
    from kalmanrnn.experiments.evaluate_estimates import Evaluation, evaluate, run_filter
    from kalmanrnn.experiments.on_logs import read_log
    from kalmanrnn.experiments.run_training import train
    from kalmanrnn.logs.binding.bound_log import BoundLog, bind, bind_log
    from kalmanrnn.logs.recording.recording import Recording
    from kalmanrnn.scenarios.catalogue import list_sims
    from kalmanrnn.scenarios.scenario import Scenario, load_scenario
    from kalmanrnn.scenarios.sensors import Channel, Compass, Gps, Imu, Sensor
    from kalmanrnn.scenarios.simulation import simulate
    from kalmanrnn.training.trained import TrainedStudent, load_student

# jax takes a second to import: a name is imported when it is first used. The same as above.
_NAMES = {
    "core.config": ("DataConfig", "StudentConfig", "TrainConfig"),
    "core.datatypes": ("Belief", "Drive", "Packet"),
    "core.errors": ("UserError",),
    "core.state_space": ("Block", "StateSpace"),
    "deploy.export_folder": ("export",),
    "deploy.online.estimator": ("OnlineEstimator",),
    "diagnostics.finding": ("Finding",),
    "diagnostics.scenario.check": ("check_scenario",),
    "diagnostics.training.diagnosis": ("Diagnosis", "diagnose"),
    "evaluation.estimates": ("Estimates",),
    "experiments.evaluate_estimates": ("Evaluation", "evaluate", "run_filter"),
    "experiments.on_logs": ("read_log",),
    "experiments.run_training": ("train",),
    "logs.binding.bound_log": ("BoundLog", "bind", "bind_log"),
    "logs.recording.recording": ("Recording",),
    "scenarios.catalogue": ("list_sims",),
    "scenarios.scenario": ("Scenario", "load_scenario"),
    "scenarios.sensors": ("Channel", "Compass", "Gps", "Imu", "Sensor"),
    "scenarios.simulation": ("simulate",),
    "training.trained": ("TrainedStudent", "load_student"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Belief",
    "Block",
    "BoundLog",
    "Channel",
    "Compass",
    "DataConfig",
    "Diagnosis",
    "Drive",
    "Estimates",
    "Evaluation",
    "Finding",
    "Gps",
    "Imu",
    "OnlineEstimator",
    "Packet",
    "Recording",
    "Scenario",
    "Sensor",
    "StateSpace",
    "StudentConfig",
    "TrainConfig",
    "TrainedStudent",
    "UserError",
    "__version__",
    "bind",
    "bind_log",
    "check_scenario",
    "diagnose",
    "evaluate",
    "export",
    "list_sims",
    "load_scenario",
    "load_student",
    "read_log",
    "run_filter",
    "simulate",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'kalmanrnn' has no attribute {name!r}")
    found = getattr(import_module(f"kalmanrnn.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__

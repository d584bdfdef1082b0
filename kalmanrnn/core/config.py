"""Plain settings: the one place where a default is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from kalmanrnn.core.errors import UsageError

FILTER_NAMES = ("ukf", "ekf")
MAY_BE_ZERO = {
    *("seed", "distil_steps", "rollout_steps", "warmup_steps", "final_fraction"),
    *("skip_s", "outage_share", "max_outage_s", "check_segments"),
    *("mix", "test_gap_s", "teacher_workers"),
    *("head", "chrono_steps", "sequences", "window", "warmup"),
}


@dataclass(frozen=True)
class StudentConfig:
    """What a student's network is: kind, recurrent cell, size."""

    student: Literal["gain", "residual", "delta", "feedback", "direct"] = "gain"
    """How the network's output becomes an estimate."""
    every: Literal["event", "tick"] = "event"
    """Run the network once per event, or at every tick."""
    cell: Literal["lstm", "gru", "elman"] = "lstm"
    """The recurrent cell."""
    hidden: int = 64
    """Units in each recurrent layer."""
    layers: int = 2
    """Recurrent layers, one on top of the other."""
    head: int = 64
    """Units of the dense layer behind the recurrent ones."""
    chrono_events: int = 300
    """Longest memory [events] that forget gates start with (Tallec and Ollivier 2018)."""


@dataclass(frozen=True)
class NetworkConfig:
    """What any network is: a sequence task's as it stands, a student's core by its settings."""

    cell: Literal["lstm", "gru", "elman"] = "lstm"
    """The recurrent cell."""
    hidden: int = 64
    """Units in each recurrent layer."""
    layers: int = 1
    """Recurrent layers, one on top of the other."""
    head: int = 0
    """Units of a dense layer between the recurrent ones and the output; 0 for none."""
    skip: bool = False
    """Every recurrent layer sees the input too, and the head sees every layer."""
    bidirectional: bool = False
    """Read the sequence from both ends; it must be there as a whole."""
    conv: tuple[tuple[int, int, int], ...] = ()
    """Convolutions in front: channels, width and stride of each."""
    chrono_steps: int = 0
    """Longest memory [steps] that forget gates start with; 0 for a forget bias of 1."""
    recurrent_output: bool = False
    """Output through a recurrent layer, one unit each (a common mistake; for demonstration)."""
    zero_init_output: bool = False
    """Initialise the output to exactly zero."""


@dataclass(frozen=True)
class BudgetConfig:
    """How much data a sequence task learns from, and how."""

    seed: int = 0
    """Everything random follows from it."""
    updates: int = 2000
    """Updates in all."""
    batch: int = 50
    """Sequences in one update."""
    sequences: int = 0
    """Training sequences, used again and again; 0 for fresh ones in every update."""
    window: int = 0
    """Steps that a gradient flows back through; 0 for the whole sequence."""
    stateful: bool = False
    """Carry the hidden state from one sequence into the next (a common mistake)."""
    optimiser: Literal["muon", "adam"] = "adam"
    """Optimizer: Adam, or Muon for the matrices."""
    learning_rate: float = 5e-3
    """Highest learning rate."""
    warmup: int = 100
    """Updates of linear warm-up."""
    final_fraction: float = 0.002
    """Learning rate at the end, as a fraction of the highest."""
    clip: float = 1.0
    """Largest gradient norm."""
    validation: int = 256
    """Validation sequences, which choose the best network."""
    test: int = 1000
    """Test sequences of the final report, never seen before."""
    num_validations: int = 10
    """Validations, evenly over the updates."""


@dataclass(frozen=True)
class DataConfig:
    """Which drives a student learns from, and which evaluate it."""

    teacher: str = "ukf"
    """Filter to imitate: ukf, ekf, or your own as my_filter.py:make_filter."""
    teacher_workers: int = 0
    """Processes that run a filter of your own; 0 for one per core."""
    drives: int = 256
    """Drives in one training set; fresh sets are simulated as training goes on."""
    seconds: float = 60.0
    """Length of every drive [s]."""
    validation: int = 64
    """Validation drives, which choose the best checkpoint."""
    test: int = 128
    """Test drives of the final report, never seen before."""
    skip_s: float = 10.0
    """Burn-in at each drive's start that metrics exclude [s]."""
    outage_share: float = 0.2
    """Share of the training drives with an outage of one sensor."""
    max_outage_s: float = 15.0
    """Longest such outage [s]."""
    check_segments: int = 2
    """Segments of each training set that are recomputed with filterpy."""


@dataclass(frozen=True)
class TrainConfig:
    """How a student is trained: updates, batches, windows, learning rates, seed."""

    target: Literal["teacher", "truth", "both"] = "teacher"
    """Target of the rollout loss."""
    seed: int = 0
    """Everything random follows from it."""
    distil_steps: int = 14400
    """Updates along the teacher's run."""
    distil_batch: int = 32
    """Drives in one such update."""
    distil_window: int = 60
    """Events in one such update."""
    distil_epochs: int = 30
    """Epochs over a training set before a fresh one."""
    distil_learning_rate: float = 1e-2
    """Highest learning rate."""
    rollout_steps: int = 1600
    """Updates with the student's own output fed back."""
    rollout_batch: int = 32
    """Drives in one such update."""
    rollout_window: int = 30
    """Events that a gradient flows back through."""
    rollout_epochs: int = 4
    """Epochs over a training set before a fresh one."""
    rollout_learning_rate: float = 1e-3
    """Highest learning rate."""
    warmup_steps: int = 50
    """Updates of linear warm-up in each phase."""
    final_fraction: float = 0.02
    """Learning rate at each phase's end, as a fraction of its highest."""
    clip: float = 1.0
    """Largest gradient norm."""
    reset_sigma: float = 30.0
    """Error, in the teacher's standard deviations, beyond which a drive is reset to its state."""
    num_validations: int = 12
    """Validations, evenly over the updates."""
    patience: int = 6
    """Validations without improvement after which rollout stops early."""


# What `--init` changes: short and gentle, so that what a student knows is not lost.
FINE_TUNING = TrainConfig(
    distil_steps=1500, distil_learning_rate=2e-3, rollout_steps=400, rollout_learning_rate=3e-4
)


@dataclass(frozen=True)
class LogsConfig:
    """Which logs a student learns from beside simulated drives, and which test it."""

    log: tuple[str, ...] = ()
    """Logs to learn from; of several the last quarter is the test set, of one its last part."""
    map: str = ""
    """YAML that says what the logs' topics and columns mean; guessed if not given."""
    mix: float = 0.5
    """Share of simulated drives in each training set; 0 for logs alone."""
    test_share: float = 0.25
    """Share of the logs, or of a single log, kept for validation and test."""
    test_gap_s: float = 10.0
    """Gap between the training and test parts of a single log [s]."""
    init: str = ""
    """Folder of a run whose student to start from."""


@dataclass(frozen=True)
class RunConfig:
    """All settings that determine a run."""

    sim: str
    """Name of a shipped sim, or a path to a .py file that exports SCENARIO."""
    set: tuple[str, ...] = ()
    """Parameters of the sim's `make`, as name=value."""
    student: StudentConfig = StudentConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    logs: LogsConfig = LogsConfig()


@dataclass(frozen=True)
class TaskConfig:
    """All settings that determine a run of a sequence task."""

    sim: str
    """Name of a shipped task, or a path to a .py file that exports TASK."""
    set: tuple[str, ...] = ()
    """Parameters of the task's `make`, as name=value."""
    network: NetworkConfig = NetworkConfig()
    budget: BudgetConfig = BudgetConfig()


def is_external(teacher: str) -> bool:
    """Whether a teacher is the user's own filter, not one of ours."""
    return teacher not in FILTER_NAMES


def check_config(config: RunConfig) -> None:
    """Refuse settings that cannot work: UserError."""
    if is_external(config.data.teacher) and ".py" not in config.data.teacher:
        raise UsageError(
            f"there is no teacher {config.data.teacher!r}",
            why=f"ours are {' and '.join(FILTER_NAMES)}; your own is a file and a function in it",
            cure="--teacher ukf, or --teacher my_filter.py:make_filter",
        )
    _check_numbers(config.student, config.data, config.train, config.logs)
    for name in ("mix", "test_share"):
        flag, share = "--" + name.replace("_", "-"), getattr(config.logs, name)
        if not share < 1:
            raise UsageError(
                f"{flag} must be in [0, 1), got {share}",
                why="it is a share",
                cure=f"leave {flag} out: its default is {getattr(LogsConfig(), name)}",
            )
    if not config.train.distil_steps + config.train.rollout_steps:
        raise UsageError(
            "there is nothing to do",
            why="--distil-steps and --rollout-steps are both 0",
            cure="leave one of them out",
        )


def check_task_config(config: TaskConfig) -> None:
    """Refuse settings of a task that cannot work: UserError."""
    _check_numbers(config.network, config.budget)


def _check_numbers(*parts: Any) -> None:
    """Refuse numbers below 0, and 0 where it makes no sense: UserError."""
    for part in parts:
        for name, value in asdict(part).items():
            if isinstance(value, str | tuple | list | bool):
                continue
            if value > 0 or (value == 0 and name in MAY_BE_ZERO):
                continue
            least = "0 or more" if name in MAY_BE_ZERO else "more than 0"
            flag = "--" + name.replace("_", "-")
            raise UsageError(
                f"{flag} must be {least}, got {value}",
                why="a run cannot use such a number",
                cure=f"leave {flag} out: its default is {getattr(type(part)(), name)}",
            )

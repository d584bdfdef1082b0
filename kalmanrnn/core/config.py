"""Plain settings: the one place where a default is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from kalmanrnn.core.errors import USAGE, UserError

FILTER_NAMES = ("ukf", "ekf")
MAY_BE_ZERO = {
    *("seed", "distil_steps", "free_steps", "warmup_steps", "last_rate"),
    *("skip_s", "outage_share", "longest_outage_s", "check_stretches"),
    *("mix", "held_gap_s", "teacher_workers"),
    *("head", "chrono_steps", "sequences", "window", "warmup"),
}


@dataclass(frozen=True)
class StudentConfig:
    """What the network is."""

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
    """Give the answer by a recurrent layer with one unit per output, as people do by mistake."""
    zero_init_output: bool = False
    """Start with an output of exactly zero."""


@dataclass(frozen=True)
class BudgetConfig:
    """How much a sequence task learns from, and how."""

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
    """Carry the memory from one sequence into the next: what a stateful network does wrong."""
    optimiser: Literal["muon", "adam"] = "adam"
    """Rule of descent: Adam, or Muon for the matrices."""
    learning_rate: float = 5e-3
    """Highest learning rate."""
    warmup: int = 100
    """Updates over which the rate rises."""
    final_fraction: float = 0.002
    """Rate at the end, as a share of the highest."""
    clip: float = 1.0
    """Largest gradient norm."""
    validation: int = 256
    """Sequences that choose the best network."""
    test: int = 1000
    """Sequences of the final report, never seen."""
    num_validations: int = 10
    """Times the network is judged on the watched sequences, evenly over the updates."""


@dataclass(frozen=True)
class DataConfig:
    """Which drives a student learns from, and which judge it."""

    teacher: str = "ukf"
    """The filter to imitate: ukf, ekf, or your own as my_filter.py:make_filter."""
    teacher_workers: int = 0
    """Processes that run a filter of your own; 0 for one per core."""
    drives: int = 256
    """Drives in one training set; sets are made anew as learning goes on."""
    seconds: float = 60.0
    """Length of every drive [s]."""
    validation: int = 64
    """Drives that choose the best checkpoint."""
    test: int = 128
    """Drives of the final report, seen by neither teacher's tuning nor student."""
    skip_s: float = 10.0
    """Seconds at each drive's start that no error figure counts."""
    outage_share: float = 0.2
    """Share of the training drives in which a sensor falls silent for a while."""
    max_outage_s: float = 15.0
    """Longest such silence [s]."""
    check_segments: int = 2
    """Stretches of each training set that filterpy computes again."""


@dataclass(frozen=True)
class TrainConfig:
    """How a student learns."""

    target: Literal["teacher", "truth", "both"] = "teacher"
    """What free run is compared with."""
    seed: int = 0
    """Everything random follows from it."""
    distil_steps: int = 14400
    """Updates along the teacher's own run."""
    distil_batch: int = 32
    """Drives in one such update."""
    distil_window: int = 60
    """Events in one such update."""
    distil_epochs: int = 30
    """Times a training set is used before it is made anew."""
    distil_learning_rate: float = 1e-2
    """Highest learning rate."""
    rollout_steps: int = 1600
    """Updates with the student's own output fed back."""
    rollout_batch: int = 32
    """Drives in one such update."""
    rollout_window: int = 30
    """Events that a gradient flows back through."""
    rollout_epochs: int = 4
    """Times a training set is used before it is made anew."""
    rollout_learning_rate: float = 1e-3
    """Highest learning rate."""
    warmup_steps: int = 50
    """Updates over which each part's rate rises."""
    final_fraction: float = 0.02
    """Rate at each part's end, as a share of its highest."""
    clip: float = 1.0
    """Largest gradient norm."""
    reset_sigma: float = 30.0
    """Teacher's standard deviations beyond which a drive goes on from the teacher's state."""
    num_validations: int = 12
    """Times the student is judged on the watched drives, evenly over the updates."""
    patience: int = 6
    """Checks without a better student after which free run stops early."""


# What `--init` changes: short and gentle, so that what a student knows is not lost.
FINE_TUNING = TrainConfig(
    distil_steps=1500, distil_learning_rate=2e-3, rollout_steps=400, rollout_learning_rate=3e-4
)


@dataclass(frozen=True)
class LogsConfig:
    """Which logs a student learns from beside simulated drives, and which judge it then."""

    log: tuple[str, ...] = ()
    """Logs to learn from; several: the last quarter of them is held out; one: its last part."""
    map: str = ""
    """YAML that says what the logs' topics and columns mean; guessed if not given."""
    mix: float = 0.5
    """Share of simulated drives in each training set; 0 for logs alone."""
    test_share: float = 0.25
    """Share of the logs, or of a single log, that is held out and judged on."""
    test_gap_s: float = 10.0
    """Gap between what is learnt from and what is held out of a single log [s]."""
    init: str = ""
    """Folder of a run whose student to start from."""


@dataclass(frozen=True)
class RunConfig:
    """All that decides what a run gives."""

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
    """All that decides what a run of a sequence task gives."""

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
    """Refuse figures that no run can have: UserError."""
    if is_external(config.data.teacher) and ".py" not in config.data.teacher:
        raise UserError(
            f"there is no teacher {config.data.teacher!r}",
            why=f"ours are {' and '.join(FILTER_NAMES)}; your own is a file and a function in it",
            cure="--teacher ukf, or --teacher my_filter.py:make_filter",
            code=USAGE,
        )
    _check_numbers(config.student, config.data, config.train, config.logs)
    for name, share in (("mix", config.logs.mix), ("held-share", config.logs.test_share)):
        if not share < 1:
            raise UserError(
                f"--{name} {share} cannot be",
                why="it is a share, below 1",
                cure=f"leave --{name} out: its default is "
                f"{getattr(LogsConfig(), name.replace('-', '_'))}",
                code=USAGE,
            )
    if not config.train.distil_steps + config.train.rollout_steps:
        raise UserError(
            "there is nothing to do",
            why="--distil-steps and --free-steps are both 0",
            cure="leave one of them out",
            code=USAGE,
        )


def check_task_config(config: TaskConfig) -> None:
    """Refuse figures that no run of a task can have: UserError."""
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
            raise UserError(
                f"{flag} {value} cannot be",
                why=f"it must be {least}",
                cure=f"leave {flag} out: its default is {getattr(type(part)(), name)}",
                code=USAGE,
            )

"""The command line: parse, one library call, print. Imports nothing heavy at the top."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from kalmanrnn.core.errors import BUG, DATA, INTERRUPTED, OK, USAGE, UsageError, UserError

HELP = """\
usage: kalmanrnn COMMAND [options]        (kalmanrnn COMMAND --help lists them)

Train a recurrent network to do your Kalman filter's job, and see how well it does.

commands:
  train    simulate drives, run the filter, train a student, report   --sim imu_gps
  eval     evaluate a trained run on fresh drives or on logs          runs/latest
  predict  run a trained student over a log, write its estimates      runs/latest LOG
  report   print a run's report                                       runs/latest
  sims     list the bundled robots; copy one; check yours             copy imu_gps mine.py
  sweep    train a grid of settings: does error fall with width?      --grid hidden=8,32
  export   write it as C99, ONNX, StableHLO, numpy; proved equal      runs/latest --out DIR
  verify   check an export again on this machine                      DIR
  doctor   find out why a network does not learn                      --sim NAME
  inspect  show what is in a log, and what is wrong with it           LOG
  import   turn a log into a drive file                               LOG --out drive.npz
  allan    measure an IMU's noise from a log at rest                  LOG --out imu.yaml

LOG is a ROS 1 or ROS 2 bag, an .mcap, a PX4 .ulg, a folder of CSV files, or a drive file.

first steps:
  kalmanrnn train --sim imu_gps              about six minutes on two CPU cores
  kalmanrnn sims copy rover my_robot.py      your own robot: edit a copy
  kalmanrnn train --sim ./my_robot.py
  kalmanrnn eval runs/latest --log LOG

exit codes: 0 ok, 1 bug, 2 usage, 3 bad data or config, 4 missing extra, 5 diverged,
130 interrupted
"""

# Each command's module in kalmanrnn.cli, and its function there.
COMMANDS = {
    "train": ("train", "train"),
    "eval": ("evaluate", "evaluate"),
    "predict": ("predict", "predict"),
    "report": ("report", "report"),
    "export": ("export", "export"),
    "verify": ("export", "verify"),
    "doctor": ("doctor", "doctor"),
    "inspect": ("inspect_log", "inspect"),
    "import": ("import_log", "import_"),
    "allan": ("allan", "allan"),
    "sweep": ("sweep", "sweep"),
    "sims": ("sims", "sims"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return OK if args else USAGE
    if args[0] in ("-V", "--version"):
        from kalmanrnn import __version__

        print(f"kalmanrnn {__version__}")
        return OK
    try:
        return command(args[0])(args[1:])
    except UserError as problem:
        print(problem, file=sys.stderr)
        return problem.code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BUG
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT):
            raise
        print(
            UserError(
                f"cannot write {problem.filename or 'to the disk'}",
                why=str(problem.strerror),
                cure="free some space, or choose another folder with --out; what was saved "
                "before is whole",
            ),
            file=sys.stderr,
        )
        return DATA


def command(name: str) -> Callable[[Sequence[str]], int]:
    """Find a command; UserError with the nearest one if there is none."""
    if name in COMMANDS:
        module, function = COMMANDS[name]
        return getattr(importlib.import_module(f"kalmanrnn.cli.{module}"), function)
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, 1) or ["--help"]
    raise UsageError(
        f"there is no command {name!r}",
        why=f"the commands are {', '.join(COMMANDS)}",
        cure=f"kalmanrnn {near[0]}",
    )

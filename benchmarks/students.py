"""Compare the five kinds of student at the same training budget, on the same held-out drives."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import machine, versions

QUESTION = "which kind of student comes closest to the UKF at the same training budget?"
KINDS = ("gain", "residual", "delta", "feedback", "direct")
GROUPS = ("position", "velocity", "attitude")


def train(kind: str, folder: Path, extra: list[str]) -> dict:
    """Train one kind through the command line; return its report."""
    command = [sys.executable, "-m", "kalmanrnn", "train", "--student", kind]
    done = subprocess.run([*command, "--out", str(folder / kind), "--json", *extra],
                          stdout=subprocess.PIPE, text=True)  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 else {"exit": done.returncode}


def row(kind: str, report: dict) -> str:
    """Write one line of the table."""
    if "exit" in report:
        return f"| `{kind}` | " + f"exit code {report['exit']} | " * 5
    cells = [
        f"{report['rmse'][g]['student']:.3g} ({report['accuracy_ratio'][g]['value']:.2f})"
        for g in GROUPS
    ]
    return (
        f"| `{kind}` | {' | '.join(cells)} | {report['diverged']} | {report['seconds_total']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--out", type=Path, default=None)
    args, extra = parser.parse_known_args()
    print(f"{QUESTION}\n{machine()}\n{versions()}\nflags: {' '.join(extra) or 'the defaults'}\n")
    folder = args.out or Path(tempfile.mkdtemp(prefix="students-"))
    print("| student | position [m] | velocity [m/s] | attitude [deg] | diverged | seconds |")
    print("|---|---|---|---|---|---|")
    reports = {}
    for kind in args.kinds:
        reports[kind] = train(kind, folder, extra)
        print(row(kind, reports[kind]), flush=True)
    if args.json:
        found = {k: r.get("accuracy_ratio") for k, r in reports.items()}
        gain, direct = (found.get(k, {}) or {} for k in ("gain", "direct"))
        ratio = direct["position"]["value"] / gain["position"]["value"] if gain and direct else None
        print(json.dumps({"question": QUESTION, "ratio": ratio, "from": found}))


if __name__ == "__main__":
    main()

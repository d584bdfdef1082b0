"""Train every sequence task with its defaults; compare its metric with its target."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from common import machine, versions

QUESTION = "does every sequence task reach its target, and do those fail that must fail?"


class Row(NamedTuple):
    """One training: its name, sim, settings; whether it must fail."""

    name: str
    sim: str
    settings: tuple[str, ...] = ()
    fails: bool = False


ROWS = (
    Row("sine_1hz", "sine_1hz"),
    Row("sine", "sine"),
    Row("sine, 100 in, 50 out, one of 150", "sine", ("variant=100_in_50_out",)),
    Row("sine, 25 in, 50 out, one of 150", "sine", ("variant=25_in_50_out",)),
    Row("sine, 25 in, 100 out, one of 150", "sine", ("variant=25_in_100_out",)),
    Row("sine, four of 10", "sine", ("variant=four_of_10",)),
    Row("burst", "burst"),
    Row("burst, Elman, memory carried", "burst", ("variant=carried_elman",), True),
    Row("burst, LSTM, memory carried", "burst", ("variant=carried_lstm",), True),
    Row("burst, GRU, memory carried", "burst", ("variant=carried_gru",), True),
    Row("bones", "bones"),
    Row("fibonacci", "fibonacci"),
    Row("fibonacci, raw numbers", "fibonacci", ("variant=raw",), True),
    Row("window", "window"),
    Row("panel", "panel"),
    Row("blocks", "blocks"),
    Row("spectra", "spectra"),
    Row("spectra, plain LSTM", "spectra", ("variant=plain",), True),
)


def train(row: Row, folder: Path, seed: int) -> dict[str, Any]:
    """Train through the command line; return the report, with the seconds the command took."""
    out = folder / row.name.replace(", ", "-").replace(" ", "_")
    command = [sys.executable, "-m", "kalmanrnn", "train", "--sim", row.sim, "--out", str(out)]
    command += ["--seed", str(seed), "--quiet", "--json"]
    command += ["--set", *row.settings] if row.settings else []
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - began
    report = out / "report" / "report.json"
    if not report.exists():
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    # A network that did not learn ends with exit code 5, after its report.
    return json.loads(report.read_text()) | {"seconds": seconds}


def verdict(row: Row, report: dict[str, Any]) -> dict[str, Any]:
    """Return whether a row is as expected: its target reached, or missed where it must fail."""
    holds = not report["reached"] if row.fails else bool(report["reached"])
    return {
        "name": row.name,
        "value": report["value"],
        "target": report["target"],
        "holds": holds,
        "must_fail": row.fails,
        "metric": f"{report['metric']} {report['unit']}".strip(),
        "seconds": report["seconds"],
        "baselines": report["baselines"],
    }


def line(found: dict[str, Any]) -> str:
    """Write one line of the table."""
    said = "not finite" if found["value"] is None else f"{found['value']:.4g}"
    target = f"{found['target']:.4g}" + (" (must miss)" if found["must_fail"] else "")
    holds = "yes" if found["holds"] else "NO"
    cells = (found["name"], found["metric"], target, said, holds, f"{found['seconds']:.0f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--only", nargs="+", default=(), help="sims to train; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="where the runs are kept")
    args = parser.parse_args()
    print(f"{QUESTION}\n{machine()}\n{versions()}\nseed {args.seed}\n")
    folder = args.out or Path(tempfile.mkdtemp(prefix="tasks-"))
    folder.mkdir(parents=True, exist_ok=True)
    print("| task | metric | target | value | as expected | seconds |")
    print("|---|---|---|---|---|---|")
    found = []
    for row in ROWS:
        if not args.only or row.sim in args.only:
            found.append(verdict(row, train(row, folder, args.seed)))
            print(line(found[-1]), flush=True)
    if args.json:
        print(json.dumps({"tasks": found}))


if __name__ == "__main__":
    main()

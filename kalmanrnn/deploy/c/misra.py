"""Where generated C departs from MISRA C:2012, as cppcheck's addon finds it; each with a reason.

Checked, with deviations listed; this does not claim compliance. A test compares the rules with
those that cppcheck finds in the export of a small `imu_gps` student, and their counts roughly.
"""

from __future__ import annotations

from typing import NamedTuple

CHECKED_WITH = "cppcheck 2.10 --addon=misra"


class Deviation(NamedTuple):
    """Findings of a rule in the reference export, and why they stay."""

    count: int
    reason: str


DEVIATIONS = {
    "2.4": Deviation(5, "enums name indices and statuses; their tags would name nothing"),
    "2.5": Deviation(6, "sizes are macros for the caller's arrays; the estimator needs none"),
    "8.5": Deviation(22, "weights are declared in both files, so that each checks the other"),
    "8.9": Deviation(10, "tables stand before the functions that read them, for readers"),
    "8.14": Deviation(35, "restrict lets compilers vectorise; all calls are in the same file"),
    "9.3": Deviation(2, "`{0.0f}` clears a buffer before data is copied into it"),
    "10.3": Deviation(3, "a comparison's 0 or 1 is kept in an int: C99 without stdbool"),
    "10.4": Deviation(2, "the same, beside an unsigned char; and sizes beside int constants"),
    "12.1": Deviation(40, "indices such as `16 * i + j` keep the precedence of arithmetic"),
    "15.5": Deviation(8, "bad arguments return at once, before anything is computed"),
    "15.6": Deviation(45, "a loop or condition over a single statement has no braces"),
    "18.4": Deviation(2, "a loop's slice begins at a pointer plus the loop's offset"),
}


def render_readme() -> str:
    """Return the README's section on MISRA: what was checked, and the deviations."""
    rows = [f"| {rule} | {d.count} | {d.reason} |" for rule, d in DEVIATIONS.items()]
    return "\n".join(
        [
            "## MISRA C:2012: checked, deviations listed",
            "",
            f"`{CHECKED_WITH}` over the C of a small `imu_gps` student reports these rules,",
            "about this often; counts differ for filters and other robots. Rules that it does not",
            "check were not checked.",
            "",
            "| rule | findings | why it stays |",
            "|---|---:|---|",
            *rows,
            "",
        ]
    )

"""The deviations from MISRA C:2012 that an export's README lists are those that cppcheck finds."""

import re
import shutil
import subprocess
from collections import Counter

import pytest
from exporting import case_of

from kalmanrnn.deploy.c import source_files
from kalmanrnn.deploy.c.misra import CHECKED_WITH, DEVIATIONS, render_readme
from kalmanrnn.deploy.c.selftest import record_selftest

needs_cppcheck = pytest.mark.skipif(
    not shutil.which("cppcheck"), reason="no cppcheck on this machine: apt install cppcheck"
)


def found_in(found, folder):
    """Return how often each rule is broken."""
    source_files.write_sources(found.machine, folder, record_selftest(found.estimator, found.drive))
    sources = [str(path) for path in sorted(folder.glob("*.c"))]
    command = ["cppcheck", "--addon=misra", "--std=c99", "--enable=style", "--quiet", *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Counter(re.findall(r"\[misra-c2012-([\d.]+)\]", done.stderr))


@needs_cppcheck
@pytest.mark.slow
def test_the_listed_deviations_are_those_that_are_found(scenario, tmp_path):
    """Rules exactly, counts to a half: they move with every line of a student's mathematics.

    Both are one version's; others check more or less, so there no rule may be new.
    """
    found = found_in(case_of(scenario("imu_gps"), "gain"), tmp_path)
    version = subprocess.run(["cppcheck", "--version"], capture_output=True, text=True, check=True)
    if version.stdout.split()[-1] in CHECKED_WITH.split():
        assert set(found) == set(DEVIATIONS)
        for rule, d in DEVIATIONS.items():
            assert 0.5 * d.count <= found[rule] <= 1.5 * d.count + 1, rule
    assert set(found) <= set(DEVIATIONS)


@needs_cppcheck
@pytest.mark.slow
def test_bytes_and_other_loops_depart_from_nothing_else(scenario, tmp_path):
    found = case_of(scenario("linear"), "gain", target="cortex-m", weights="int8")
    assert set(found_in(found, tmp_path)) <= set(DEVIATIONS)


def test_every_deviation_is_listed_and_nothing_is_called_compliant():
    text = render_readme()
    assert all(f"| {rule} | {d.count} | {d.reason} |" in text for rule, d in DEVIATIONS.items())
    assert "compliant" not in text

"""The public Python interface: what `import kalmanrnn as kr` gives."""

import ast
import dataclasses
import inspect
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT

import kalmanrnn as kr

TINY = {
    "student": kr.StudentConfig(hidden=8, layers=1, head=8),
    "data": kr.DataConfig(drives=8, seconds=12.0, validation=8, test=8, skip_s=2.0),
}
BUDGET = kr.TrainConfig(
    distil_steps=12, rollout_steps=4, distil_batch=8, rollout_batch=8, num_validations=2
)


@pytest.fixture(scope="module")
def linear():
    return kr.load_scenario("linear")


@pytest.fixture(scope="module")
def drives(linear):
    return kr.simulate(linear, count=8, seconds=12.0, seed=3)


@pytest.fixture(scope="module")
def ukf(linear, drives):
    return kr.run_filter(linear, drives, "ukf")


@pytest.fixture(scope="module")
def student(linear):
    return kr.train(linear, BUDGET, **TINY, quiet=True)


def refused(call, *words):
    with pytest.raises(kr.UserError) as caught:
        call()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "why", "try"]
    for word in words:
        assert word in str(caught.value)


def test_importing_takes_no_time_and_no_jax():
    code = (
        "import time; t = time.perf_counter(); import kalmanrnn; "
        "print(time.perf_counter() - t); import sys; print('jax' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
        for _ in range(3)
    ]
    assert all(found == "False" for _, found in runs)
    # 0.04 s on an idle machine; the bar is 0.15.
    assert min(float(seconds) for seconds, _ in runs) < 0.15


def test_names_for_the_type_checker_are_those_found():
    tree = ast.parse((ROOT / "kalmanrnn" / "__init__.py").read_text())
    typed = {
        (node.module, name.name)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    lazy = {(f"kalmanrnn.{m}", n) for m, names in kr._NAMES.items() for n in names}
    assert typed == lazy
    assert {name for _, name in typed} | {"__version__"} == set(kr.__all__)
    assert sorted(kr.__all__) == sorted(dir(kr))


@pytest.mark.parametrize("name", [n for n in kr.__all__ if n != "__version__"])
def test_every_public_name_is_documented_and_typed(name):
    thing = getattr(kr, name)
    assert thing.__module__.startswith("kalmanrnn.")
    assert len(inspect.getdoc(thing) or "") > 30
    members = [thing]
    if inspect.isclass(thing):
        own = {k: v for k, v in vars(thing).items() if not k.startswith("_")}
        members = [v for v in own.values() if inspect.isfunction(v)]
        for prop in (v for v in own.values() if isinstance(v, property)):
            assert prop.fget.__doc__
            assert "return" in prop.fget.__annotations__
    for function in members:
        assert function.__doc__, function
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, function
        untyped = [
            p.name
            for p in list(signature.parameters.values())
            if p.annotation is p.empty and p.name not in ("self", "cls", "_cls")
        ]
        assert not untyped, (function, untyped)


@pytest.mark.slow
def test_the_type_checker_knows_every_public_name(tmp_path):
    """basedpyright looks at a copy: it does not take an editable install for a typed package."""
    shutil.copytree(ROOT / "kalmanrnn", tmp_path / "kalmanrnn")
    command = [sys.executable, "-m", "basedpyright", "--verifytypes", "kalmanrnn"]
    command += ["--ignoreexternal", "--outputjson", "--pythonpath", sys.executable]
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    public = {f"kalmanrnn.{name}" for name in kr.__all__}
    known = {s["name"]: s["isTypeKnown"] and not s["isTypeAmbiguous"] for s in symbols}
    assert public - {"kalmanrnn.__version__"} <= set(known)
    assert [name for name in sorted(public) if not known.get(name, True)] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = kr.nothing


def test_a_batch_of_drives_is_what_it_says(linear, drives):
    assert drives.truth.shape == (8, 120, 4)
    again = kr.simulate(linear, count=8, seconds=12.0, seed=3)
    np.testing.assert_array_equal(drives.packets.z, again.packets.z)
    other = kr.simulate(linear, count=8, seconds=12.0, seed=4)
    assert not np.array_equal(drives.packets.z, other.packets.z)


def test_training_takes_the_scenario_it_is_given(linear, student):
    """Another process noise, made in Python: another teacher, and so another student."""
    own = dataclasses.replace(
        linear, process_noise=lambda x, u, dt: 25 * linear.process_noise(x, u, dt)
    )
    assert linear.source == ("linear", ())
    assert own.source is None
    found = kr.train(own, BUDGET, **TINY, quiet=True)
    assert found.scenario is own
    assert not np.array_equal(found.norm.innovation_std, student.norm.innovation_std)


def test_a_run_kept_on_disk_holds_the_same_student(linear, student, drives, tmp_path):
    kept = kr.train(linear, BUDGET, **TINY, out=tmp_path / "run", quiet=True)
    np.testing.assert_array_equal(kept.run(drives).mean, student.run(drives).mean)
    assert (tmp_path / "run" / "report" / "report.html").stat().st_size > 10_000
    loaded = kr.load_student(tmp_path / "run")
    np.testing.assert_array_equal(loaded.run(drives).mean, student.run(drives).mean)
    refused(lambda: kr.train(linear, BUDGET, **TINY, out=tmp_path / "run"), "exists already")


def test_a_student_is_saved_whole(student, drives, tmp_path):
    loaded = kr.load_student(student.save(tmp_path / "s.npz"))
    np.testing.assert_array_equal(loaded.run(drives).mean, student.run(drives).mean)
    assert loaded.config == student.config
    assert loaded.progress == student.progress


def test_a_student_of_a_scenario_made_in_python_asks_for_it(linear, student, drives, tmp_path):
    nameless = student._replace(config=dataclasses.replace(student.config, sim=""))
    path = nameless.save(tmp_path / "s.npz")
    refused(lambda: kr.load_student(path), "not in a file", "kr.load_student(")
    loaded = kr.load_student(path, linear)
    np.testing.assert_array_equal(loaded.run(drives).mean, student.run(drives).mean)


def test_ratios_are_quotients_of_rmse(linear, drives, ukf, student):
    result = kr.evaluate(linear, drives, ukf=ukf, student=student.run(drives))
    for group, ratio in result.ratio.items():
        quotient = result.rmse["student"][group] / result.rmse["ukf"][group]
        assert ratio == pytest.approx(quotient, rel=1e-12)
        low, high = result.ratio_interval[group]
        assert low <= ratio <= high
    assert result.units == {"position": "m", "velocity": "m/s"}
    assert set(result.diverged) == {"ukf", "student"}


def test_arrays_are_judged_like_estimates(linear, drives, ukf):
    result = kr.evaluate(linear, drives, ukf=ukf, mine=np.array(drives.truth))
    assert all(ratio == 0 for ratio in result.ratio.values())
    swapped = kr.evaluate(linear, drives, mine=ukf.mean, ukf=ukf, relative_to="mine")
    assert all(ratio == 1 for ratio in swapped.ratio.values())


@pytest.mark.parametrize("ending", ["html", "md", "json", "csv"])
def test_a_result_is_saved_by_its_ending(linear, drives, ukf, tmp_path, ending):
    result = kr.evaluate(linear, drives, ukf=ukf, mine=ukf.mean + 0.5)
    path = result.save(tmp_path / f"r.{ending}")
    assert "mine" in path.read_text()


def test_a_result_is_saved_as_a_folder_and_no_other_ending(linear, drives, ukf, tmp_path):
    result = kr.evaluate(linear, drives, ukf=ukf, mine=ukf.mean + 0.5)
    result.save(tmp_path / "folder")
    assert (tmp_path / "folder" / "report.html").exists()
    refused(lambda: result.save(tmp_path / "r.pdf"), ".html")


def test_mistakes_get_three_lines(linear, drives, ukf):
    mean = ukf.mean
    evaluate = lambda **given: kr.evaluate(linear, drives, ukf=ukf, **given)  # noqa: E731
    refused(lambda: evaluate(mine=mean[:, :-1]), "shape", "[8, 120, 4]")
    refused(lambda: evaluate(mine=np.where(mean > 0, np.nan, mean)), "NaN")
    refused(lambda: evaluate(), "at least two")
    refused(lambda: evaluate(mine=mean, relative_to="ekf"), "no estimates named 'ekf'")
    refused(lambda: evaluate(mine=mean, skip_s=60.0), "nothing to evaluate")
    refused(lambda: kr.load_scenario("liner"), "linear")
    refused(lambda: kr.load_scenario("rover", gps_sgma=1.0), "gps_sgma")
    refused(lambda: kr.run_filter(linear, drives, "kf"), "ekf")
    refused(lambda: kr.load_student("nowhere"), "no run in nowhere")
    refused(lambda: kr.train(linear, dataclasses.replace(BUDGET, distil_batch=-1)), "-1")


SCRIPT = """
import dataclasses
import kalmanrnn as kr

print("main")
scenario = dataclasses.replace(kr.load_scenario("linear"), name="mine")
student = kr.train(
    scenario,
    kr.TrainConfig(distil_steps=6, rollout_steps=2, distil_batch=8, rollout_batch=8),
    student=kr.StudentConfig(hidden=8, layers=1, head=8),
    data=kr.DataConfig(drives=8, seconds=12.0, validation=8, skip_s=2.0),
    quiet=True,
)
print(student.progress.step)
"""


def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["main", "8"], done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["script.py"]


def test_help_is_quick():
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kalmanrnn", "--help"], check=True, capture_output=True)
    assert time.perf_counter() - began < 2.0

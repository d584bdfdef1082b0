"""Loading sims: shipped ones, a user's own, and every way in which one can be wrong."""

import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.errors import DATA, USAGE, UserError
from kalmanrnn.scenarios.catalogue import list_sims, sims_folder
from kalmanrnn.scenarios.scenario import load_scenario

OWN = """
import jax.numpy as jnp
from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Sensor

def make(rate_hz: float = 5.0, sigma: float = 1.0, std: float = 1.0):
    return Scenario(
        name="own", summary="", space=StateSpace((Block("p", size=2),)), inputs=(),
        sensors=(Sensor("s", (Channel("p", "m"),), rate_hz, (sigma,), lambda x: x[:1]),),
        tick_hz=10.0, process=lambda x, u, dt: x,
        process_noise=lambda x, u, dt: NOISE, world=None, initial_std=(std, 1.0),
    )

SCENARIO = make()
"""


def write(tmp_path, text, noise="jnp.ones(2)"):
    path = tmp_path / "own.py"
    path.write_text(text.replace("NOISE", noise))
    return path


def refused(*args, **params):
    with pytest.raises(UserError) as caught:
        load_scenario(*args, **params)
    assert len(str(caught.value).splitlines()) == 3
    return caught.value


@pytest.mark.parametrize("name", ["imu_gps", "linear", "lorenz", "rover"])
def test_every_shipped_sim_loads(name):
    assert load_scenario(name).name == name
    assert dict(list_sims())[name]


def test_listing_sims_is_light():
    code = (
        "import sys; from kalmanrnn.scenarios.catalogue import list_sims; list_sims()"
        "; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_users_own_file(tmp_path, monkeypatch):
    shutil.copy(sims_folder() / "rover.py", tmp_path / "my_robot.py")
    monkeypatch.chdir(tmp_path)
    assert load_scenario("./my_robot.py").space == load_scenario("rover").space


def test_settings_are_read_by_the_type_of_the_default():
    s = load_scenario("rover", ["gps_sigma_m=2,3", "gps_hz=10"], compass_sigma_rad=0.2)
    np.testing.assert_array_equal(s.sigma, [0.2, 2.0, 3.0])
    assert s.sensors[1].rate_hz == 10.0
    assert len(load_scenario("lorenz", ["observation=spherical"]).sensors) == 2
    x = jnp.asarray(load_scenario("imu_gps").space.identity())
    arm = load_scenario("imu_gps", lever_arm_m="0.5,0,0").measure(x)
    np.testing.assert_allclose(arm, [0.5, 0, 0])


@pytest.mark.parametrize(
    ("args", "what", "cure"),
    [
        (("imu_gsp",), "no sim named 'imu_gsp'", "--sim imu_gps"),
        (("./nowhere.py",), "no sim file ./nowhere.py", "cp "),
        (("rover", ["gps_hertz=1"]), "no parameter 'gps_hertz'", "--set gps_hz"),
        (("rover", ["gps_hz"]), "cannot read the setting 'gps_hz'", "--set gps_hz="),
        (("rover", ["gps_hz=fast"]), "cannot read gps_hz=fast", "--set gps_hz=5.0"),
        (("rover", ["gps_sigma_m=1"]), "cannot read gps_sigma_m=1", "--set gps_sigma_m=1.0,1.0"),
        (("imu_gps", ["imu=good"]), "cannot read imu=good", ""),
    ],
)
def test_wrong_use(args, what, cure):
    error = refused(*args)
    assert what in error.what
    assert cure in error.cure
    assert error.code == USAGE


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (["gps_hz=0"], "rate_hz must be positive, got 0.0"),
        (["tick_hz=-50"], "tick_hz must be positive"),
        (["gps_hz=7"], "must divide"),
        (["compass_sigma_rad=0"], "every sigma must be positive"),
    ],
)
def test_impossible_robots(settings, why):
    error = refused("rover", settings)
    assert why in error.why
    assert "rover.py, line" in error.why
    name, value = settings[0].split("=")
    assert error.cure == f"change --set {name}={float(value)}"
    assert error.code == DATA


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1\ny = x / 0\n", "own.py, line 2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "own.py, line 1: SyntaxError"),
        ("import no_such_module_\n", "line 1: ModuleNotFoundError"),
        ("x = 1\n", "exports no SCENARIO"),
        ("SCENARIO = 3\n", "exports no SCENARIO"),
        ("TASK = 1\n", "exports no SCENARIO"),
        (OWN.replace("std: float = 1.0", "std: float = 0.0"), "not positive definite"),
        (OWN.replace("lambda x, u, dt: x", "lambda x, u, dt: x[:1]"), "process must return"),
        (OWN.replace("x[:1])", "x)"), "measure must give (1,), got (2,)"),
    ],
)
def test_wrong_files(tmp_path, text, why):
    error = refused(write(tmp_path, text))
    assert why in error.why
    assert error.code == DATA


@pytest.mark.parametrize(
    ("noise", "why"),
    [
        ("jnp.array([1.0, -1.0])", "least eigenvalue is -1"),
        ("jnp.array([1.0, jnp.nan])", "not finite"),
        ("jnp.array([[1.0, 2.0], [2.0, 1.0]])", "least eigenvalue is -1"),
        ("jnp.array([[1.0, 0.5], [0.0, 1.0]])", "symmetric"),
        ("jnp.ones(3)", "must return [2] or [2, 2], got (3,)"),
    ],
)
def test_process_noise_that_is_no_covariance(tmp_path, noise, why):
    assert why in refused(write(tmp_path, OWN, noise)).why


def test_singular_process_noise_is_a_covariance(tmp_path):
    path = write(tmp_path, OWN, "jnp.array([[1.0, 1.0], [1.0, 1.0]])")
    assert load_scenario(path).space.tangent_dim == 2


def test_settings_need_a_make(tmp_path):
    path = write(tmp_path, OWN.replace("def make(", "def _make(").replace("= make()", "= _make()"))
    assert "nothing to set" in refused(path, ["rate_hz=1"]).what

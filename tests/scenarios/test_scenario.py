"""Loading sims: shipped ones, a user's own, and every way in which one can be wrong."""

import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kalmanrnn.core.errors import DATA, USAGE, UserError
from kalmanrnn.scenarios.catalogue import list_sims, sims_folder
from kalmanrnn.scenarios.scenario import Scenario, load_scenario
from kalmanrnn.tasks.task import load_task

OWN = """
import jax
import jax.numpy as jnp
from kalmanrnn.core.state_space import Block, StateSpace
from kalmanrnn.scenarios.scenario import Scenario
from kalmanrnn.scenarios.sensors import Channel, Sensor

def make(rate_hz: float = 5.0, sigma: float = 1.0, std: float = 1.0):
    return Scenario(
        name="own", summary="", space=StateSpace((Block("p", size=2),)), inputs=(),
        sensors=(Sensor("s", (Channel("p", "m"),), rate_hz, (sigma,), lambda x: x[:1]),),
        tick_hz=10.0, process=lambda x, u, dt: x,
        process_noise=lambda x, u, dt: NOISE, simulate_truth=None, initial_std=(std, 1.0),
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
        (("./nowhere.py",), "no sim file ./nowhere.py", "sims copy rover"),
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
    assert "has no settings" in refused(path, ["rate_hz=1"]).what


OLD = """
from __future__ import annotations
import jax
import jax.numpy as jnp
from kalmanrnn import motion, rotation
from kalmanrnn.manifold import Block, StateSpace
from kalmanrnn.scenario import Scenario
from kalmanrnn.sensors import Channel, Gps, Sensor
from kalmanrnn.types import Packet

def make(gps_hz: float = 5.0) -> Scenario:
    return Scenario(
        name="old", summary="", space=StateSpace((Block("position", size=2, unit="m"),)),
        inputs=(), tick_hz=10.0, process=lambda x, u, dt: x,
        sensors=(
            Gps(gps_hz, (1.0, 1.0), measure=lambda x: x, reads="position"),
            Sensor("s", (Channel("p", "m"),) * 2, 5.0, (1.0, 1.0), lambda x: x, reads="position"),
        ),
        process_noise=lambda x, u, dt: jnp.ones(2), initial_std=(1.0, 1.0), origin="position",
        world=lambda key, n: (motion.curve(key, n, 0.1, 1.0)[:2, ::2].T, jnp.zeros((n, 0))),
        initial=lambda key, truth: truth, start=lambda z, seen: z[:2],
        turn=lambda x, z, angle: (rotation.about(2, angle)[:2], z),
    )

SCENARIO = make()
"""

OLD_TASK = """
import jax
import jax.numpy as jnp
from kalmanrnn.config import BudgetConfig, NetworkConfig
from kalmanrnn.sensors import Channel
from kalmanrnn.task import Merit, SequenceTask, plain

TASK = SequenceTask(
    name="old", summary="", kind="step_value", steps=8,
    inputs=(Channel("x", ""),), labels=(Channel("y", ""),),
    draw=lambda key, n: plain(jnp.zeros((n, 1)), jnp.zeros((n, 1))),
    merit=Merit("error", "RMSE", bar=0.5), network=NetworkConfig(hidden=4, quiet_start=True),
    budget=BudgetConfig(watched=8, rate=1e-3), beside=(("mean", 1.0),), scaled=False,
)
"""


def test_a_file_of_version_0_1_still_loads(tmp_path, capsys):
    made = load_scenario(write(tmp_path, OLD), gps_hz="2.5")
    assert type(made) is Scenario
    assert made.sensors[0].rate_hz == 2.5
    assert [s.observes for s in made.sensors] == ["position", "position"]
    truth, _ = made.simulate_truth(jax.random.key(0), 4)
    assert truth.shape == (5, 2)
    assert made.initialise(jnp.arange(4.0), None).shape == (2,)
    assert made.sample_initial(None, 7) == 7
    turned, _ = made.yaw_symmetry(truth[0], None, jnp.array(0.0))
    assert not turned.any()
    printed = capsys.readouterr()
    assert printed.err.count("note: own.py uses names of version 0.1") == 1
    assert "kalmanrnn.rotation is now kalmanrnn.core.quaternion" in printed.err
    assert not printed.out


def test_a_task_of_version_0_1_still_loads(tmp_path):
    made = load_task(write(tmp_path, OLD_TASK))
    assert made.metric.target == 0.5
    assert made.baselines == (("mean", 1.0),)
    assert not made.normalise
    assert made.network.zero_init_output
    assert (made.budget.validation, made.budget.learning_rate) == (8, 1e-3)


def test_an_old_keyword_beside_new_imports_is_named(tmp_path):
    error = refused(write(tmp_path, OWN.replace("simulate_truth=None", "world=None")))
    assert error.what == "cannot load own.py"
    assert "Scenario's `world` is now `simulate_truth`" in error.why
    assert error.cure.startswith("write simulate_truth= for world= in ")
    error = refused(write(tmp_path, OWN.replace("lambda x: x[:1])", 'lambda x: x[:1], reads="p")')))
    assert "Sensor's `reads` is now `observes`" in error.why


def test_new_files_load_without_a_note(tmp_path, capsys):
    load_scenario(write(tmp_path, OWN))
    assert not capsys.readouterr().err

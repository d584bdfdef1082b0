"""Laws of the writers: what is read back is what was written, with its units and axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.writers.estimates import write_estimates, write_tum
from kalmanrnn.logs.writers.mcap import TOPIC, write_mcap
from kalmanrnn.logs.writers.poses import pose_covariance, pose_from_state, rotation_matrices

START = 1432235498.088910051


def states(scenario, n=40, seed=0):
    """Some states `[n, X]` with unit quaternions, covariances `[n, D, D]` and times."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, scenario.space.state_dim))
    for b in scenario.space.blocks:
        if b.kind == "rotation":
            s = scenario.space.state_slice(b.name)
            mean[:, s] /= np.linalg.norm(mean[:, s], axis=1, keepdims=True)
    half = rng.normal(size=(n, scenario.space.tangent_dim, scenario.space.tangent_dim))
    return START + 0.2 * np.arange(n), mean, half @ half.transpose(0, 2, 1)


def odometry(path: Path):
    """Read the odometry of a bare MCAP file as rosbags sees it."""
    from rosbags.highlevel import AnyReader

    with AnyReader([path]) as reader:
        assert [(c.topic, c.msgtype) for c in reader.connections] == [
            (TOPIC, "nav_msgs/msg/Odometry")
        ]
        assert "float64[36] covariance" in reader.connections[0].msgdef.data
        return [(stamp, reader.deserialize(raw, c.msgtype)) for c, stamp, raw in reader.messages()]


def xyz(v):
    return [v.x, v.y, v.z]


def test_csv_names_every_column_and_has_no_degrees(scenario, tmp_path):
    s = scenario("imu_gps")
    t, mean, cov = states(s)
    path = tmp_path / "estimates.csv"
    write_estimates(path, t, mean, s, cov=cov)
    header = path.read_text().splitlines()[0].split(",")
    assert header[:5] == ["t_s", "attitude_qx", "attitude_qy", "attitude_qz", "attitude_qw"]
    assert {"position_east_m", "velocity_up_m_s", "gyro_bias_x_rad_s", "accel_bias_z_m_s2"} <= set(
        header
    )
    assert {"std_attitude_x_rad", "std_gyro_bias_z_rad_s", "std_position_up_m"} <= set(header)
    assert not any("deg" in name for name in header)
    table = np.genfromtxt(path, delimiter=",", names=True)
    np.testing.assert_allclose(
        table["position_north_m"], mean[:, s.space.state_slice("position")][:, 1], rtol=1e-11
    )
    np.testing.assert_allclose(
        table["gyro_bias_y_rad_s"], mean[:, s.space.state_slice("gyro_bias")][:, 1], rtol=1e-11
    )
    at = s.space.tangent_slice("position").start
    np.testing.assert_allclose(table["std_position_east_m"], np.sqrt(cov[:, at, at]), rtol=1e-11)
    # A float64 of this size has steps of 2.4e-7 s.
    np.testing.assert_allclose(table["t_s"], t, rtol=0, atol=1e-9)


def test_csv_of_an_estimator_without_covariance_has_no_deviations(scenario, tmp_path):
    s = scenario("rover")
    t, mean, _ = states(s)
    write_estimates(tmp_path / "e.csv", t, mean, s)
    header = (tmp_path / "e.csv").read_text().splitlines()[0]
    assert header == "t_s,position_east_m,position_north_m,heading_rad"


def test_tum_keeps_stamps_and_poses(scenario, tmp_path):
    s = scenario("imu_gps")
    t, mean, _ = states(s)
    write_estimates(tmp_path / "e.tum", t, mean, s)
    read = np.loadtxt(tmp_path / "e.tum")
    np.testing.assert_allclose(read[:, 0], t, rtol=0, atol=1e-9)
    np.testing.assert_allclose(read[:, 1:4], mean[:, s.space.state_slice("position")], atol=1e-9)
    np.testing.assert_allclose(read[:, 4:], mean[:, s.space.state_slice("attitude")], atol=1e-9)


def test_planar_robots_lie_flat_and_turn_about_up(scenario):
    s = scenario("rover")
    _, mean, _ = states(s)
    position, quaternion, velocity = pose_from_state(s, mean)
    assert velocity is None
    assert (position[:, 2] == 0).all()
    yaw = Rotation.from_quat(quaternion).as_euler("ZYX")
    np.testing.assert_allclose(np.exp(1j * yaw[:, 0]), np.exp(1j * mean[:, 2]), atol=1e-12)
    np.testing.assert_allclose(yaw[:, 1:], 0, atol=1e-12)


def test_a_scenario_without_heading_never_turns(scenario):
    s = scenario("linear")
    _, mean, _ = states(s)
    poses = pose_from_state(s, mean)
    assert (poses.quaternion == [0, 0, 0, 1]).all()
    np.testing.assert_array_equal(poses.velocity[:, :2], mean[:, 2:])


def test_no_position_no_trajectory(scenario, tmp_path):
    s = scenario("lorenz")
    t, mean, _ = states(s)
    with pytest.raises(UserError, match="no position") as caught:
        write_estimates(tmp_path / "e.tum", t, mean, s)
    assert ".csv" in caught.value.cure
    assert list(tmp_path.iterdir()) == []
    write_estimates(tmp_path / "e.csv", t, mean, s)
    assert (tmp_path / "e.csv").read_text().startswith("t_s,state_x,state_y,state_z\n")


def test_mcap_is_one_odometry_topic_with_the_twist_in_body_axes(scenario, tmp_path):
    s = scenario("imu_gps")
    t, mean, cov = states(s)
    write_estimates(tmp_path / "e.mcap", t, mean, s, cov=cov)
    assert [p.name for p in tmp_path.iterdir()] == ["e.mcap"]
    messages = odometry(tmp_path / "e.mcap")
    assert len(messages) == len(t)
    poses = pose_from_state(s, mean)
    body = Rotation.from_quat(poses.quaternion).inv().apply(poses.velocity)
    at = s.space.tangent_slice("position")
    for i, (stamp, m) in enumerate(messages):
        header = m.header.stamp.sec * 10**9 + m.header.stamp.nanosec
        # 240 ns: a float64's step at this number of seconds.
        assert stamp == header
        assert abs(stamp - t[i] * 1e9) < 240
        assert (m.header.frame_id, m.child_frame_id) == ("map", "base_link")
        assert xyz(m.pose.pose.position) == poses.position[i].tolist()
        q = m.pose.pose.orientation
        assert [q.x, q.y, q.z, q.w] == poses.quaternion[i].tolist()
        np.testing.assert_allclose(xyz(m.twist.twist.linear), body[i], atol=1e-12)
        np.testing.assert_allclose(m.pose.covariance.reshape(6, 6)[:3, :3], cov[i, at, at])
        assert m.twist.covariance[0] == -1


def test_a_covariance_in_body_axes_is_turned_into_the_worlds(scenario):
    from dataclasses import replace

    from kalmanrnn.core.state_space import Block, StateSpace

    s = scenario("imu_gps")
    blocks = tuple(
        Block("attitude", "rotation", side="body") if b.name == "attitude" else b
        for b in s.space.blocks
    )
    _, mean, cov = states(s)
    q = pose_from_state(s, mean).quaternion
    turned = pose_covariance(replace(s, space=StateSpace(blocks)), q, cov)
    plain = pose_covariance(s, q, cov)
    R = Rotation.from_quat(q).as_matrix()
    np.testing.assert_allclose(rotation_matrices(q), R, atol=1e-12)
    np.testing.assert_allclose(
        turned[:, 3:, 3:], R @ plain[:, 3:, 3:] @ R.transpose(0, 2, 1), atol=1e-10
    )
    np.testing.assert_allclose(turned[:, :3, :3], plain[:, :3, :3])


def test_mcap_without_velocity_or_covariance_says_so(tmp_path):
    write_mcap(tmp_path / "e.mcap", np.array([START]), np.zeros((1, 3)), np.array([[0, 0, 0, 1.0]]))
    ((_, message),) = odometry(tmp_path / "e.mcap")
    assert message.pose.covariance[0] == message.twist.covariance[0] == -1
    assert xyz(message.twist.twist.linear) == [0, 0, 0]


def test_an_unknown_suffix_names_the_three(scenario, tmp_path):
    s = scenario("rover")
    t, mean, _ = states(s)
    with pytest.raises(UserError) as caught:
        write_estimates(tmp_path / "e.json", t, mean, s)
    assert all(suffix in str(caught.value) for suffix in (".csv", ".tum", ".mcap"))
    with pytest.raises(UserError, match="cannot write"):
        write_estimates(tmp_path / "nowhere" / "e.csv", t, mean, s)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "e.tum"
    path.write_text("old\n")
    with pytest.raises(ValueError, match="dimensions"):
        write_tum(path, np.zeros(2), np.zeros((3, 3)), np.zeros((2, 4)))
    assert path.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["e.tum"]

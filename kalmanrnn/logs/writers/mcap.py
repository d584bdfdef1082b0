"""A trajectory as one Odometry topic in a bare MCAP file, which Foxglove opens; by rosbags."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from kalmanrnn.core.extras import require
from kalmanrnn.logs.writers.poses import rotation_matrices

TOPIC, FRAME, CHILD_FRAME = "/kalmanrnn/odometry", "map", "base_link"
ODOMETRY = "nav_msgs/msg/Odometry"
MODULES = ("rosbag2", "typesys")


def write_mcap(
    path: Path,
    t: np.ndarray,
    position: np.ndarray,
    quaternion: np.ndarray,
    velocity: np.ndarray | None = None,
    cov_pose: np.ndarray | None = None,
) -> None:
    """Write one Odometry topic with its definition into a bare MCAP file.

    As nav_msgs defines, the pose is in the frame `map` and the twist in body axes, so the
    velocity `[n, 3]`, given in world axes, is rotated. An unknown covariance has -1 as its
    first element (the convention of sensor_msgs/Imu).
    """
    storage, writer, types, odometry = _rosbags()
    if velocity is not None:
        velocity = np.einsum("nji,nj->ni", rotation_matrices(quaternion), velocity)
    folder = Path(tempfile.mkdtemp(prefix=".kalmanrnn-", dir=path.parent))
    try:
        with writer(folder / "bag", version=9, storage_plugin=storage) as bag:
            topic = bag.add_connection(TOPIC, ODOMETRY, typestore=types)
            for i, stamp in enumerate(np.rint(np.asarray(t) * 1e9).astype(np.int64).tolist()):
                rest = (None if a is None else a[i] for a in (velocity, cov_pose))
                message = odometry(stamp, position[i], quaternion[i], *rest)
                bag.write(topic, stamp, types.serialize_cdr(message, ODOMETRY))
        (made,) = (folder / "bag").glob("*.mcap")
        os.replace(made, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rosbags() -> tuple[Any, Any, Any, Any]:
    """Return the MCAP storage, the bag writer, ROS 2's types, and a factory of messages."""
    rosbag2, typesys = (require(f"rosbags.{m}", "logs", "write MCAP") for m in MODULES)
    types = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    kind = types.types

    def vector(v: np.ndarray | None, name: str = "Vector3") -> Any:
        return kind[f"geometry_msgs/msg/{name}"](*map(float, np.zeros(3) if v is None else v))

    def covariance(c: np.ndarray | None) -> np.ndarray:
        unknown = np.r_[-1.0, np.zeros(35)]
        return unknown if c is None else np.ascontiguousarray(c, np.float64).reshape(36)

    def odometry(stamp_ns: int, p: Any, q: Any, v: Any, cov: Any) -> Any:
        time = kind["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        turn = kind["geometry_msgs/msg/Quaternion"](*map(float, q))
        pose = kind["geometry_msgs/msg/Pose"](vector(p, "Point"), turn)
        twist = kind["geometry_msgs/msg/Twist"](vector(v), vector(None))
        return kind[ODOMETRY](
            header=kind["std_msgs/msg/Header"](time, FRAME),
            child_frame_id=CHILD_FRAME,
            pose=kind["geometry_msgs/msg/PoseWithCovariance"](pose, covariance(cov)),
            twist=kind["geometry_msgs/msg/TwistWithCovariance"](twist, covariance(None)),
        )

    return rosbag2.StoragePlugin.MCAP, rosbag2.Writer, types, odometry

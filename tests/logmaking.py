"""Logs made by hand, as readings or as ROS 2 bags, for the tests of the importer."""

from __future__ import annotations

import numpy as np

from kalmanrnn.logs.readers.readings import Readings, Source, Topic

EPOCH_NS = 1_700_000_000_000_000_000
EPOCH = 1.7e9
IMU, FIX = "sensor_msgs/msg/Imu", "sensor_msgs/msg/NavSatFix"
ODOMETRY = "nav_msgs/msg/Odometry"


def readings(name, kind, t, fields, stamp_t=None, frame=""):
    return Readings(Topic(name, kind, len(t)), t, stamp_t, fields, frame)


def source_of(*every, kind="ros2"):
    held = {r.topic.name: r for r in every}

    def read(names, progress):
        progress(len(names), len(names))
        return [held[name] for name in names]

    return Source("robot.log", kind, tuple(r.topic for r in every), read)


def imu(t, gyro=None, accel=None, name="/imu", stamp_t=None, covariance=0.01, orientation=None):
    """An Imu topic that stands level and still, unless told otherwise."""
    n = len(t)
    gyro = np.zeros((n, 3)) if gyro is None else gyro
    accel = np.tile([0.0, 0.0, 9.8], (n, 1)) if accel is None else accel
    q = np.tile([0.0, 0, 0, 1], (n, 1)) if orientation is None else orientation
    fields = {f"angular_velocity.{a}": gyro[:, i] for i, a in enumerate("xyz")}
    fields |= {f"linear_acceleration.{a}": accel[:, i] for i, a in enumerate("xyz")}
    fields |= {f"orientation.{a}": q[:, i] for i, a in enumerate("xyzw")}
    for field in ("angular_velocity", "linear_acceleration"):
        fields[f"{field}_covariance"] = np.tile(np.eye(3).ravel() * covariance, (n, 1))
    return readings(name, IMU, t, fields, t.copy() if stamp_t is None else stamp_t)


def fix(t, place=None, name="/fix", stamp_t=None, status=0, covariance=4.0):
    """A NavSatFix topic; a metre or so north each reading."""
    n = len(t)
    if place is None:
        place = np.stack([47 + 1e-5 * np.arange(n), np.full(n, 8.0), np.full(n, 400.0)], axis=-1)
    names = ("latitude", "longitude", "altitude")
    fields = {f: place[:, i] for i, f in enumerate(names)}
    fields["status.status"] = np.broadcast_to(status, n).astype(float)
    fields["position_covariance"] = np.tile(np.eye(3).ravel() * covariance, (n, 1))
    fields["position_covariance_type"] = np.full(n, 2.0)
    return readings(name, FIX, t, fields, t.copy() if stamp_t is None else stamp_t)


def odometry(t, speed, turn, name="/odom", position=None, covariance=0.1):
    """An Odometry topic of wheels; its attitude is level."""
    n = len(t)
    position = np.zeros((n, 3)) if position is None else position
    still = np.zeros(n)
    fields = {f"pose.pose.position.{a}": position[:, i] for i, a in enumerate("xyz")}
    fields |= {f"pose.pose.orientation.{a}": still for a in "xyz"}
    fields |= {"pose.pose.orientation.w": still + 1}
    for part, along, value in (("linear", "x", speed), ("angular", "z", turn)):
        fields |= {f"twist.twist.{part}.{a}": value if a == along else still for a in "xyz"}
    fields["pose.covariance"] = np.tile(np.eye(6).ravel() * covariance, (n, 1))
    fields["twist.covariance"] = np.tile(np.diag(np.arange(1.0, 7.0)).ravel(), (n, 1))
    return readings(name, ODOMETRY, t, fields, t.copy())


def write_bag(folder, storage, topics):
    """Write {topic: (type, [(nanoseconds since the epoch, maker)])}; return the bag's folder.

    A maker takes the types and a header, and returns a message.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
    stamp, head = store.types["builtin_interfaces/msg/Time"], store.types["std_msgs/msg/Header"]
    with Writer(folder, version=9, storage_plugin=plugin) as writer:
        for name, (kind, rows) in topics.items():
            connection = writer.add_connection(name, kind, typestore=store)
            for ns, make in rows:
                when = EPOCH_NS + ns
                header = head(stamp(when // 10**9, when % 10**9), "base")
                raw = store.serialize_cdr(make(store.types, header), kind)
                writer.write(connection, when, raw)
    return folder


def imu_message(gyro, accel, gyro_covariance=0.0, accel_covariance=0.0):
    def make(types, header):
        vector = types["geometry_msgs/msg/Vector3"]
        return types[IMU](
            header,
            types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
            np.full(9, -1.0),
            vector(*map(float, gyro)),
            _nine(gyro_covariance),
            vector(*map(float, accel)),
            _nine(accel_covariance),
        )

    return make


def fix_message(place, covariance=0.0, kind=0, status=0):
    def make(types, header):
        state = types["sensor_msgs/msg/NavSatStatus"](status, 1)
        return types[FIX](header, state, *map(float, place), _nine(covariance), kind)

    return make


def _nine(covariance):
    given = np.asarray(covariance, float)
    return given.ravel() if given.size == 9 else np.diag([float(given)] * 3).ravel()


def read_log(scenario, folder, map_file):
    """Import a log and bind it to a scenario, as the commands do."""
    from kalmanrnn.logs.binding.bound_log import bind_log
    from kalmanrnn.logs.importer import import_log

    return bind_log(scenario, import_log(folder, map_file))

"""A log without ground truth: a robot's ROS bag, filtered; what can honestly be said.

A minute of the Husky robot that the tests use. No map is given, so topics, units and how the
IMU is mounted are guessed; read what was guessed before you trust a result.
"""

from pathlib import Path

import kalmanrnn as kr

BAG = Path(__file__).parents[1] / "tests" / "data" / "husky_bag" / "husky_60s.bag"

recording = kr.read_log(BAG)
for note in recording.notes:
    print("note:", note)

imu_gps = kr.load_scenario("imu_gps")
drive = kr.bind(imu_gps, recording)
ekf, ukf = (kr.run_filter(imu_gps, drive, name) for name in ("ekf", "ukf"))
print(kr.evaluate(imu_gps, drive, ukf=ukf, ekf=ekf))

"""Export a student as C99 and numpy, compared with the original before it is handed over.

The numpy runtime in the folder needs nothing of ours: copy it to the robot.
"""

import sys

import kalmanrnn as kr

rover = kr.load_scenario("rover")
student = kr.train(
    rover,
    kr.TrainConfig(distil_steps=20, rollout_steps=4, num_validations=2),
    student=kr.StudentConfig(hidden=8, layers=1),
    data=kr.DataConfig(drives=8, validation=4, test=4, seconds=20, skip_s=5),
    quiet=True,
)
kr.export(student, "nav", formats=["c", "numpy"])

sys.path.insert(0, "nav")
from runtime import load  # noqa: E402

nav = load("nav")
nav.init([2.0, 3.0, 0.0])
print("state after one event:", nav.step([0.1, 2.0, 3.0], [True, True], [[1, 1, 0, 0]], [0.02]))

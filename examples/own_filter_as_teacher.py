"""Your own filter as the teacher: compare it with ours, then let a student imitate it.

A filter is named as on the command line, `FILE.py:FUNCTION`; here the filterpy UKF of
my_filter.py, on the rover. See docs/your-own-filter.md.
"""

from pathlib import Path

import kalmanrnn as kr

DRIVES, SECONDS, UPDATES = 8, 20, 40
MINE = f"{Path(__file__).parent / 'my_filter.py'}:make_filter"

rover = kr.load_scenario("rover")
drives = kr.simulate(rover, count=DRIVES, seconds=SECONDS, seed=0)
ukf = kr.run_filter(rover, drives, "ukf")
mine = kr.run_filter(rover, drives, MINE)
print("mine : UKF", kr.evaluate(rover, drives, ukf=ukf, mine=mine).ratio["position"])

student = kr.train(
    rover,
    kr.TrainConfig(distil_steps=UPDATES, rollout_steps=UPDATES // 4, num_validations=2),
    student=kr.StudentConfig(hidden=16, layers=1),
    data=kr.DataConfig(
        teacher=MINE, drives=DRIVES, validation=4, test=4, seconds=SECONDS, skip_s=5
    ),
    quiet=True,
)
result = kr.evaluate(rover, drives, mine=mine, student=student.run(drives))
print("student : mine", result.ratio["position"])

"""Tuning by a loop: is 8, 16 or 32 units enough for the rover? One student for each.

All students see the same training drives, because the seed is the same. `kalmanrnn sweep` does
this with a report; a loop is enough for a question of your own.
"""

import kalmanrnn as kr

WIDTHS, UPDATES = (4, 16), 60

rover = kr.load_scenario("rover")
drives = kr.simulate(rover, count=16, seconds=20, seed=1)
ukf = kr.run_filter(rover, drives, "ukf")
for hidden in WIDTHS:
    student = kr.train(
        rover,
        kr.TrainConfig(distil_steps=UPDATES, rollout_steps=UPDATES // 4, num_validations=2),
        student=kr.StudentConfig(hidden=hidden, layers=1),
        data=kr.DataConfig(drives=16, validation=4, test=4, seconds=20, skip_s=5),
        quiet=True,
    )
    ratio = kr.evaluate(rover, drives, ukf=ukf, student=student.run(drives)).ratio["position"]
    print(f"{hidden} units: position error {ratio:.2f} times the UKF's")

"""Tuning by a loop: are 4 units enough? One student for each width.

All students see the same training drives, because the seed is the same. `kalmanrnn sweep` does
this with a report; a loop is enough for a question of your own.
"""

import kalmanrnn as kr

WIDTHS, UPDATES = (4, 16), 60

linear = kr.load_scenario("linear")
drives = kr.simulate(linear, count=16, seconds=20, seed=1)
ukf = kr.run_filter(linear, drives, "ukf")
for hidden in WIDTHS:
    student = kr.train(
        linear,
        kr.TrainConfig(distil_steps=UPDATES, rollout_steps=UPDATES // 4, num_validations=2),
        student=kr.StudentConfig(hidden=hidden, layers=1),
        data=kr.DataConfig(drives=16, validation=4, test=4, seconds=20, skip_s=5),
        quiet=True,
    )
    ratio = kr.evaluate(linear, drives, ukf=ukf, student=student.run(drives)).ratio["position"]
    print(f"{hidden} units: position error {ratio:.2f} times the UKF's")

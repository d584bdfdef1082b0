"""Train a student in memory, look at its ratios, write a report, keep it in one file.

The scenario is the easiest one, so that a budget of seconds is enough; a robot needs minutes, as
the defaults of `TrainConfig` take. `out="runs/a"` would keep a run's folder with checkpoints, as
`kalmanrnn train` does.
"""

import kalmanrnn as kr

DRIVES, SECONDS, UPDATES = 16, 20, 60

linear = kr.load_scenario("linear")
student = kr.train(
    linear,
    kr.TrainConfig(distil_steps=UPDATES, rollout_steps=UPDATES // 4, num_validations=2),
    student=kr.StudentConfig(hidden=16, layers=1),
    data=kr.DataConfig(drives=DRIVES, validation=4, test=4, seconds=SECONDS, skip_s=5),
    quiet=True,
)
drives = kr.simulate(linear, count=DRIVES, seconds=SECONDS, seed=1)
ukf = kr.run_filter(linear, drives, "ukf")
result = kr.evaluate(linear, drives, ukf=ukf, student=student.run(drives))
for group, ratio in result.ratio.items():
    low, high = result.ratio_interval[group]
    print(f"{group}: {ratio:.2f} ({low:.2f} to {high:.2f})")
result.save("report.html")
student.save("student.npz")

"""Your own estimates, as an array, judged against the filters on the same drives.

Whatever made them, in whatever language: `[B, E, X]`, one state per drive and event.
"""

import numpy as np

import kalmanrnn as kr

rover = kr.load_scenario("rover")
drives = kr.simulate(rover, count=16, seconds=30, seed=0)
ukf = kr.run_filter(rover, drives, "ukf")

# Stand-in for your own: the UKF's estimates, smoothed over three events (heading left alone).
mine = np.array(ukf.mean)
mine[:, 1:-1, :2] = (ukf.mean[:, :-2, :2] + ukf.mean[:, 1:-1, :2] + ukf.mean[:, 2:, :2]) / 3

result = kr.evaluate(rover, drives, ukf=ukf, mine=mine)
for group, ratio in result.ratio.items():
    low, high = result.ratio_interval[group]
    print(f"mine : UKF in {group} {ratio:.3f} ({low:.3f} to {high:.3f})")

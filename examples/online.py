"""A student on a live robot: one message at a time, a late fix included.

Here the messages are those of a simulated drive; on a robot they come from callbacks.
"""

import numpy as np

import kalmanrnn as kr

rover = kr.load_scenario("rover")
student = kr.train(
    rover,
    kr.TrainConfig(distil_steps=60, rollout_steps=10, num_validations=2),
    student=kr.StudentConfig(hidden=8, layers=1),
    data=kr.DataConfig(drives=8, validation=4, test=4, seconds=20, skip_s=5),
    out="run",
    quiet=True,
)
drive = kr.simulate(rover, count=1, seconds=10, seed=1)
packets, start = drive.packets, np.asarray(drive.belief.mean[0])

online = kr.OnlineEstimator.load("run", max_delay_s=0.5)
online.start(start)
for event, t in enumerate(drive.t[0]):
    z, seen = packets.z[0, event], packets.seen[0, event]
    for tick, u in enumerate(packets.u[0, event]):
        newest = online.on_input(t + tick / rover.tick_hz, u)
        # The fix was valid at t, and arrives three inputs later.
        if tick == 3 and seen[1]:
            newest = online.on_gps(t, z[1:])
        if tick == 0 and seen[0]:
            newest = online.on("compass", t, z[:1])
print("position [m] after 10 s:", newest.mean[:2], "truth:", drive.truth[0, -1, :2])
print("not used:", online.dropped)

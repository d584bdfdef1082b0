"""Find the mistake in a scenario before a training run is lost on it.

The rover's process noise is made a hundred times too small, as a slip of units would; the check
says that its filter is overconfident, by how much, and what to change.
"""

from dataclasses import replace

import kalmanrnn as kr

rover = kr.load_scenario("rover")
wrong = replace(rover, process_noise=lambda x, u, dt: 1e-4 * rover.process_noise(x, u, dt))
for name, scenario in (("as it is", rover), ("too small", wrong)):
    print(name)
    for finding in kr.check_scenario(scenario):
        if finding.level != "ok":
            print(" ", finding.level, finding.name, "-", finding.what, "->", finding.cure)

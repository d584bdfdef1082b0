"""Why does my network not learn? Diagnose your own arrays; no scenario is needed.

`[N, T, F]` inputs and `[N, T, D]` targets. Here two mistakes are planted: one input is ten
thousand times as large as the other, and the targets run on where the inputs only carry changes.
"""

import numpy as np

import kalmanrnn as kr

rng = np.random.default_rng(0)
steps = rng.normal(size=(64, 50, 1))
inputs = np.concatenate([steps, 1e4 * rng.normal(size=(64, 50, 1))], axis=-1)
level = 10 * rng.normal(size=(64, 1, 1))
targets = level + np.cumsum(steps, axis=1)

findings = kr.diagnose(inputs, targets)
print(findings)

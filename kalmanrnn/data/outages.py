"""Cut outages into a drive: what an estimator is worth when a sensor falls silent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kalmanrnn.core.datatypes import Drive


def with_outages(drive: Drive, starts_s: Sequence[float], seconds: float) -> Drive:
    """Return the drive with every correcting sensor unseen in [start, start + seconds).

    Starts count from the drive's first event; works with and without a batch axis.
    """
    t = np.asarray(drive.t)
    since = t - t[..., :1]
    out = np.zeros(t.shape, bool)
    for start in starts_s:
        # Times in decimals: an event at 0.2 * 75 must count as one at 15.
        out |= (since >= start - 1e-6) & (since < start + seconds - 1e-6)
    return mask_events(drive, out)


def mask_events(drive: Drive, out: np.ndarray) -> Drive:
    """Return the drive with nothing seen at the events marked `[..., E]`."""
    z = np.where(out[..., None], 0.0, np.asarray(drive.packets.z))
    seen = np.asarray(drive.packets.seen) & ~out[..., None]
    return drive._replace(packets=drive.packets._replace(z=z, seen=seen))

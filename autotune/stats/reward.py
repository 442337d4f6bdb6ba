"""One number for how good a measurement is: what an agent is paid, and learners are compared by."""


def reward(latency_s: float | None, slo_s: float) -> float:
    """Return `1 / (1 + latency / SLO)`, in [0, 1]: 1 for no latency at all, 1/2 just at the SLO.

    Bounded, so that one lost run cannot drown all others; and steep about the SLO on a scale of
    logarithms (it is the logistic function of -log(latency / SLO)), so that what matters there
    counts most and nothing is gained by being a hundred instead of ten times too slow.

    Args:
        latency_s: at the SLO's percentile; None: the configuration fails; infinite: requests lost.
        slo_s: the SLO's latency.
    """
    return 0.0 if latency_s is None else 1 / (1 + latency_s / slo_s)

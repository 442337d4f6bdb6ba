"""A Markov-modulated Poisson process of two phases, fitted to a trace by maximum likelihood.

The likelihood is that of the numbers of requests in bins ("group data": Okamura, Dohi and
Trivedi, "Markovian arrival process parameter estimation with group data", IEEE/ACM Transactions
on Networking 17(4), 2009), without approximation: phases may change within bins. They maximise it
by EM; here, with the mean held at the trace's, three numbers are left, and a simplex finds them.
Starts are by moments, as H. Heffes and D. Lucantoni take them ("A Markov modulated
characterization of packetized voice and data traffic", IEEE JSAC 4(6), 1986): variance over mean
of the counts at several time scales.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from autotune.outcome import Samples
from autotune.planning.arriving import Arriving
from autotune.planning.mmpp import Mmpp, poisson

Counts = npt.NDArray[np.int64]

MOST_BINS = 1 << 16
"""That a likelihood is over; a fit takes some hundred of them."""
A_BIN = 4.0
"""Requests that a bin holds on average, at least: phases of fewer requests are clustering."""
LEAST_REQUESTS = 64
LEAST_BINS = 16
PHASES_SEEN = 8.0
"""Phases within an excerpt, so that excerpts tell how long they last."""
_MOST_COUNT = 4096
_LEAST_CHANCE = 1e-18
"""Below it the Fourier inversion returns noise."""
_SEED = 11


class _Series(NamedTuple):
    """Counts in bins, in one row or in several."""

    bin_s: float
    rows: tuple[Counts, ...]
    kept: float
    """Share of the requests that was kept, so that counts are not too high."""
    mean_rps: float
    """Of those kept, over all rows."""

    @property
    def bins(self) -> int:
        return sum(map(len, self.rows))


def fit_mmpp(arriving: Arriving) -> Mmpp:
    """Return the process of two phases under which a trace is likeliest; phase 0 is the quiet one.

    Its mean rate is that of the trace. It is fitted to the excerpts, in bins of about four
    requests, and where these hold not all requests and phases turn out to be longer than an
    eighth of an excerpt, to the counts of the whole trace instead. Phases shorter than about four
    requests, or, of a trace of more than 2^18 requests, longer than an eighth of it, are not
    told from clusters or from a single change. A rate that drifts over more than two levels is
    described by phases that are shorter than its drift: the rates are right then, not how long
    they last.

    It is a Poisson process if the trace has fewer than 64 requests or 16 bins, or if two phases
    raise the likelihood by no more than three parameters must (the information criterion of
    G. Schwarz, Annals of Statistics 6, 1978); regular arrivals never do.
    """
    if arriving.requests < LEAST_REQUESTS:
        return poisson(arriving.mean_rps)
    close = _close_up(arriving)
    found = _likeliest(close)
    if not arriving.is_whole:
        seen_s = close.bins * close.bin_s / len(close.rows)
        if found is None or max(found.phase_s) * PHASES_SEEN > seen_s:
            found = _likeliest(_from_afar(arriving)) or found
    if found is None:
        return poisson(arriving.mean_rps)
    factor = arriving.mean_rps / found.mean_rps
    low, high = (rate * factor for rate in found.rates_rps)
    return Mmpp(rates_rps=(low, high), switching_per_s=found.switching_per_s)


def _close_up(arriving: Arriving) -> _Series:
    """Return the excerpts in bins of a few requests; one row if they are the whole trace."""
    stretches = [excerpt.times_s for excerpt in arriving.excerpts]
    if arriving.is_whole:
        stretches = [np.concatenate(stretches)]
    lasts_s = sum(float(times_s[-1] - times_s[0]) for times_s in stretches)
    if lasts_s <= 0:
        return _Series(arriving.bin_s, (), 1.0, arriving.mean_rps)
    bin_s = max(lasts_s * A_BIN / sum(map(len, stretches)), lasts_s / MOST_BINS)
    rows = []
    for times_s in stretches:
        bins = int((times_s[-1] - times_s[0]) / bin_s)
        places = ((times_s - times_s[0]) / bin_s).astype(np.int64)
        # The last bin is cut short, so it is left out.
        rows.append(np.bincount(places[places < bins], minlength=bins))
    return _thinned(bin_s, [row for row in rows if len(row)], 1.0)


def _from_afar(arriving: Arriving) -> _Series:
    """Return the counts of the whole trace, in wider bins, thinned to a few requests each.

    Full counts tell rates that drift from two levels so surely that only phases far too short
    would explain them.
    """
    merged = math.ceil(len(arriving.counts) / MOST_BINS)
    whole = arriving.counts[: len(arriving.counts) // merged * merged]
    counts = whole.reshape(-1, merged).sum(axis=1)
    return _thinned(merged * arriving.bin_s, [counts], A_BIN / float(counts.mean()))


def _thinned(bin_s: float, rows: list[Counts], share: float) -> _Series:
    """Return a series of which a share of the requests is kept, so that no bin holds too many.

    What is left of each count by chance is again that of such a process, at lower rates.
    """
    most = max((int(row.max()) for row in rows), default=0)
    kept = min(1.0, share, _MOST_COUNT / (1.1 * max(most, 1)))
    if kept < 1:
        rng = np.random.default_rng(_SEED)
        rows = [rng.binomial(row, kept).astype(np.int64) for row in rows]
    bins = sum(map(len, rows))
    mean_rps = sum(int(row.sum()) for row in rows) / (bins * bin_s) if bins else 0.0
    return _Series(bin_s, tuple(rows), kept, mean_rps)


def _likeliest(series: _Series) -> Mmpp | None:
    """Return the process of highest likelihood; None: Poisson does as well."""
    if series.bins < LEAST_BINS or series.mean_rps <= 0:
        return None

    def cost(shape: Samples) -> float:
        mmpp = _of_shape(shape, series.mean_rps)
        return math.inf if mmpp is None else -log_likelihood(mmpp, series.bin_s, series.rows)

    ranked = sorted((cost(shape), tuple(shape)) for shape in _starts(series))
    likely = [np.array(shape) for lost, shape in ranked[:3] if math.isfinite(lost)]
    if not likely:
        return None
    rough = [_descended(cost, shape, evaluations=60, xatol=0.03) for shape in likely]
    best = min(rough, key=lambda one: one[0])[1]
    lost, shape = _descended(cost, best, evaluations=200, xatol=0.003)
    gained = -lost - log_likelihood(poisson(series.mean_rps), series.bin_s, series.rows)
    mmpp = _of_shape(shape, series.mean_rps)
    if mmpp is None or gained <= 1.5 * math.log(series.bins):
        return None
    low, high = (rate / series.kept for rate in mmpp.rates_rps)
    return Mmpp(rates_rps=(low, high), switching_per_s=mmpp.switching_per_s)


def _descended(
    cost: Callable[[Samples], float], start: Samples, evaluations: int, xatol: float
) -> tuple[float, Samples]:
    """Return the lowest cost that a simplex finds from a start, and where (Nelder and Mead)."""
    options: dict[str, Any] = {"xatol": xatol, "fatol": 10 * xatol, "maxfev": evaluations}
    found = cast(Any, minimize)(cost, start, method="Nelder-Mead", options=options)
    return float(found.fun), np.asarray(found.x)


def _of_shape(shape: Samples, mean_rps: float) -> Mmpp | None:
    """Return the process of a mean and (log of the sum of switching rates, log odds of the busy
    phase, log odds of the quiet rate over the mean); None: out of any range.
    """
    if not np.all(np.abs(shape) < 30):
        return None
    total = math.exp(shape[0])
    busy, quiet = (1 / (1 + math.exp(-one)) for one in shape[1:])
    high_rps = mean_rps * (1 - (1 - busy) * quiet) / busy
    return Mmpp(
        rates_rps=(mean_rps * quiet, high_rps), switching_per_s=(total * busy, total * (1 - busy))
    )


def _starts(series: _Series) -> list[Samples]:
    """Return shapes with the variance of the counts at time scales from a bin to a row."""
    starts = []
    longest = max(map(len, series.rows))
    for merged in (4**power for power in range(9)):
        if longest < 8 * merged:
            break
        wide_s = merged * series.bin_s
        rows = [row[: len(row) // merged * merged] for row in series.rows]
        counts = np.concatenate([row.reshape(-1, merged).sum(axis=1) for row in rows])
        mean = float(counts.mean())
        if mean <= 0:
            continue
        # Of the rate over the square of its mean: what the counts vary more than by chance.
        variance = max((float(counts.var()) - mean) / mean**2, 1e-3 / mean)
        for busy in (0.02, 0.1, 0.3, 0.6, 0.9):
            quiet = min(max(1 - math.sqrt(variance * busy / (1 - busy)), 0.02), 0.98)
            for total in (0.3 / wide_s, 2 / wide_s):
                odds = (math.log(share / (1 - share)) for share in (busy, quiet))
                starts.append(np.array([math.log(total), *odds]))
    return starts


def log_likelihood(mmpp: Mmpp, bin_s: float, rows: tuple[Counts, ...]) -> float:
    """Return the logarithm of the probability of counts in bins of so many seconds.

    Each row begins in a phase that is stationary. Matrices are multiplied in pairs, so that all
    of a level are done at once. -inf where the rates are too high for the counts to be told.
    """
    most = max(int(row.max()) for row in rows)
    size = 1 << math.ceil(math.log2(2 * most + 64))
    if max(mmpp.rates_rps) * bin_s > 0.6 * size:
        return -math.inf
    chances = count_chances(mmpp, bin_s, size)
    # One more matrix: it forgets the phase, so rows can be strung together.
    stationary = mmpp.stationary
    chances = np.concatenate([chances, np.outer([1, 1], stationary)[None]])
    strung = np.concatenate([part for row in rows for part in (row, [size])])
    product, log_scale = _multiplied(chances[strung])
    return log_scale + math.log(float(stationary @ product.sum(axis=1)))


def _multiplied(matrices: Samples) -> tuple[Samples, float]:
    """Return the product of (n, 2, 2) matrices in order, up to a factor, and its logarithm."""
    a, b, c, d = (np.ascontiguousarray(matrices[:, i, j]) for i in (0, 1) for j in (0, 1))
    log_scale = 0.0
    while len(a) > 1:
        if len(a) % 2:
            a, b, c, d = (
                np.append(one, unit) for one, unit in zip((a, b, c, d), (1, 0, 0, 1), strict=True)
            )
        (a0, b0, c0, d0), (a1, b1, c1, d1) = (
            [one[start::2] for one in (a, b, c, d)] for start in (0, 1)
        )
        a, b, c, d = a0 * a1 + b0 * c1, a0 * b1 + b0 * d1, c0 * a1 + d0 * c1, c0 * b1 + d0 * d1
        total = a + b + c + d
        log_scale += float(np.log(total).sum())
        a, b, c, d = a / total, b / total, c / total, d / total
    return np.array([[a[0], b[0]], [c[0], d[0]]]), log_scale


def count_chances(mmpp: Mmpp, bin_s: float, size: int) -> Samples:
    """Return P(n requests in a bin and phase j at its end | phase i at its start).

    Shape (size, 2, 2), n from 0 on. They are the coefficients of exp((D0 + z D1) t), found on the
    unit circle by a Fourier transform (J. Abate and W. Whitt, "Numerical inversion of probability
    generating functions", Operations Research Letters 12, 1992); what lies beyond `size` folds
    back, so it must be unlikely.
    """
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    first, second = mmpp.switching_per_s
    a = (mmpp.rates_rps[0] * (z - 1) - first) * bin_s
    d = (mmpp.rates_rps[1] * (z - 1) - second) * bin_s
    b, c = first * bin_s, second * bin_s
    middle, half = (a + d) / 2, (a - d) / 2
    root = np.sqrt(half**2 + b * c)
    rising, falling = np.exp(middle + root), np.exp(middle - root)
    even = (rising + falling) / 2
    is_small = np.abs(root) < 1e-6
    odd = np.where(is_small, even, (rising - falling) / (2 * np.where(is_small, 1, root)))
    by_pair = [[even + half * odd, b * odd], [c * odd, even - half * odd]]
    chances = np.fft.irfft(np.array(by_pair), n=size, axis=2)
    return np.maximum(np.moveaxis(chances, 2, 0), _LEAST_CHANCE)

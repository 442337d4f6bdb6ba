"""Region-based reinforcement learning (RRL): the search, whole.

After Qin et al., SC'19, doi 10.1145/3295500.3356164, and its sequel on adaptive regions, IoT-J
2020, doi 10.1109/JIOT.2020.2965103. State: the load level. Action: a configuration. The value of
a pair (state, action) that was not measured is estimated from measured pairs in its region, and
regions adapt. Values are logarithms of what is to be small. Where no source is named, the
equation is ours.

**Prediction.** Learnt is by how much a prediction p errs, which says itself how far, v(x), it may:

    y = value - p(x)                                                                         (1)

Where other searches taught how predictions err, there is a second belief, of another p and v, and
what is believed is the mixture of both (9, in `mixture`).

**Regions.** With x scaled so that each knob, and the load, spans 1, two pairs are as kindred as

    w(x, x') = exp(-sum_j |x_j - x'_j| / h_j)                                                (2)

A region is the diamond around a pair in which w exceeds 1/e; h_j is its reach along knob j. Errors
are taken for a Gaussian process, jagged as that of Ornstein and Uhlenbeck is, since errors jump.
Without a prediction, values themselves are learnt, which are smoother: w is then the product of
(1 + r) exp(-r), r = sqrt(3) |x_j - x'_j| / h_j (Rasmussen and Williams 2006, 4.17). Covariances are

    C(x, x') = v(x) v(x') (t^2 w(x, x') + b^2) + g^2 p(x) p(x') + (n^2 + s^2) [x is x']      (3)

t: how far errors go. b: a prediction may be biased everywhere. g: it may stretch or squeeze
differences. n: the noise that a measurement states. s: what it does not. With k the covariances of
x with the measured pairs, C theirs among each other (ibid. 2.25, 2.26),

    m(x) = p(x) + k' C^-1 y,        d^2(x) = C(x, x) - k' C^-1 k                             (4)

**Regions adapt.** After each measurement every h_j, t and s takes a step up or down by a factor of
1.6 where that makes (ibid. 2.30; the prior is log-normal, as wide as a factor of e)

    log P(y) = -(y' C^-1 y + log |C|) / 2 + log prior(h, t, s)                               (5)

larger: regions shrink along a knob across which members disagree, and grow where they agree. Of a
prediction, which says how far it may be off, t never shrinks: few regions say little of the others.

**Failures** are learnt in the same way, of configurations: f = 1 for one that failed at any load
and f = -1 for one that worked are values of which nothing was predicted, with regions of their own;

    P(x works) = P(f(x) < 0) by (4); 1 as long as nothing failed                             (6)

**Choice.** The effect of a pair on the policy table is by how much it may lower its load's entry,
m*, e being the smallest gain worth having (Mockus 1975; a limit has a belief of its own) and c the
largest that is believed in: what is predicted, and doubted by orders of magnitude, is hardly better
by as much; without a prediction there is none.

    A(x) = E[min(c, max(0, m* - e - value(x)))] P(x works) P(x keeps the limit)              (7)

The pair of the largest A per second of measuring is next. A load's first entry is the pair expected
to be best there, lowest loads first. Without a prediction a few well-spread pairs come before all.

**Stopping.** The search is settled when the chance that any pair not measured is better than its
load's entry by more than e, by draws from the joint belief (4), is

    P(min_x [value(x) - m*] < -e) < max_doubt                                                (8)

which holds as far as (3) does: tests count how often it fails where errors jump. Without a
prediction, (3) knows but what few measurements taught it, and d counts 1.5 times. Of pairs that are
too many to look at, a random sample speaks for all.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from autotune.outcome import Samples
from autotune.stats.gaussian import log_capped_gain
from autotune.strategy.belief import Belief
from autotune.strategy.mixture import Mixture, believe, renewed
from autotune.strategy.protocol import Observation, Pair, Prediction, SearchSettings
from autotune.strategy.shortlist import Indices, Shortlist, View, scaled

MOST_GAIN = 0.5  # c of (7): a logarithm, or a share of m*
BLANK_DOUBT = 1.5  # (8): times the deviation, where nothing was predicted
JOINT = 256  # (8): pairs drawn together; of the rest chances are added
TOLD = 64  # likewise where (8) is told of each load and settles nothing


class Rrl:
    """The search over all (load, point) pairs. See the module for the equations."""

    def __init__(
        self,
        coordinates: Samples,
        loads: Samples,
        predicted: Prediction | None = None,
        predicted_excess: Prediction | None = None,
        settings: SearchSettings | None = None,
    ) -> None:
        """Start from nothing, or from predictions of the values and of what exceeds the limit.

        Args:
            coordinates: of the points, shape (points, knobs), on a scale that suits each knob.
            loads: of the load levels, ascending, shape (loads,), on a scale that suits them.
            predicted: as known; None: nothing is, and values themselves are learnt.
            predicted_excess: likewise.
            settings: when to stop, and what to presume.
        """
        self._settings = settings or SearchSettings()
        self._points, load_places = scaled(coordinates), scaled(loads[:, None])
        self._shape = (len(loads), len(coordinates))
        self._value = believe(self._points, load_places, predicted, self._settings)
        self._limit = believe(self._points, load_places, predicted_excess, self._settings)
        likely = predicted and predicted.value
        self._shortlist = Shortlist(self._points, load_places, likely, self._settings.seed)
        unscaled = self._settings._replace(log_scale=False)
        self._failing = Belief(self._points, np.zeros((1, 1)), None, unscaled)
        self._failed: list[int] = []
        self._open = np.ones(self._shape, dtype=bool)
        self._design = [] if predicted is not None else self._shortlist.spread()
        self._view: View | None = None

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        """Return what `ask_on` does; None when the search is settled (8)."""
        return None if self.settled() else self.ask_on(cost_s)

    def ask_on(self, cost_s: Samples | None = None) -> Pair | None:
        """Return the pair of the largest effect (7) per second, settled or not; None: all asked."""
        while self._design:
            pair = self._pair(self._design.pop(0))
            if self._open[pair]:
                return pair
        view = self._look()
        if not len(view.pairs):
            return None
        for load in range(self._shape[0]):
            if (first := self._first_entry(load, view)) is not None:
                return self._pair(first)
        with np.errstate(divide="ignore"):
            gain = log_capped_gain(view.z, view.most)
            effect = gain + np.log(view.deviation * view.promise)  # (7)
        if cost_s is not None:
            effect = effect - np.log(cost_s.ravel()[view.pairs])
        return self._pair(view.pairs[np.argmax(effect)])

    def tell(self, pair: Pair, observation: Observation) -> None:
        """Learn from a measurement; a pair told twice is known twice as well."""
        index = pair.load * self._shape[1] + pair.point
        self._view = None
        self._open[pair] = False
        if observation.value is None or pair.point not in self._failing.measured:
            self._failing.learn(pair.point, 1.0 if observation.value is None else -1.0, 0.0)
        if observation.value is None:
            self._failed.append(pair.point)
            self._open[:, pair.point] = False
            return
        self._value.learn(index, observation.value, observation.noise)
        if observation.excess is not None:
            self._limit.learn(index, observation.excess, observation.excess_noise)

    def expect(self, predicted: Prediction, predicted_excess: Prediction | None = None) -> None:
        """Replace the predictions by some that know more."""
        self._view = None
        self._value = renewed(self._value, predicted)
        if predicted_excess is not None:
            self._limit = renewed(self._limit, predicted_excess)

    def best(self, load: int) -> list[int]:
        """Return the measured points that work at this load: those within the limit, best first."""
        pairs = self._measured(load)
        if not len(pairs):
            return []
        order = np.lexsort((self._value.at(pairs)[0], self._exceeds(pairs)))
        return [int(pairs[i] % self._shape[1]) for i in order]

    @property
    def trust(self) -> float | None:
        """The chance (9) that what was learnt elsewhere holds here; None: nothing was."""
        return self._value.trust if isinstance(self._value, Mixture) else None

    def settled(self) -> bool:
        """Whether, by (8), nothing left unmeasured is likely to matter at any load."""
        if any(self._open[self._pair(index)] for index in self._design):
            return False
        view = self._look()
        if any(self._first_entry(load, view) is not None for load in range(self._shape[0])):
            return False
        return self._chance_of_better(view) <= self._settings.max_doubt

    def doubts(self) -> tuple[float | None, ...]:
        """Return the chance (8), or a bit more, at each load alone; None: it has no entry yet."""
        view, targets = self._look(), self._targets()
        loads = view.pairs // self._shape[1]
        parts = [View(*(of[loads == load] for of in view)) for load in range(len(targets))]
        return tuple(
            min(1.0, self._chance_of_better(part, told=True)) if np.isfinite(target) else None
            for part, target in zip(parts, targets, strict=True)
        )

    def estimate(self, load: int, points: Indices | None = None) -> Samples:
        """Return the expected value of these points at a load, or of every, shape (points,)."""
        points = np.arange(self._shape[1]) if points is None else points
        return self._value.at(load * self._shape[1] + points)[0]

    def risk(self, load: int) -> Samples:
        """Return each point's chance of exceeding the limit at a load, shape (points,)."""
        return 1 - self._limit.chance_below_zero(load * self._shape[1] + np.arange(self._shape[1]))

    def regions(self, load: int) -> Indices:
        """Return the measured point in whose region (2) each lies, shape (points,); -1: in none."""
        found = self._value.nearest(load * self._shape[1] + np.arange(self._shape[1]))
        return np.where(found < 0, -1, found % self._shape[1])

    def _pair(self, index: int) -> Pair:
        return Pair(*divmod(int(index), self._shape[1]))

    def _measured(self, load: int) -> Indices:
        """Pairs measured at this load, of configurations that never failed."""
        failed = {load * self._shape[1] + point for point in self._failed}
        own = {i for i in self._value.measured if i // self._shape[1] == load} - failed
        return np.array(sorted(own), dtype=np.int64)

    def _exceeds(self, pairs: Indices) -> npt.NDArray[np.bool_]:
        if not self._limit.measured:
            return np.zeros(len(pairs), dtype=bool)
        return np.asarray(self._limit.at(pairs)[0] > 0)

    def _targets(self) -> Samples:
        """m* - e of (7) by load; -inf where nothing measured keeps the limit."""
        found = np.full(self._shape[0], -np.inf)
        for load in range(self._shape[0]):
            pairs = self._measured(load)
            pairs = pairs[~self._exceeds(pairs)]
            if len(pairs):
                found[load] = float(self._value.at(pairs)[0].min())
        share = self._settings.min_gain
        gain = -np.log1p(-share) if self._settings.log_scale else share * np.abs(found)
        return np.where(np.isfinite(found), found - gain, found)

    def _look(self) -> View:
        """What is believed now of the pairs that may be measured next."""
        if self._view is not None:
            return self._view
        best = [self.best(load) for load in range(self._shape[0])]
        pairs, weight = self._shortlist.draw(self._open, len(self._value.measured), best)
        promise = np.ones(len(pairs))
        if self._failed:
            promise = self._failing.chance_below_zero(pairs % self._shape[1])  # (6)
        if self._limit.measured or self._limit.predicts:
            keeps = self._limit.chance_below_zero(pairs)
            risk = self._settings.max_risk
            safe = keeps >= (0.0 if risk is None else 1 - risk)
            pairs, promise, weight = pairs[safe], (promise * keeps)[safe], weight[safe]
        mean, deviation = self._value.at(pairs)
        target = self._targets()[pairs // self._shape[1]]
        most = MOST_GAIN * (1.0 if self._settings.log_scale else np.abs(target)) / deviation
        most = most if self._value.predicts else np.full(len(pairs), np.inf)
        z = (target - mean) / deviation
        self._view = View(pairs, mean, deviation, promise, z, most, weight)
        return self._view

    def _first_entry(self, load: int, view: View) -> int | None:
        """The pair to open a load with; None where it has an entry, or none can be hoped for."""
        here = np.flatnonzero(view.pairs // self._shape[1] == load)
        if not len(here) or np.isfinite(view.z[here[0]]):
            return None
        promise = view.promise[here]
        if not len(self._measured(load)):
            unlikely = promise < 0.5 * promise.max()
            return int(view.pairs[here[np.argmin(np.where(unlikely, np.inf, view.mean[here]))]])
        if promise.sum() < self._settings.max_doubt:
            return None
        return int(view.pairs[here[np.argmax(promise)]])

    def _chance_of_better(self, view: View, told: bool = False) -> float:
        """The left side of (8); unless it is to be told, only as exactly as settling needs it."""
        doubt = 1.0 if self._value.predicts else BLANK_DOUBT
        chance = ndtr(view.z / doubt) * view.promise
        beyond = float(chance @ (view.weight - 1))  # of those that were not looked at
        least, most = float(chance.max(initial=0)), float(chance.sum()) + beyond  # at any rate
        doubted = least > self._settings.max_doubt
        if most <= self._settings.max_doubt or (doubted and not told):
            return most
        together, rest = np.split(np.argsort(-chance), [TOLD if told else JOINT])
        off = self._value.draw(view.pairs[together]) - view.mean[together]
        better = doubt * off < view.z[together] * view.deviation[together]
        works = np.random.default_rng(1).random(off.shape) < view.promise[together]
        return float((better & works).any(axis=1).mean() + chance[rest].sum()) + beyond

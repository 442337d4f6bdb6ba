"""A large CPU server on paper: what a batch of a model takes on it.

A replica has t intra-op threads and, in parallel mode, up to e = min(inter-op threads, branches of
the model) operators under way, so that u = t + e - 1 threads compute for it (the operators share
one pool of t; each brings the thread that called it). A batch of b on one idle machine computes for

    c(b) = work g(b) [(1 - q) (s + (1 - s) / t) + q (s / e + (1 - s) / u)]                     (1)

s being the serial share (Amdahl 1967, doi 10.1145/1465482.1465560), q the share of the work that
lies in branches, and g(b) = f + (1 - f) b up to the batch where economies are exhausted, after
which a request costs the same however many there are. A node with C cores and H hardware threads
on which D threads want to run makes each of them slower by (and by a lower clock, see `TURBO`)

    d(D) = 1 up to C;  D / (C (1 + (smt - 1) (D - C) / (H - C))) up to H;  d(H) (D / H)^a above  (2)

a = 1 is time-sharing; threads that spin waste the slices of those that they wait for. Memory gives

    m(b) = bytes(b) / min(u one_core, node / replicas on the node),   x 1.65 across nodes        (3)

and computing and moving overlap: (c^4 + m^4)^(1/4), a roofline (Williams et al. 2009, doi
10.1145/1498765.1498785) with the corner rounded. What threads lose in meeting, once for each
parallel region, is added; without spinning they have to be woken as well.                       (4)
"""

import numpy as np

from autotune.outcome import Flags, Samples
from autotune.paper.grid import Knobs
from autotune.paper.ranges import Range
from autotune.spec import Record

NODE_BANDWIDTH = 120e9
"""Bytes/s of a socket of 32 cores: STREAM on two ThunderX2, 241 GB/s tuned ("235 GB/s, or about 120
GB/s per" socket); two EPYC 7601, also 2 x 32 cores, reach 250 GB/s by AMD's own binary.
https://www.anandtech.com/show/12694, https://www.anandtech.com/show/11544"""
CORE_BANDWIDTH = 12e9
"""Bytes/s that one core can draw: STREAM on one thread of a Skylake-SP.
https://www.anandtech.com/show/11544, p. 12, as reported by https://biz.zol.com.cn/660/6601238.html"""
REMOTE_BANDWIDTH = 34 / 112
"""Of local bandwidth, two Xeon Platinum 8160: reads of 112 GB/s local, 34 GB/s remote.
https://boohere.com/id/detail/201966.html (a copy of an answer on Stack Overflow)"""
STRADDLE = 0.5 / REMOTE_BANDWIDTH
"""A replica across two nodes has half of its data on the other one; both halves flow at once, and
the remote one is done last: 1.65 times as long."""
REMOTE_LATENCY = 1.7
"""Times the local one: 140-200 ns instead of 80-100 ns, https://www.onenoughtone.com/learn/
numa-architecture/3. Meetings across nodes take longer by it."""
SMT_GAIN = 1.25
"""Throughput of two threads on a core over one: Marr et al. 2002 ("Hyper-Threading Technology
Architecture and Microarchitecture", Intel Technology Journal 6-1) give up to 1.30 for servers."""
TURBO = 3.2 / 2.7
"""Clock of one core over that of all: EPYC 7601's largest boost over its all-core boost, GHz. In
between it is taken to fall in proportion to the cores at work."""
SPIN_WASTE = 1.8
"""a of (2) for spinning threads. Fitted: with five instead of four of them on four cores, ten
models took 1.15 to 1.64, at the median 1.5 times as long, and 1.25^1.8 = 1.5.
https://github.com/microsoft/onnxruntime/pull/1863"""
LINGERING = 0.27
"""Share of a core that a pool thread goes on using while its replica is idle. Fitted: of three
spinning pools, one busy at a time, runs took 160.8 instead of 74.3 ms, and
(1 + 2 x 0.27)^1.8 = 2.16. https://github.com/microsoft/onnxruntime/issues/17011. They spin for
16-47 ms after a run (https://github.com/microsoft/onnxruntime/pull/27916)."""
WAKE_S = 3e-6
"""To wake a sleeping thread; sleepers wake each other, so a region waits log2(threads) times it.
Assumed."""
PARALLEL_COST = 1.03
"""What the parallel executor adds to a run. Assumed."""
SHARPNESS = 4.0
"""Of the roofline's corner. Assumed."""
JITTER_BODY = (0.03, 0.05)
"""Log standard deviation of a run on an idle machine, and what a full one adds. With the tail and
13 of 32 threads busy the ratio's deviation is 0.07, as of a ResNet on 13 threads of a D32s: mean
8.38, deviation 0.58, largest 25.49 ms. https://github.com/microsoft/onnxruntime/pull/9833. More on
a fuller machine is assumed."""
JITTER_TAIL = (0.0125, 0.8)
"""Share of runs on a full machine that something delays, falling with the square of how full it is,
and by how much of a run on average (exponential). As above."""


class ModelOnCpu(Record, frozen=True):
    """What matters about a model."""

    work_s: float
    """Of one request on one core."""
    serial_share: float
    """Of the work that one thread does while others wait."""
    weight_bytes: float
    """Moved by each run, whatever its batch."""
    item_bytes: float
    """Moved for each request."""
    regions: float
    """Parallel regions of a run: threads meet once in each."""
    sync_s: float
    """Added to each meeting by each thread."""
    branches: int
    """Operators that can run side by side in the parallel executor."""
    branch_share: float
    """Of the work that lies in such branches."""
    fixed_share: float
    """Of a run that does not grow with the batch."""
    saturation: int
    """The batch at which a request costs least; larger ones cost no less."""
    load_s: float
    """To load a replica."""

    def growth(self, batch: Samples) -> Samples:
        """Return the work of a batch in requests, g of (1)."""
        full = self.fixed_share / self.saturation + 1 - self.fixed_share
        small = self.fixed_share + (1 - self.fixed_share) * batch
        return np.where(batch <= self.saturation, small, full * batch)


class CpuMachine(Record, frozen=True):
    """A server of equal NUMA nodes."""

    cores: int = 64
    nodes: int = 2
    smt: bool = False
    """Whether a core runs two threads."""

    @property
    def usable(self) -> int:
        """Processors that autotune finds."""
        return 2 * self.cores if self.smt else self.cores

    def service_s(self, model: ModelOnCpu, knobs: Knobs, busy: Samples, batch: Samples) -> Samples:
        """Return the median seconds of a batch; knobs, busy and batch broadcast.

        Args:
            model: what runs.
            knobs: how it is configured.
            busy: replicas that run, this one included.
            batch: requests in the batch.
        """
        per_node = self.cores / self.nodes
        operators = np.where(knobs.parallel, np.minimum(knobs.inter, model.branches), 1)
        threads = knobs.threads + operators - 1
        spins = knobs.spinning & ((knobs.threads > 1) | knobs.parallel)
        straddling = _straddling(threads, busy, per_node, self.nodes)
        idle = (knobs.replicas - busy).clip(min=0) * np.where(spins, LINGERING * (threads - 1), 0)
        wanted = (busy * threads + idle) / self.nodes
        wanted = np.where(threads <= per_node, np.maximum(wanted, threads), wanted)
        slow = self._slowdown(wanted, spins & (threads > 1))
        slow = slow * (1 + (TURBO - 1) * np.minimum(busy * threads / self.cores, 1.0))
        compute_s = _alone_s(model, knobs, operators, threads) * model.growth(batch) * slow
        share = NODE_BANDWIDTH * self.nodes / np.maximum(busy, self.nodes)
        moved = model.weight_bytes + model.item_bytes * batch
        memory_s = moved / np.minimum(threads * CORE_BANDWIDTH, share)
        memory_s = memory_s * (1 + (STRADDLE - 1) * straddling)
        overlapped_s = (compute_s**SHARPNESS + memory_s**SHARPNESS) ** (1 / SHARPNESS)
        meeting_s = model.sync_s * threads * (1 + (REMOTE_LATENCY - 1) * straddling)
        waking_s = np.where(spins, 0.0, WAKE_S * np.log2(threads))
        regions = np.where(threads > 1, model.regions, 0)
        return np.asarray(overlapped_s + regions * (meeting_s + waking_s) * slow)

    def _slowdown(self, wanted: Samples, spins: Flags) -> Samples:
        """Return d of (2) for a node on which so many threads want to run."""
        cores = self.cores / self.nodes
        gain = SMT_GAIN if self.smt else 1.0
        hardware = self.usable / self.nodes
        shared = ((wanted - cores) / max(hardware - cores, 1e-9)).clip(0, 1)
        within = np.minimum(wanted, hardware).clip(min=cores) / (cores * (1 + (gain - 1) * shared))
        excess = np.maximum(wanted / hardware, 1.0)
        return np.asarray(within * excess ** np.where(spins, SPIN_WASTE, 1.0))

    def fullness(self, knobs: Knobs, busy: Samples) -> Samples:
        """Return the share of the machine's processors that busy replicas occupy."""
        inter = np.where(knobs.parallel, knobs.inter, 1)
        return np.minimum(busy * (knobs.threads + inter - 1) / self.usable, 1.0)


def jitter(fullness: float, count: int, seed: int) -> Samples:
    """Return sorted ratios of executions to their median; the same ranks at any fullness."""
    rng = np.random.default_rng(seed)
    body = np.exp((JITTER_BODY[0] + JITTER_BODY[1] * fullness) * rng.standard_normal(count))
    delayed = rng.random(count) < JITTER_TAIL[0] * fullness**2
    ratios = body * (1 + np.where(delayed, rng.exponential(JITTER_TAIL[1], count), 0.0))
    return np.sort(ratios / np.median(ratios))


WORK_S = Range(1e-3, 50e-3)
SERIAL_SHARE = Range(0.02, 0.30)
TRAFFIC = Range(0.5e9, 8e9)
"""Bytes/s of one core at work: from 4 GB/s on, 64 cores want more than two nodes give. Assumed."""
WEIGHT_PART = Range(0.2, 0.8)
"""Of the bytes of one request, those that a batch moves once. Assumed."""
REGION_S = Range(50e-6, 200e-6)
"""Work between two meetings of threads: an operator. Assumed."""
SYNC_S = Range(30e-9, 100e-9)
"""64 threads meet in 2-6 us. Assumed."""
BRANCHES = (1, 2, 3, 4)
"""The average width of graphs; as many pools are the right number, by Wang et al. 2021 (TACO 18-1,
arXiv 1908.04705). The values are assumed."""
BRANCH_SHARE = Range(0.2, 0.7)
"""Assumed."""
FIXED_SHARE = Range(0.0, 0.4)
"""Assumed."""
SATURATIONS = (4, 8, 16, 32)
"""Assumed."""
LOAD_S = Range(0.05, 0.5)
"""Assumed."""


def draw_model(seed: int) -> ModelOnCpu:
    """Draw a model's traits from the ranges above."""
    rng = np.random.default_rng((seed, 64))
    work_s = WORK_S.log_even(rng)
    moved = work_s * TRAFFIC.log_even(rng)
    weights = WEIGHT_PART.even(rng)
    branches = int(rng.choice(BRANCHES))
    return ModelOnCpu(
        work_s=work_s,
        serial_share=SERIAL_SHARE.even(rng),
        weight_bytes=weights * moved,
        item_bytes=(1 - weights) * moved,
        regions=work_s / REGION_S.log_even(rng),
        sync_s=SYNC_S.log_even(rng),
        branches=branches,
        branch_share=BRANCH_SHARE.even(rng) if branches > 1 else 0.0,
        fixed_share=FIXED_SHARE.even(rng),
        saturation=int(rng.choice(SATURATIONS)),
        load_s=LOAD_S.log_even(rng),
    )


def _alone_s(model: ModelOnCpu, knobs: Knobs, operators: Samples, threads: Samples) -> Samples:
    """Return seconds of one request by (1)."""
    serial, branched = model.serial_share, model.branch_share
    chain = serial + (1 - serial) / knobs.threads
    branch = serial / operators + (1 - serial) / threads
    share = np.where(knobs.parallel, branched, 0.0)
    cost = np.where(knobs.parallel, PARALLEL_COST, 1.0)
    return np.asarray(model.work_s * ((1 - share) * chain + share * branch) * cost)


def _straddling(threads: Samples, busy: Samples, per_node: float, nodes: int) -> Samples:
    """Return the share of busy replicas that no node has room for, and that lie across nodes."""
    if nodes == 1:
        return np.zeros(np.broadcast(threads, busy).shape)
    room = nodes * np.floor(per_node / threads)
    across = np.where(threads > 1, (busy - room) / np.maximum(busy, 1), 0.0)
    return np.asarray(across.clip(0, 1))

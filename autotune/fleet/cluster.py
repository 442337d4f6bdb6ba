"""Ray: who is there, and searches that have a node to themselves. Nothing else imports it.

Sources: Ray 2.60, `ray.init`, `ray.nodes`, generators (`num_returns="streaming"`) and
`NodeAffinitySchedulingStrategy`. Scheduling, transport and the watch over nodes are Ray's.
"""

import os
import re
import signal
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from autotune.errors import UsageError
from autotune.fleet import on_node
from autotune.fleet.nodes import Facts, Member, Node, named_type
from autotune.fleet.on_node import Job, Message
from autotune.fleet.search import Gone
from autotune.lesson import Lesson
from autotune.tabular import printable

REACHED_WITHIN_S = 5.0
ASKED_WITHIN_S = 90.0
"""For a node to say what it is: a first worker process takes some seconds to start."""
NEWCOMER_WITHIN_S = 10.0
"""Likewise one that has joined meanwhile: others are not heard as long as it is waited for."""
HEARD_WITHIN_S = 0.2
"""What others teach; else it is heard after the next measurement."""
_PLACE = re.compile(r"(?P<host>[^:/\s]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")


@contextmanager
def connected(address: str) -> Iterator["RayCluster"]:
    """Connect to a cluster; where this process is connected already, to that.

    Raises:
        UsageError: Ray is not installed, or no cluster can be reached there.
    """
    with _own_signals():
        try:
            import ray
        except ImportError:
            raise UsageError("--ray: Ray is not installed: pip install 'autotune[fleet]'") from None
        known = ray.is_initialized()
        if not known:
            _join(address)
    if known:
        yield RayCluster()
        return
    try:
        yield RayCluster()
    finally:
        ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Leave it to whoever calls what SIGTERM does: Ray takes it for itself."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _join(address: str) -> None:
    import ray

    _demand_reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray has no class for it
        raise UsageError(f"--ray {address}: cannot be joined: {_first_line(error)}") from None


def _demand_reachable(address: str) -> None:
    """Refuse soon what Ray would try for minutes.

    Raises:
        UsageError: nothing listens there, or the address is none.
    """
    if address == "auto":
        return
    found = _PLACE.fullmatch(address)
    if found is None or int(found["port"]) > 65535:
        client = ": Ray's client cannot stream results" if address.startswith("ray://") else ""
        raise UsageError(
            f"--ray {address}: write HOST:PORT of the cluster's head, like 10.0.0.1:6379, or auto, "
            f"on a node of the cluster{client}"
        )
    try:
        place = (found["host"].strip("[]"), int(found["port"]))
        socket.create_connection(place, REACHED_WITHIN_S).close()
    except OSError as error:
        why = error.strerror or "no answer"
        raise UsageError(
            f"--ray {address}: no cluster answers there: {why}: name what `ray start --head` "
            "printed"
        ) from None


class RayCluster:
    """The cluster that this process is connected to, as `autotune.fleet.search.Cluster`."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._streams: dict[Hashable, Any] = {}
        self._nodes: dict[Hashable, Node] = {}
        self._post: Any = None

    def members(self, named_onnx: bool, known: Sequence[Member] = ()) -> list[Member]:
        """Return the nodes that are alive and have CPUs to give, with what they say of themselves.

        Args:
            named_onnx: whether the model's name says that it is ONNX Runtime's.
            known: nodes that need not be asked again. Where there are some, a search is under way,
                and others that do not answer are left out.

        Raises:
            UsageError: one does not answer, or runs an autotune without fleets, or none.
        """
        import ray

        ask = ray.remote(num_cpus=0, max_retries=0)(on_node.facts)
        facts = {one.node.id: one.facts for one in known}
        new = [one for one in _alive() if one.id not in facts]
        asked = {
            one.id: ask.options(scheduling_strategy=_on(one.id)).remote(named_onnx) for one in new
        }
        if asked:
            waits_s = NEWCOMER_WITHIN_S if known else ASKED_WITHIN_S
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=waits_s)
        alive = _alive()  # who has died meanwhile did not answer either
        for node in new:
            if node in alive:
                with suppress(*[UsageError] if known else []):
                    facts[node.id] = _facts(node, asked[node.id])
        return [Member(one, facts[one.id]) for one in alive if one.id in facts]

    def start(self, member: Member, job: Job) -> Hashable:
        """Begin a search that takes all CPUs of a node, so that Ray runs nothing beside it."""
        import ray

        if self._post is None:
            # Beside this process, so that none is where a search has a node to itself.
            here = _on(ray.get_runtime_context().get_node_id())
            self._post = ray.remote(num_cpus=0, scheduling_strategy=here)(_Post).remote()
        name = len(self._streams)
        run = ray.remote(num_cpus=member.node.cpus, num_returns="streaming", max_retries=0)
        on_it = run(_run).options(scheduling_strategy=_on(member.node.id))
        self._streams[name] = on_it.remote(job, self._post, name)
        self._nodes[name] = member.node
        return name

    def wait(self, timeout_s: float) -> list[tuple[Hashable, Message | Gone]]:
        """Return news of searches that run; what tells no more, for whatever reason, is gone."""
        import ray

        streams = {stream: name for name, stream in self._streams.items() if stream is not None}
        ready, _ = ray.wait(list(streams), num_returns=1, timeout=timeout_s, fetch_local=False)
        news: list[tuple[Hashable, Message | Gone]] = []
        for stream in ready:
            name = streams[stream]
            try:
                message = ray.get(next(stream))
            except StopIteration:
                self._streams[name] = None
                continue
            except ray.exceptions.RayError as error:
                self._streams[name] = None
                message = Gone(_first_line(error))
            news.append((name, message))
        return news or self._cut_off()

    def _cut_off(self) -> list[tuple[Hashable, Message | Gone]]:
        """Return the searches whose nodes Ray has given up: their streams never end by themselves.

        That a node's network is gone breaks no connection.
        """
        alive = {node.id for node in _alive()}
        news: list[tuple[Hashable, Message | Gone]] = []
        for name, stream in self._streams.items():
            if stream is not None and self._nodes[name].id not in alive:
                self._streams[name] = None
                news.append((name, Gone("Ray hears nothing of it any more")))
        return news

    def teach(self, search: Hashable, sender: str, lesson: Lesson) -> None:
        """Let a search that runs learn from another; where that is lost, it says so itself."""
        self._post.put.remote(search, sender, lesson)

    def stop(self, search: Hashable) -> None:
        """End a search, and forget it."""
        import ray

        ray.cancel(self._streams[search], force=True)
        self._streams[search] = None


class _Post:
    """Lessons on their way; an actor of Ray."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Hashable, dict[str, Lesson]] = defaultdict(dict)

    def put(self, search: Hashable, sender: str, lesson: Lesson) -> None:
        self._waiting[search][sender] = lesson

    def take(self, search: Hashable) -> dict[str, Lesson]:
        return self._waiting.pop(search, {})


def _run(job: Job, post: Any, search: Hashable) -> Iterator[Message]:
    """What runs on a node: the search, which hears what waits for it."""
    import ray

    asked: Any = None

    def hear() -> Mapping[str, Lesson]:
        # Not in the main thread, in which Ray would give the node's CPUs to others meanwhile.
        nonlocal asked
        asked = asked or post.take.remote(search)
        if not ray.wait([asked], timeout=HEARD_WITHIN_S)[0]:
            return {}
        try:
            found: Mapping[str, Lesson] = ray.get(asked)
        except ray.exceptions.RayError as error:
            raise ConnectionError(_first_line(error)) from None
        asked = None
        return found

    yield from on_node.run(job, hear)


def _alive() -> Sequence[Node]:
    import ray

    nodes = [one for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU", 0) >= 1]
    places = Counter(one["NodeManagerAddress"] for one in nodes)
    return [
        Node(
            id=one["NodeID"],
            name=_name(one["NodeManagerAddress"], one["NodeID"], places),
            named_type=named_type(one.get("Labels", {}), one["Resources"]),
            cpus=one["Resources"]["CPU"],
        )
        for one in nodes
    ]


def _name(address: str, node_id: str, places: Mapping[str, int]) -> str:
    """Return what to call a node; where several share an address, with a part of its id."""
    return address if places[address] == 1 else f"{address} ({node_id[:8]})"


def _on(node_id: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id, soft=False)


def _facts(node: Node, answer: Any) -> Facts:
    import ray

    try:
        return msgspec.json.decode(ray.get(answer, timeout=0), type=Facts)
    except ray.exceptions.GetTimeoutError:
        why = f"does not answer within {ASKED_WITHIN_S:.0f} s"
    except (ray.exceptions.RayError, msgspec.ValidationError) as error:
        why = f"has no autotune, or another version: {_first_line(error)}"
    raise UsageError(
        f"node {node.name} {why}: install autotune[fleet] there as here, from one image or "
        "constraints.txt"
    )


def _first_line(error: Exception) -> str:
    """Return what Ray complains of, in a sentence: of a trace, how it ends."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[-1] if "Traceback" in str(error) or "ray::" in str(error) else (lines or [""])[0]
    return printable((told or type(error).__name__).partition(". ")[0]).rstrip(".")

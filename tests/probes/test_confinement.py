"""What a confined process can still do, and what it cannot, in real processes."""

import json
import platform
import resource
import subprocess
import sys

import pytest

from autotune.probes.confinement import _KNOWN, _instructions, why_network_stays

SCRIPT = """
import ctypes, json, os, resource, socket, subprocess, sys, threading
from autotune.probes.confinement import confine, lift_memory_limit, limit_memory
waiting, said = threading.Event(), {}
def tried(call):
    try:
        call().close()
        return "made"
    except OSError as error:
        return error.strerror
def late():
    waiting.wait()
    said["thread"] = tried(socket.socket)
thread = threading.Thread(target=late)
thread.start()
said["before"] = tried(socket.socket)
said["stays"] = confine()
waiting.set()
thread.join()
for family in ("INET", "INET6", "UNIX", "NETLINK", "VSOCK"):
    said[family] = tried(lambda: socket.socket(getattr(socket, "AF_" + family), socket.SOCK_DGRAM))
said["pair"] = tried(lambda: socket.socketpair()[0])
inner = "import socket; socket.socket()"
said["program"] = subprocess.run([sys.executable, "-c", inner], stderr=-3).returncode
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 1, ctypes.create_string_buffer(120))
said["ring"] = os.strerror(ctypes.get_errno())
said["core"] = resource.getrlimit(resource.RLIMIT_CORE)
said["room"] = limit_memory(2)
said["data"] = resource.getrlimit(resource.RLIMIT_DATA)[0]
try:
    bytearray(said["data"] + (1 << 20))
except MemoryError:
    said["memory"] = "refused"
said["small"] = len(bytearray(1 << 20))
lift_memory_limit()
said["lifted"] = resource.getrlimit(resource.RLIMIT_DATA)[0]
print(json.dumps(said))
"""

known = pytest.mark.skipif(platform.machine() not in _KNOWN, reason="no filter for this machine")


@known
def test_a_confined_process_has_no_network_and_what_is_local_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["before"] == "made"
    assert said["stays"] == []
    denied = {said[name] for name in ("thread", "INET", "INET6", "VSOCK", "ring")}
    assert denied == {"Permission denied"}
    assert (said["UNIX"], said["NETLINK"], said["pair"]) == ("made", "made", "made")
    assert said["program"] != 0
    assert said["core"] == [0, 0]
    assert said["data"] > said["room"] > 1 << 20
    assert said["memory"] == "refused"
    assert said["small"] == 1 << 20
    assert said["lifted"] == resource.getrlimit(resource.RLIMIT_DATA)[1]


@known
def test_whether_the_network_can_be_denied_is_told_without_denying_it() -> None:
    assert why_network_stays() is None
    assert why_network_stays() is None


def test_where_no_filter_is_known_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    assert why_network_stays() == "no filter of system calls is known for s390x"


@pytest.mark.parametrize("machine", _KNOWN)
def test_every_jump_of_the_filter_ends_within_it(machine: str) -> None:
    program = _instructions(_KNOWN[machine])
    for index, instruction in enumerate(program):
        assert len(instruction) == 8
        assert index + 1 + max(instruction[2:4]) < len(program) or instruction[0] == 0x06
    assert program[-1][0] == program[-2][0] == 0x06

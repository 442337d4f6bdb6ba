"""A server of our own that computes `y = max(x, 0)`, and a command that reconfigures it."""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from conftest import save, value
from onnx import helper

from autotune.servers.running import free_ports, is_free

SERVER = """
import itertools, json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

told, turns = Path(sys.argv[2]), itertools.count()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        has = json.loads(told.read_text())
        time.sleep(has.get("sleep_s", 0.001))
        x = request["inputs"][0]
        y = [max(0.0, one) + has.get("off_by", 0.0) for one in x["data"]]
        turn = next(turns)
        who = {"process": has["process"]} if "process" in has else {
            "replica": turn % has["replicas"] + 1
        }
        seen = who | {
            "session_threads": (has["intra_op_threads"] or os.cpu_count()) - 1,
            "batch_size": turn % has["max_batch_size"] + 1,
            "inference_ms": 0.5,
        } if not has.get("silent") else {}
        output = {"name": "y", "datatype": "FP32", "shape": x["shape"], "data": y}
        body = json.dumps({"outputs": [output], "parameters": seen}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
APPLY = """
import json, os, sys
from pathlib import Path
path, *fixed = sys.argv[1:]
config = json.loads(Path(os.environ["AUTOTUNE_CONFIG"]).read_text())
assert str(config["replicas"]) == os.environ["AUTOTUNE_REPLICAS"]
with open(path + ".log", "a") as log:
    print(os.environ["AUTOTUNE_REPLICAS"], os.environ["AUTOTUNE_SPINNING"], file=log)
Path(path + ".new").write_text(json.dumps(config | dict(json.loads(one) for one in fixed)))
os.replace(path + ".new", path)
"""


class Told(NamedTuple):
    """A server that runs, and how it is told."""

    url: str
    settings: Path

    def apply(self, *fixed: str) -> str:
        """Return the command; what is `fixed`, pairs as JSON, it sets whatever is asked."""
        words = [sys.executable, "-c", APPLY, str(self.settings), *fixed]
        return shlex.join(words)

    def applied(self) -> list[str]:
        """Return replicas and spinning of each configuration that it was given."""
        log = Path(f"{self.settings}.log")
        return log.read_text().splitlines() if log.exists() else []


def relu(folder: Path) -> Path:
    """Return the model that the server pretends to run."""
    node = helper.make_node("Relu", ["x"], ["y"])
    return save(
        folder / "relu.onnx", [node], [value("x", ["batch", 4])], [value("y", ["batch", 4])]
    )


@contextmanager
def told_server(folder: Path) -> Iterator[Told]:
    """Run the server until the end of the context; it waits to be told."""
    (port,) = free_ports(1)
    settings = folder / "settings.json"
    settings.write_text('{"replicas": 1, "intra_op_threads": 0, "max_batch_size": 1}')
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(settings)])
    try:
        while is_free(port):
            time.sleep(0.02)
        yield Told(f"http://127.0.0.1:{port}/infer", settings)
    finally:
        process.kill()
        process.wait()

"""The tuned model behind Python's own HTTP server: `python http_server.py --port 8000`.

Written by `autotune export`. It joins no requests: each goes to a free replica, or waits for one.
Needs the packages of tuned_model.py, or those of openvino_model.py with `--runtime openvino`.
"""

import argparse
import contextlib
import json
import queue
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from v2_batches import KNOBS, Batches, Tensors, body, decode

INFER_PATH = f"/v2/models/{KNOBS['name']}/infer"
READY_PATH = "/v2/health/ready"

_POOL: queue.Queue[tuple[int, Batches]] = queue.Queue()
"""The replicas that are free, numbered from 1."""


def replicas(runtime: str) -> list[Batches]:
    """Open every replica; the package of the other runtime need not be there."""
    if runtime == "openvino":
        import openvino_model

        return list(openvino_model.replicas())
    import tuned_model

    return [tuned_model.Replica() for _ in range(KNOBS["replicas"])]


def infer(arrays: Tensors) -> dict[str, Any]:
    """Answer one request with the next replica that is free, and say which it was."""
    number, replica = _POOL.get()
    try:
        [(outputs, seen)] = replica.execute([arrays])
    finally:
        _POOL.put((number, replica))
    return body(outputs, {**seen, "replica": number})


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer leave together

    def do_GET(self) -> None:
        """Say that the replicas are open: the server starts after them."""
        self._answer(*((200, {}) if self.path == READY_PATH else self._unknown()))

    def do_POST(self) -> None:
        """Answer a request."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True  # nobody knows where the next request begins
            self._answer(411, _error("the request has no Content-Length"))
            return
        text = self.rfile.read(int(length))
        self._answer(*(_infer(text) if self.path == INFER_PATH else self._unknown()))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing for each request."""

    def _unknown(self) -> tuple[int, dict[str, Any]]:
        return 404, _error(f"there is only {READY_PATH} and {INFER_PATH}")

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Server(ThreadingHTTPServer):
    """A server that lets many clients connect at once."""

    request_queue_size = 128


def _infer(text: bytes) -> tuple[int, dict[str, Any]]:
    try:
        arrays = decode(json.loads(text))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return 400, _error(f"not a request of the inference protocol: {error!r}")
    try:
        return 200, infer(arrays)
    except Exception as error:  # whatever the runtime raises, the client must hear of it
        return 500, _error(f"the model failed: {error!r}")


def _error(message: str) -> dict[str, Any]:
    return {"error": " ".join(message.split())}


def main() -> None:
    """Open the replicas, then serve until interrupted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--runtime", choices=("onnxruntime", "openvino"), default="onnxruntime")
    given = parser.parse_args()
    for numbered in enumerate(replicas(given.runtime), start=1):
        _POOL.put(numbered)
    with contextlib.suppress(KeyboardInterrupt), Server((given.host, given.port), Handler) as one:
        one.serve_forever()


if __name__ == "__main__":
    main()

"""A predictor reduced to what a rollout needs of it: it answers, counts, and can be bad.

Run as a program it serves one version; its counters carry the names of the contract.
"""

import argparse
import random
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from kontinual.errors import ServiceError
from kontinual.spec import SCORE_BINS


class ProcessPredictors:
    """Starts them as processes; keeps to `kontinual.rollout.Predictors`."""

    def __init__(self, *, model: str = "flights") -> None:
        self.model = model
        self.behaviour: dict[str, list[str]] = {}
        self._processes: dict[str, tuple[subprocess.Popen[str], int]] = {}

    def start(self, version: str, package: Path) -> int:
        if version not in self._processes:
            command = [sys.executable, __file__, "--version", version, "--model", self.model]
            process = subprocess.Popen(
                [*command, *self.behaviour.get(version, [])], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout
            line = process.stdout.readline()
            if not line:
                process.wait()
                process.stdout.close()
                raise ServiceError(f"predictor {version} did not come up")
            self._processes[version] = process, int(line)
        return self._processes[version][1]

    def stop(self, version: str) -> None:
        if version in self._processes:
            process, _ = self._processes.pop(version)
            process.terminate()
            process.wait()
            assert process.stdout
            process.stdout.close()

    def kill(self, version: str) -> None:
        self._processes[version][0].kill()
        self._processes[version][0].wait()

    def running(self) -> dict[str, int]:
        return {version: port for version, (_, port) in self._processes.items()}

    def close(self) -> None:
        for version in list(self._processes):
            self.stop(version)


class Predictor:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.registry = CollectorRegistry()
        ours = {"model": options.model, "version": options.version}
        registry = {"registry": self.registry}
        requests = Counter("kontinual_requests", "x", ["model", "version", "code"], **registry)
        seconds = Histogram(
            "kontinual_request_seconds", "x", ["model", "version"], buckets=(0.01, 0.1), **registry
        )
        scores = Counter("kontinual_score", "x", ["model", "version", "bin"], **registry)
        total = Counter("kontinual_score_sum", "x", ["model", "version"], **registry)
        self.requests = {c: requests.labels(**ours, code=c) for c in ("200", "500")}
        self.seconds = seconds.labels(**ours)
        self.scores = [scores.labels(**ours, bin=str(i)) for i in range(SCORE_BINS)]
        self.total = total.labels(**ours)

    def answer(self) -> int:
        """Answer one request; the status it gets."""
        with self.seconds.time():
            time.sleep(self.options.seconds)
            if random.random() < self.options.errors:
                self.requests["500"].inc()
                return 500
            score = min(max(random.gauss(self.options.score, 0.1), 0), 0.999)
            self.scores[int(score * SCORE_BINS)].inc()
            self.total.inc(score)
            self.requests["200"].inc()
            return 200


def handler(predictor: Predictor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # headers and body in one packet

        def do_GET(self) -> None:
            metrics = self.path == "/metrics"
            status = 200 if metrics else predictor.answer()
            body = generate_latest(predictor.registry) if metrics else b"{}"
            self.send_response(status)
            self.send_header("x-kontinual-version", predictor.options.version)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version")
    parser.add_argument("--model")
    parser.add_argument("--errors", type=float, default=0)
    parser.add_argument("--score", type=float, default=0.3)
    parser.add_argument("--seconds", type=float, default=0)
    predictor = Predictor(parser.parse_args())
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(predictor))
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

"""Load from wrk: many requests over kept connections, by a script that makes their bodies."""

import json
import shutil
import subprocess
from pathlib import Path

import typer

__all__ = ["need_wrk", "wrk"]

RESULT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, '
    .. '"errors": %d}\\n', summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def need_wrk() -> None:
    """End with a word about it when wrk is not installed."""
    if shutil.which("wrk") is None:
        typer.echo("error: wrk is needed to make load: apt-get install wrk", err=True)
        raise typer.Exit(1)


def wrk(url: str, script: Path, text: str, *, seconds: float, connections: int) -> dict[str, float]:
    """Figures of a server under load: requests, how many a second, p50 and p99 in milliseconds.

    Args:
        url: scheme, host and port.
        script: file to write the script to.
        text: the script, in Lua: it defines `request`.
        seconds: of load, in whole ones.
        connections: kept open.

    Raises:
        RuntimeError: a request failed, or none was made.
    """
    script.write_text(text + RESULT)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s"]
    done = subprocess.run(
        [*command, "-s", str(script), url],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    figures = json.loads(done.stdout.split("RESULT ")[1])
    if figures["errors"] or not figures["requests"]:
        raise RuntimeError(f"{url}: {figures['errors']} failed: {done.stdout}")
    return {
        "requests": figures["requests"],
        "per_second": figures["requests"] / figures["microseconds"] * 1e6,
        "p50_ms": figures["p50"] / 1000,
        "p99_ms": figures["p99"] / 1000,
    }

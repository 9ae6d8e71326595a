"""Measures both registries in turns, on one PostgreSQL and one machine in one run, and prints their ratio.

`make bench-registry` installs MLflow into an environment of its own and gives its Python as --mlflow-python.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.registry.servers import cpu_seconds, mlflows, ours
from benchmarks.registry.world import REF, make_world
from registry.cli import postgres
from registry.db import libpq_url, upgrade

CLIENTS = 16
MODEL, ALIAS = "fox", "stable"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow-python", type=Path, help="Python of an environment with mlflow and psycopg")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imprimatur-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        admin = postgres.start(folder / "data")
        try:
            measured = _compare(admin, folder, given)
        finally:
            postgres.stop(folder / "data")
    _report(measured)


def _compare(admin: str, folder: Path, given: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    with psycopg.connect(admin, autocommit=True) as connection:
        for database in ("imprimatur", "mlflow"):
            connection.execute(f"CREATE DATABASE {database}".encode())
    url, theirs = (admin.replace("/postgres?", f"/{database}?") for database in ("imprimatur", "mlflow"))
    upgrade(url)
    credential = make_world(url)
    measured: dict[str, list[dict[str, float]]] = {"imprimatur": [], "mlflow": []}
    for _ in range(given.rounds):
        ports = [_free_port(), _free_port()]
        target = f"/v1/resolve?ref={urllib.parse.quote(REF, safe='')}"
        with ours(url, ports, folder / "ours.log") as pids:
            measured["imprimatur"].append(_load(ports, target, given.seconds, pids, f"Bearer {credential}"))
        if given.mlflow_python:
            port = _free_port()
            with mlflows(given.mlflow_python, libpq_url(theirs), port, folder / "mlflow.log") as pids:
                _make_model(port)
                target = f"/api/2.0/mlflow/registered-models/alias?name={MODEL}&alias={ALIAS}"
                measured["mlflow"].append(_load([port], target, given.seconds, pids))
    return measured


def _load(ports: list[int], target: str, seconds: float, pids: list[int], authorization: str = "") -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.registry.load", "--target", target, "--clients", str(CLIENTS)]
    command += ["--ports", *map(str, ports), "--authorization", authorization]
    subprocess.run([*command, "--seconds", "2"], check=True, stdout=subprocess.DEVNULL)  # warm
    before = cpu_seconds(pids)
    done = subprocess.run([*command, "--seconds", str(seconds)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    found["cpu_ms"] = 1000 * (cpu_seconds(pids) - before) / found.pop("requests")
    print(f"{target.split('?')[0]}: " + ", ".join(f"{key} {value:.1f}" for key, value in found.items()), flush=True)
    return found


def _make_model(port: int) -> None:
    """A registered model with one version and an alias, unless an earlier round made it."""
    if _call(port, "GET", f"registered-models/get?name={MODEL}", None) is not None:
        return
    _call(port, "POST", "registered-models/create", {"name": MODEL})
    _call(port, "POST", "model-versions/create", {"name": MODEL, "source": "s3://bucket/fox"})
    _call(port, "POST", "registered-models/alias", {"name": MODEL, "alias": ALIAS, "version": "1"})


def _call(port: int, method: str, path: str, body: dict[str, Any] | None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/{path}",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())
    except urllib.error.HTTPError as exc:
        if method == "GET" and exc.code == 404:
            return None
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _report(measured: dict[str, list[dict[str, float]]]) -> None:
    print(f"\n{CLIENTS} clients, 2 server processes, medians over the rounds")
    print("| registry | requests/s | median ms | p99 ms | server's CPU ms a request |\n|---|---|---|---|---|")
    rates, costs = {}, {}
    for name, rounds in measured.items():
        if rounds:
            median = {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}
            rates[name], costs[name] = median["requests_per_second"], median["cpu_ms"]
            figures = f"{rates[name]:.0f} | {median['median_ms']:.1f} | {median['p99_ms']:.1f} | {costs[name]:.2f}"
            print(f"| {name} | {figures} |")
    if len(rates) == 2:
        print(f"\nratio of requests/s: {rates['imprimatur'] / rates['mlflow']:.1f}")
        print(f"ratio of CPU a request: {costs['mlflow'] / costs['imprimatur']:.1f}")


if __name__ == "__main__":
    main()

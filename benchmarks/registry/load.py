"""`python -m benchmarks.registry.load`: closed-loop clients over plain sockets; prints one JSON object.

Each client keeps one connection and asks again as soon as it was answered. No HTTP library: what is measured is the server.
An answer that is not 200, or has no body, ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import uvloop


async def ask_again_and_again(port: int, request: bytes, until: float, seconds: list[float]) -> None:
    """One client."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (started := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"answered {head[:200]!r}")
        _, _, rest = head.lower().partition(b"content-length: ")
        length = int(rest.split(b"\r\n", 1)[0])
        if not length or not await reader.readexactly(length):
            raise SystemExit("answered nothing")
        seconds.append(time.perf_counter() - started)
    writer.close()


async def measure(ports: list[int], request: bytes, clients: int, duration: float) -> dict[str, float]:
    """Requests a second, median and 99th percentile in milliseconds."""
    seconds: list[float] = []
    started = time.perf_counter()
    work = [
        ask_again_and_again(ports[number % len(ports)], request, started + duration, seconds)
        for number in range(clients)
    ]
    await asyncio.gather(*work)
    elapsed = time.perf_counter() - started
    seconds.sort()
    return {
        "requests": len(seconds),
        "requests_per_second": len(seconds) / elapsed,
        "median_ms": 1000 * seconds[len(seconds) // 2],
        "p99_ms": 1000 * seconds[int(len(seconds) * 0.99)],
    }


def main() -> None:
    """Read what to ask from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--authorization", default="")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    lines = [f"GET {given.target} HTTP/1.1", "Host: 127.0.0.1"]
    if given.authorization:
        lines.append(f"Authorization: {given.authorization}")
    request = "\r\n".join([*lines, "", ""]).encode()
    print(json.dumps(uvloop.run(measure(given.ports, request, given.clients, given.seconds))))


if __name__ == "__main__":
    main()

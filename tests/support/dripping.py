"""A receiver on loopback that answers a byte at a time and never comes to an end.

with dripping_receiver(b"HTTP/1.1 200 OK\\r\\n", then=b"x-more: ") as receiver:
    receiver.address
    receiver.held                       # how many connections are being dripped to
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, cycle

DRIP_SECONDS = 0.1


@dataclass
class DrippingReceiver:
    """Where it is, and how many wait for it."""

    address: str
    held: int = 0


@contextmanager
def dripping_receiver(first: bytes = b"", *, then: bytes) -> Iterator[DrippingReceiver]:
    """Start it on a free port: it says `first`, and `then` over and over. Its connections end with the block."""
    over, counting = threading.Event(), threading.Lock()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with counting:
                receiver.held += 1
            with suppress(OSError):  # whoever asked went away
                for byte in chain(first, cycle(then)):
                    if over.wait(DRIP_SECONDS):
                        break
                    self.request.sendall(bytes([byte]))
            with counting:
                receiver.held -= 1

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 50

    server = Server(("127.0.0.1", 0), Handler)
    receiver = DrippingReceiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()

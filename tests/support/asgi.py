"""An httpx transport into an ASGI application in process; each test that uses it speaks to the real thing.

httpx.Client(base_url="http://service.test", transport=AsgiTransport(app))
"""

from __future__ import annotations

import httpx
from starlette.testclient import TestClient
from starlette.types import ASGIApp


class AsgiTransport(httpx.BaseTransport):
    """Hands requests to Starlette's test client, which runs the application; its errors become answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._inner = TestClient(app, raise_server_exceptions=False, follow_redirects=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        declared = "content-length" in request.headers
        content = request.read() if declared else (block for block in request.stream)  # type: ignore[union-attr]
        answer = self._inner.request(request.method, str(request.url), headers=dict(request.headers), content=content)
        headers = [(name, value) for name, value in answer.headers.multi_items() if name != "content-encoding"]
        return httpx.Response(answer.status_code, headers=headers, content=answer.content, request=request)

    def close(self) -> None:
        """Nothing is kept open between requests."""

"""One HTTP exchange with an ASGI app, on the running loop: no socket, no thread."""

from __future__ import annotations

from typing import Any

from harness.bench import HttpAnswer
from harness.plan_steps import HttpExchange


async def exchange_with(app: Any, exchange: HttpExchange) -> HttpAnswer:
    """The answer of `app` to the exchange's request."""
    path, _, query = exchange.path.partition("?")
    headers = [(name.lower().encode(), value.encode()) for name, value in exchange.headers.items()]
    if exchange.body is not None and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"application/json"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("server", 80),
    }
    status = 500
    answer_headers: dict[str, str] = {}
    body = bytearray()

    cut = exchange.cut_after_bytes
    events = [{"type": "http.request", "body": (exchange.body or b"")[:cut], "more_body": cut is not None}]

    async def receive() -> dict[str, Any]:
        return events.pop() if events else {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        nonlocal status
        if event["type"] == "http.response.start":
            status = event["status"]
            answer_headers.update({name.decode(): value.decode() for name, value in event["headers"]})
        elif event["type"] == "http.response.body":
            body.extend(event.get("body", b""))

    await app(scope, receive, send)
    return HttpAnswer(status, answer_headers, bytes(body))

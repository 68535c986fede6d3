"""The header `Idempotency-Key`: a write that is sent again with its key is done once and answered alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.responses import Response
from pydantic import TypeAdapter

from server.hashing import compute_sha256
from server.once import EVERY_TIME, AlreadyDone, Answer, ByKey, KeyReused, Once
from server.web.problems import problem_response

if TYPE_CHECKING:
    from server.app import App

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of the sender's own, such as a UUID. The same request of the same user with the same key "
        "within 24 hours is done once and gets the same answer, with the header Idempotency-Replayed; another request "
        "is refused.",
    ),
]


def owner_of(request: Request) -> str:
    """Whose keys a request may meet, as what stands before the routes put it into `state.owner`; "" for nobody's."""
    owner: str = request.scope.get("state", {}).get("owner", "")
    return owner


async def once_for(app: App, request: Request, key: str | None, status: int, kind: Any = None, *said: str) -> Once:
    """For the service: raises AlreadyDone at once where it was done. `said` tells the request from others of its path.

    `kind` is the type of what the service returns, None where the answer has no body.
    """
    if key is None:
        return EVERY_TIME
    parts = (request.method, request.url.path, *said)
    fingerprint = compute_sha256(f"{len(part)}:{part}".encode("utf-8", "surrogatepass") for part in parts)

    def answered(result: Any) -> Answer:
        return Answer(status, None if kind is None else TypeAdapter(kind).dump_json(result).decode())

    once = ByKey(owner_of(request), key, fingerprint, answered)
    async with app.store.transaction(app.parts.clock.now()) as connection:
        await once.look(connection)
    return once


def add_replays(api: FastAPI) -> None:
    """The answers to writes that were done before, and to keys that stand for something else."""

    @api.exception_handler(AlreadyDone)
    async def again(_: Request, done: AlreadyDone) -> Response:
        body, headers = done.answer.body, {"Idempotency-Replayed": "true"}
        media_type = None if body is None else "application/json"
        return Response(body, done.answer.status, headers, media_type=media_type)

    @api.exception_handler(KeyReused)
    async def reused(_: Request, error: KeyReused) -> Response:
        return problem_response(422, str(error))

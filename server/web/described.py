"""What OpenAPI says beyond the routes' own words: who may call each, by the table of rights; and the routes that are no
part of the versioned API: health, metrics, the functions of seed 001."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from server.web.doors import SESSION_COOKIE
from server.web.problems import problems
from server.web.rights import RIGHTS, Entry, Right, row_of
from server.wire import limits


def _json(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": sorted(properties), "properties": properties}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_BOOLEAN: Final = {"type": "boolean"}
_TEXT: Final = {"type": "string"}
_REFUSED: Final = {"success": {"const": False}, "error": _TEXT}
_HEALTH: Final = {"status": {"enum": ["ok", "failing"]}, "database": _BOOLEAN, "mqtt": _BOOLEAN, "tasks": _BOOLEAN}
_REPLY: Final = {
    "type": "object",
    "required": ["topic", "payload"],
    "properties": {"topic": _TEXT, "payload": {"type": "object"}},
}

HEALTH: Final[dict[int | str, dict[str, Any]]] = {
    200: _json("All parts are well", _HEALTH),
    503: _json("A part is not well", _HEALTH),
}
METRICS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Counters in the format of Prometheus", "content": {"text/plain": {"schema": _TEXT}}}
}
DEVICE_MESSAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: _json("The replies", {"success": {"const": True}, "replies": {"type": "array", "items": _REPLY}}),
    400: _json("Not a topic and a payload", _REFUSED),
    503: _json("The database is away; send it again", _REFUSED),
}
DEVICE_MESSAGE_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "A message as it would come over MQTT; its payload as JSON, or as text.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["topic", "payload"],
                "properties": {
                    "topic": {
                        "type": "string",
                        "maxLength": limits.TOPIC_LENGTH_CHARS_MAX,
                        "examples": ["ESP32CAM/B8F862F9C1C4/status"],
                    },
                    "payload": {"anyOf": [{"type": "object"}, _TEXT]},
                },
            }
        }
    },
}
MONITOR: Final[dict[int | str, dict[str, Any]]] = {
    200: _json(
        "What the round did",
        {
            "success": _BOOLEAN,
            "summary": {"type": "object"},
            "processed_images": {"type": "array"},
            "timestamp": {"type": "string", "format": "date-time"},
        },
    ),
    401: _json("Without the bearer token", _REFUSED),
    503: _json("The database is away", _REFUSED),
}


_BEARER: Final = "bearer"
_SESSION: Final = "session"
_MONITOR: Final = "monitorToken"


class DescribedApi(FastAPI):
    """An API whose description says of each operation which role and which scope it needs."""

    def openapi(self) -> dict[str, Any]:
        """Made once; every operation has `security`, an empty one where nobody is asked for."""
        if self.openapi_schema is None:
            schema = super().openapi()
            schema.setdefault("components", {})["securitySchemes"] = _schemes()
            for template, operations in schema["paths"].items():
                for method, operation in operations.items():
                    _say_who(operation, row_of(method.upper(), template))
            self.openapi_schema = schema
        return self.openapi_schema


def _schemes() -> dict[str, Any]:
    scopes = sorted({scope for method, template in RIGHTS if (scope := row_of(method, template).scope)})
    said = "A token of `wakestorm user token`. The scopes of an operation are what a token with scopes needs; "
    return {
        _BEARER: {
            "type": "http",
            "scheme": "bearer",
            "description": f"{said}one without scopes may do what its role may. `:write` reads too.",
            "x-scopes": scopes,
        },
        _SESSION: {
            "type": "apiKey",
            "in": "cookie",
            "name": SESSION_COOKIE,
            "description": "Who signed in at /sign-in; what changes something needs the page's token too.",
        },
        _MONITOR: {"type": "http", "scheme": "bearer", "description": "The server's own `--monitor-token`."},
    }


def _say_who(operation: dict[str, Any], entry: Entry) -> None:
    role, scope = entry.right.role, entry.scope
    if entry.right is Right.OWN_TOKEN:
        operation["security"] = [{_MONITOR: []}]
    elif role is None or scope is None:
        operation["security"] = []
    else:
        operation["security"] = [{_BEARER: [scope]}, {_SESSION: []}]
        operation["x-role"] = role.value
        for status, refusal in problems(401, 403).items():
            operation["responses"].setdefault(str(status), refusal)

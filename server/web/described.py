"""What OpenAPI says of the routes that are no part of the versioned API: health, metrics, the functions of seed 001."""

from __future__ import annotations

from typing import Any, Final

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

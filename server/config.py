"""Settings of one server: from the command line or the environment, checked at the door."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from server.mqtt import MqttSettings

MQTT_PORT = 1883
MQTTS_PORT = 8883


class ConfigError(ValueError):
    """A setting that can't be used; the message says what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the server's parts are. `shared_group` makes several servers share the load, where the broker can."""

    database_url: str
    mqtt_url: str
    objects_url: str
    client_id: str = "wakestorm-server"
    shared_group: str | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    pool_size: int = 4
    monitor_every_s: int = 300
    monitor_token: str | None = None
    ca_file: str | None = None
    keep_alive_s: int = 30
    dedup: bool = True
    jobs_url: str | None = None
    """Celery's broker; None: a worker of the server's own."""
    runs: str | None = None
    """The folder of the harness's runs, which the pages show; None: no runs."""
    insecure_local: bool = False
    """Nobody signs in, everybody is admin: on loopback only, and for benches without sockets."""


def is_loopback(host: str) -> bool:
    """Whether nobody on another machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def mqtt_settings(settings: Settings, *, tls: ssl.SSLContext | None = None) -> MqttSettings:
    """The MQTT half of the settings; raises ConfigError for a URL that is none of mqtt:// and mqtts://."""
    parts = urlsplit(settings.mqtt_url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ConfigError(f"MQTT URL {settings.mqtt_url!r}: expected mqtt://host[:port] or mqtts://host[:port]")
    try:
        port = parts.port or (MQTTS_PORT if parts.scheme == "mqtts" else MQTT_PORT)
    except ValueError as error:
        raise ConfigError(f"MQTT URL {settings.mqtt_url!r}: {error}") from None
    if parts.scheme == "mqtts" and tls is None:
        tls = ssl.create_default_context(cafile=settings.ca_file)
    return MqttSettings(
        host=parts.hostname,
        port=port,
        client_id=settings.client_id,
        keep_alive_s=settings.keep_alive_s,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
    )

"""Settings of one server: from the command line or the environment, checked at the door."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
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
    lanes: int = 1
    """Batches that are worked on at once, of different devices; each has a connection of the pool."""
    monitor_every_s: int = 300
    monitor_token: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    """The server's own, as its login at a broker; its key stands in the same file, or beside it as .key."""
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
        tls = _tls(settings)
    return MqttSettings(
        host=parts.hostname,
        port=port,
        client_id=settings.client_id,
        keep_alive_s=settings.keep_alive_s,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    """Raises ConfigError where a file is not what it should be."""
    try:
        tls = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--ca-file {settings.ca_file}: {error}") from None
    if settings.certificate_file is not None:
        file = Path(settings.certificate_file)
        key = file.with_suffix(".key")
        try:
            tls.load_cert_chain(file, key if key.is_file() else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"--certificate {file}: {error}; is its key in it, or beside it as {key.name}?") from None
    return tls


def weakness_of_broker(settings: Settings) -> str | None:
    """What is open at the broker as this server reaches it, in one sentence; None where it has a login and TLS."""
    parts = urlsplit(settings.mqtt_url)
    is_here = is_loopback(parts.hostname or "")
    if parts.username is None and settings.certificate_file is None:
        here = " and must stay there" if is_here else ", but this one is elsewhere"
        return (
            "the broker asks for no login, so every client may use every device's topics. iotcore has no access rules "
            f"at all: it serves on loopback only{here}. `wakestorm broker-config mosquitto` closes the door"
        )
    if parts.scheme == "mqtt" and not is_here:
        return "the broker is reached without TLS: passwords and pictures cross the network in the clear; use mqtts://"
    return None

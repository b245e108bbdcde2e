"""Settings: the task's environment, read once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class SettingError(Exception):
    """A variable is missing or wrong; the message names it, what was given and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the task definition says. Durations are whole seconds."""

    table: str
    leases_table: str
    slot_queue_urls: tuple[str, ...]
    long_poll_seconds: int
    visibility_timeout_seconds: int
    slot_retention_seconds: int
    max_receives: int
    lease_seconds: int
    port: int
    metadata_uri: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; raises `SettingError`."""
        return cls(
            table=_text(environment, "STATECAST_TABLE"),
            leases_table=_text(environment, "STATECAST_LEASES_TABLE"),
            slot_queue_urls=_urls(environment, "STATECAST_SLOT_QUEUE_URLS"),
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
            long_poll_seconds=_whole(environment, "STATECAST_LONG_POLL_SECONDS", 0, 20),
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
            visibility_timeout_seconds=_whole(environment, "STATECAST_VISIBILITY_TIMEOUT_SECONDS", 1, 43_200),
            slot_retention_seconds=_whole(environment, "STATECAST_SLOT_RETENTION_SECONDS", 60, 1_209_600),
            max_receives=_whole(environment, "STATECAST_MAX_RECEIVES", 1, 1_000),
            lease_seconds=_whole(environment, "STATECAST_LEASE_SECONDS", 3, 3_600),
            port=_whole(environment, "STATECAST_PORT", 1, 65_535),
            metadata_uri=_text(environment, "ECS_CONTAINER_METADATA_URI_V4"),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    if not (given := environment.get(name, "")):
        raise SettingError(f"{name} is not set")
    return given


def _whole(environment: Mapping[str, str], name: str, least: int, most: int) -> int:
    given = _text(environment, name)
    if not given.isdecimal() or not least <= int(given) <= most:
        raise SettingError(f"{name} is {given!r}: give a whole number from {least} to {most}")
    return int(given)


def _urls(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    given = _text(environment, name)
    try:
        urls: Any = json.loads(given)
        if urls and all(isinstance(url, str) for url in urls) and not isinstance(urls, dict | str):
            return tuple(urls)
    except (TypeError, ValueError):
        pass
    raise SettingError(f"{name} is {given!r}: give a JSON list of queue URLs")

"""Settings: the task's environment, read once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

# The variant in which nothing is pushed: each task reads the table each second.
POLL = "poll"


class SettingError(Exception):
    """A variable is missing or wrong; the message names it, what was given and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the task definition says. Durations are whole seconds.

    `traces`: whether they are sent anywhere; where and how OpenTelemetry's exporter reads for itself.
    """

    variants: tuple[str, ...]
    table: str
    leases_table: str
    slots: int
    slot_queue_urls: tuple[str, ...]
    long_poll_seconds: int
    visibility_timeout_seconds: int
    slot_retention_seconds: int
    max_receives: int
    lease_seconds: int
    watermark_seconds: int
    rescan_seconds: int
    port: int
    metadata_uri: str
    traces: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; raises `SettingError`."""
        settings = cls(
            variants=_texts(environment, "STATECAST_VARIANTS", "a JSON list of forwarders, or poll alone"),
            table=_text(environment, "STATECAST_TABLE"),
            leases_table=_text(environment, "STATECAST_LEASES_TABLE"),
            slots=_whole(environment, "STATECAST_SLOTS", 1, 1_000),
            slot_queue_urls=_texts(environment, "STATECAST_SLOT_QUEUE_URLS", "a JSON list of queue URLs"),
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
            long_poll_seconds=_whole(environment, "STATECAST_LONG_POLL_SECONDS", 0, 20),
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
            visibility_timeout_seconds=_whole(environment, "STATECAST_VISIBILITY_TIMEOUT_SECONDS", 1, 43_200),
            slot_retention_seconds=_whole(environment, "STATECAST_SLOT_RETENTION_SECONDS", 60, 1_209_600),
            max_receives=_whole(environment, "STATECAST_MAX_RECEIVES", 1, 1_000),
            lease_seconds=_whole(environment, "STATECAST_LEASE_SECONDS", 3, 3_600),
            watermark_seconds=_whole(environment, "STATECAST_WATERMARK_SECONDS", 1, 3_600),
            rescan_seconds=_whole(environment, "STATECAST_RESCAN_SECONDS", 1, 86_400),
            port=_whole(environment, "STATECAST_PORT", 1, 65_535),
            metadata_uri=_text(environment, "ECS_CONTAINER_METADATA_URI_V4"),
            traces=_is_url(environment, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        )
        if not settings.variants or (POLL in settings.variants and settings.forwarders):
            given = list(settings.variants)
            raise SettingError(f"STATECAST_VARIANTS is {given}: name one forwarder or more, or {POLL} alone")
        if (queues := len(settings.slot_queue_urls)) != (settings.slots if settings.forwarders else 0):
            raise SettingError(
                f"STATECAST_SLOT_QUEUE_URLS names {queues} queues, STATECAST_SLOTS is {settings.slots}: "
                f"name one for each slot, or none with {POLL}"
            )
        return settings

    @property
    def forwarders(self) -> tuple[str, ...]:
        """What carries changes to the slots' queues; none where tasks poll."""
        return tuple(variant for variant in self.variants if variant != POLL)


def _text(environment: Mapping[str, str], name: str) -> str:
    if not (given := environment.get(name, "")):
        raise SettingError(f"{name} is not set")
    return given


def _whole(environment: Mapping[str, str], name: str, least: int, most: int) -> int:
    given = _text(environment, name)
    if not given.isdecimal() or not least <= int(given) <= most:
        raise SettingError(f"{name} is {given!r}: give a whole number from {least} to {most}")
    return int(given)


def _is_url(environment: Mapping[str, str], name: str) -> bool:
    given = environment.get(name, "")
    if given and not given.startswith(("http://", "https://")):
        raise SettingError(f"{name} is {given!r}: give an http or https URL, or leave it out")
    return bool(given)


def _texts(environment: Mapping[str, str], name: str, allowed: str) -> tuple[str, ...]:
    given = _text(environment, name)
    try:
        texts: Any = json.loads(given)
    except ValueError:
        texts = None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in cast(list[Any], texts)):
        raise SettingError(f"{name} is {given!r}: give {allowed}")
    return tuple(cast(list[str], texts))

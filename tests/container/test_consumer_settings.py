import pytest

from consumer.settings import SettingError, Settings

ENVIRONMENT = {
    "STATECAST_VARIANTS": '["lambda", "pipe"]',
    "STATECAST_TABLE": "items",
    "STATECAST_LEASES_TABLE": "leases",
    "STATECAST_SLOTS": "2",
    "STATECAST_SLOT_QUEUE_URLS": '["https://queue/0", "https://queue/1"]',
    "STATECAST_LONG_POLL_SECONDS": "20",
    "STATECAST_VISIBILITY_TIMEOUT_SECONDS": "30",
    "STATECAST_SLOT_RETENTION_SECONDS": "300",
    "STATECAST_MAX_RECEIVES": "5",
    "STATECAST_LEASE_SECONDS": "15",
    "STATECAST_WATERMARK_SECONDS": "10",
    "STATECAST_RESCAN_SECONDS": "900",
    "STATECAST_PORT": "8080",
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/id",
}


def test_every_variable_is_read() -> None:
    assert Settings.from_environment(ENVIRONMENT) == Settings(
        variants=("lambda", "pipe"),
        table="items",
        leases_table="leases",
        slots=2,
        slot_queue_urls=("https://queue/0", "https://queue/1"),
        long_poll_seconds=20,
        visibility_timeout_seconds=30,
        slot_retention_seconds=300,
        max_receives=5,
        lease_seconds=15,
        watermark_seconds=10,
        rescan_seconds=900,
        port=8080,
        metadata_uri="http://169.254.170.2/v4/id",
        traces=False,
    )


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_variable_is_named(name: str) -> None:
    rest = {other: value for other, value in ENVIRONMENT.items() if other != name}
    with pytest.raises(SettingError, match=f"^{name} is not set$"):
        Settings.from_environment(rest)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("STATECAST_LONG_POLL_SECONDS", "21", "is '21': give a whole number from 0 to 20"),
        ("STATECAST_LONG_POLL_SECONDS", "-1", "is '-1': give a whole number from 0 to 20"),
        ("STATECAST_LEASE_SECONDS", "1.5", "is '1.5': give a whole number from 3 to 3600"),
        ("STATECAST_PORT", "http", "is 'http': give a whole number from 1 to 65535"),
        ("STATECAST_PORT", "²", "is '²': give a whole number from 1 to 65535"),
        ("STATECAST_SLOT_QUEUE_URLS", "https://queue", "is 'https://queue': give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", "[]", "names 0 queues, STATECAST_SLOTS is 2: name one for each slot"),
        ("STATECAST_SLOTS", "3", "names 2 queues, STATECAST_SLOTS is 3: name one for each slot"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4318",
            "is 'collector:4318': give an http or https URL, or leave it out",
        ),
        ("STATECAST_SLOTS", "0", "is '0': give a whole number from 1 to 1000"),
        ("STATECAST_VARIANTS", "pipe", "is 'pipe': give a JSON list of forwarders, or poll alone"),
        ("STATECAST_VARIANTS", "[]", "is []: name one forwarder or more, or poll alone"),
        (
            "STATECAST_VARIANTS",
            '["poll", "pipe"]',
            "is ['poll', 'pipe']: name one forwarder or more, or poll",
        ),
        ("STATECAST_VARIANTS", '["poll"]', "names 2 queues, STATECAST_SLOTS is 2: name one for each slot"),
        ("STATECAST_WATERMARK_SECONDS", "0", "is '0': give a whole number from 1 to 3600"),
        ("STATECAST_RESCAN_SECONDS", "0", "is '0': give a whole number from 1 to 86400"),
        ("STATECAST_SLOT_QUEUE_URLS", "[1]", "is '[1]': give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", '{"a": 1}', "give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", '"a"', "give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", "7", "give a JSON list of queue URLs"),
    ],
)
def test_a_wrong_variable_is_told_with_what_is_allowed(name: str, given: str, message: str) -> None:
    with pytest.raises(SettingError) as raised:
        Settings.from_environment(ENVIRONMENT | {name: given})
    assert str(raised.value).startswith(("STATECAST_", "OTEL_"))
    assert name in str(raised.value) or message.startswith("names")
    assert message in str(raised.value)


def test_traces_are_sent_where_a_receiver_is_named() -> None:
    receiver = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.com"}
    assert Settings.from_environment(ENVIRONMENT | receiver).traces
    assert not Settings.from_environment(ENVIRONMENT | {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}).traces


def test_a_task_that_polls_has_slots_without_queues_and_no_forwarders() -> None:
    polls = {"STATECAST_VARIANTS": '["poll"]', "STATECAST_SLOT_QUEUE_URLS": "[]"}
    settings = Settings.from_environment(ENVIRONMENT | polls)
    assert (settings.slots, settings.slot_queue_urls, settings.forwarders) == (2, (), ())

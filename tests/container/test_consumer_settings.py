import pytest

from consumer.settings import SettingError, Settings

ENVIRONMENT = {
    "STATECAST_TABLE": "items",
    "STATECAST_LEASES_TABLE": "leases",
    "STATECAST_SLOT_QUEUE_URLS": '["https://queue/0", "https://queue/1"]',
    "STATECAST_LONG_POLL_SECONDS": "20",
    "STATECAST_VISIBILITY_TIMEOUT_SECONDS": "30",
    "STATECAST_SLOT_RETENTION_SECONDS": "300",
    "STATECAST_MAX_RECEIVES": "5",
    "STATECAST_LEASE_SECONDS": "15",
    "STATECAST_PORT": "8080",
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/id",
}


def test_every_variable_is_read() -> None:
    assert Settings.from_environment(ENVIRONMENT) == Settings(
        table="items",
        leases_table="leases",
        slot_queue_urls=("https://queue/0", "https://queue/1"),
        long_poll_seconds=20,
        visibility_timeout_seconds=30,
        slot_retention_seconds=300,
        max_receives=5,
        lease_seconds=15,
        port=8080,
        metadata_uri="http://169.254.170.2/v4/id",
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
        ("STATECAST_SLOT_QUEUE_URLS", "[]", "is '[]': give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", "[1]", "is '[1]': give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", '{"a": 1}', "give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", '"a"', "give a JSON list of queue URLs"),
        ("STATECAST_SLOT_QUEUE_URLS", "7", "give a JSON list of queue URLs"),
    ],
)
def test_a_wrong_variable_is_told_with_what_is_allowed(name: str, given: str, message: str) -> None:
    with pytest.raises(SettingError) as raised:
        Settings.from_environment(ENVIRONMENT | {name: given})
    assert str(raised.value).startswith(name)
    assert message in str(raised.value)

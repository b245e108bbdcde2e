"""What ECS tells of a task's clock."""

from typing import Any

import pytest

from consumer.metadata import Metadata, metadata_of

ARN = "arn:aws:ecs:eu-south-1:000000000000:task/fleet/0123"


@pytest.mark.parametrize(
    ("told", "bound"),
    [
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate-response.html
        (
            {
                "ClockDrift": {
                    "ClockErrorBound": 0.5458234999999999,
                    "ReferenceTimestamp": "2021-09-07T16:57:44Z",
                    "ClockSynchronizationStatus": "SYNCHRONIZED",
                }
            },
            1,
        ),
        ({"ClockDrift": {"ClockErrorBound": 12.0, "ClockSynchronizationStatus": "SYNCHRONIZED"}}, 12),
        ({"ClockDrift": {"ClockErrorBound": 0.5, "ClockSynchronizationStatus": "NOT_SYNCHRONIZED"}}, None),
        ({"ClockDrift": {"ClockSynchronizationStatus": "SYNCHRONIZED"}}, None),
        ({"ClockDrift": {}}, None),
        ({"ClockDrift": None}, None),
        ({}, None),
    ],
)
def test_a_clock_s_error_is_known_where_ecs_keeps_it_in_step(told: dict[str, Any], bound: int | None) -> None:
    assert metadata_of({"TaskARN": ARN, **told}) == Metadata(ARN, bound)

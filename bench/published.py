"""Figures that others have published, to stand beside ours."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Published:
    """A published figure, in milliseconds; `parts` of its mean, where they were given."""

    name: str
    source: str
    mean: float | None = None
    p50: float | None = None
    p99: float | None = None
    parts: dict[str, float] = field(default_factory=dict[str, float])


ARTICLE = (
    "Evaluating Performance: A Benchmark Study of Serverless Solutions for Message Delivery to Containers "
    "on AWS Cloud (20 tasks in eu-south-1, a mutation each 5 s, 720 times; coarse indicators, it says)"
)
PUBLISHED = [
    Published(
        "AppSync → Lambda → SNS → SQS → task",
        ARTICLE,
        mean=108.39,
        parts={"AppSync": 60.5, "Lambda": 38.0, "the rest": 9.89},
    ),
    Published(
        "the same, through an EventBridge bus",
        "the article's sequel; it gives 288.13 ms, too",
        mean=210.74,
        parts={"total": 210.74},
    ),
    Published("DynamoDB stream → Lambda", "published in 2022", p50=213, p99=552),
]
"""Of a DynamoDB stream → Pipe nobody has published one."""

EPSAGON = (
    "The Right Way to Distribute Messages Effectively in Serverless Applications, averages: a put to Kinesis "
    "takes A 10 ms, and B has it after more than 500 ms; a synchronous invoke is the fastest to B, but A "
    "waits for B; SNS takes longer to B than either invoke. Its other figures are in pictures"
)
HANDOFFS = [
    Published("SNS", "published in 2022", p50=73, p99=225),
    Published("Kinesis", "published in 2022", p50=627, p99=1580),
    Published("fan-out", "published in 2022", p50=49, p99=109),
]
"""From A until B has it. We found none for invocations, and none by payload."""

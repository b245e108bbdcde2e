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

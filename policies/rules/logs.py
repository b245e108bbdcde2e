"""A log without a retention is kept, and paid for, for ever."""

from pulumi_policy import Severity

from ..kinds import LOG_GROUP
from ..rule import Fixes, Planned, rule
from ..stack import Resource, value

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
DAYS = [
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
]


def _keep(log: Planned, days: float) -> None:
    log.props["retentionInDays"] = max(days, 30)


@rule(
    Severity.MEDIUM,
    LOG_GROUP,
    answers="CloudWatchLogGroupRetentionPeriod CKV_AWS_66 CKV_AWS_338 CloudWatch.16",
    settings={"days": {"type": "integer", "enum": DAYS, "default": 1}},
    remedy=_keep,
)
def log_has_retention(group: Resource, days: float) -> Fixes:
    """Every log group has a retention, of the setting `days` at least; standards ask for 365."""
    if (value(group, "retentionInDays") or 0) < days:
        yield f"set retention_in_days, to {days:g} or more."

"""Calls that fail: when the next try is due, and what there is to say about it."""

import random
from collections.abc import Callable
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from consumer.clock import steady

# What a call to AWS raises once boto3 has given up its own retries.
CALL_ERRORS = (BotoCoreError, ClientError)
# Those of them that say that nobody answered.
UNANSWERED = (HTTPClientError, NoConnectionError)

# A task is back within seconds of what it calls, and even a thousand of them ask 400 times a second.
LONGEST_DELAY_SECONDS = 5.0
THROTTLED = {
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}
SERVER_ERROR = 500


def lost_condition(error: Exception) -> bool:
    """Whether a conditional write was not made because its condition did not hold."""
    return _code(error) == "ConditionalCheckFailedException"


class Trouble(NamedTuple):
    """Something that failed each time it was tried, over `seconds`.

    `curable`: another task in this one's place might fare better. Not where the service throttles or fails:
    then all tasks would be replaced, and what they hold would be lost. Where nobody `answered`, it may be the
    service or the task's own network.
    """

    code: str
    seconds: float
    reason: str
    curable: bool
    answered: bool = True


class Failures:
    """The failures of one kind of call since it last succeeded. `code` names them to machines.

    What was not tried again for `lapse_seconds` is no trouble any more; None: it is until it succeeds.
    """

    def __init__(
        self, code: str, clock: Callable[[], float] = steady, *, lapse_seconds: float | None = None
    ) -> None:
        self._code = code
        self._clock = clock
        self._lapse_seconds = lapse_seconds
        self._count = 0
        self._since = self._last = 0.0
        self._reason = ""
        self._curable = self._answered = True

    def add(self, error: Exception) -> float:
        """Note a failure; the seconds to wait before the next try (exponential, full jitter)."""
        now = self._clock()
        if not self._count or self._lapsed(now):
            self._count, self._since = 0, now
        self._last = now
        self._count += 1
        self._reason = str(error)
        code = _code(error)
        self._curable = not (code in THROTTLED or "Throttl" in code or _status(error) >= SERVER_ERROR)
        self._answered = not isinstance(error, UNANSWERED)
        return random.uniform(0, min(LONGEST_DELAY_SECONDS, 0.25 * 2 ** min(self._count, 10)))

    def clear(self) -> None:
        """It succeeded."""
        self._count = 0

    def trouble(self) -> Trouble | None:
        """What is wrong, if the last call failed."""
        if not self._count or self._lapsed(self._clock()):
            return None
        return Trouble(self._code, self._last - self._since, self._reason, self._curable, self._answered)

    def _lapsed(self, now: float) -> bool:
        return self._lapse_seconds is not None and now - self._last > self._lapse_seconds


def _status(error: Exception) -> int:
    """The answer's HTTP status; 0 where there was no answer."""
    answered = error.response.get("ResponseMetadata", {}) if isinstance(error, ClientError) else {}
    return answered.get("HTTPStatusCode", 0)


def _code(error: Exception) -> str:
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""

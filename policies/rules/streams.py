"""What reads a stream of DynamoDB or Kinesis.

By default it retries for as long as the stream keeps a record: one that cannot be handled blocks its shard.
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

from collections import defaultdict
from functools import lru_cache

from pulumi_policy import PolicyResource, Severity

from ..kinds import PIPE, STREAM_MAPPING, TABLE, TABLE_REPLICA
from ..queues import DYNAMODB, KINESIS
from ..rule import Fixes, rule
from ..stack import Path, Resource, Stack, is_set, known, value


@rule(Severity.HIGH, STREAM_MAPPING, PIPE, answers="LambdaEventSourceMappingDestination")
def stream_reader_gives_up(reader: Resource) -> Fixes:
    """Every reader of a stream has bounded retries, a bounded age and a destination for what it gives up."""
    path = _parameters(reader)
    if path is None:
        return
    is_pipe = reader.resource_type == PIPE
    retries = value(reader, *path, "maximumRetryAttempts")
    # The provider takes a Pipe's 0 retries for none given, which is without end.
    if retries is None or retries < is_pipe:
        yield f"set maximum_retry_attempts, to {is_pipe:d} or more."
    age = value(reader, *path, "maximumRecordAgeInSeconds")
    if age is None or age < 0:
        yield "set maximum_record_age_in_seconds, to 60 or more."
    destination = ("deadLetterConfig", "arn") if is_pipe else ("destinationConfig", "onFailure")
    if not is_set(reader, (*path, *destination)):
        yield f"set {'dead_letter_config' if is_pipe else 'on_failure of destination_config'}, to a queue."


@rule(Severity.MEDIUM, STREAM_MAPPING, PIPE)
def stream_is_read_from_its_beginning(reader: Resource) -> Fixes:
    """Every reader of a stream begins at TRIM_HORIZON: LATEST can miss what is written while it is made."""
    path = _parameters(reader)
    if path is not None and value(reader, *path, "startingPosition") != "TRIM_HORIZON":
        yield "set starting_position to TRIM_HORIZON."


@rule(Severity.HIGH, STREAM_MAPPING, PIPE)
def stream_has_two_readers_at_most(reader: PolicyResource, stack: Stack) -> Fixes:
    """No stream of a table has more than two readers, or one if the table is global.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """
    for stream, limit in _streams(stack, reader):
        readers = _readers(stack)[stream]
        if reader.urn in readers[limit:]:
            yield f"it is one of {len(readers)} readers of a stream: let {limit} hand on to the others."


@lru_cache(maxsize=1)
def _readers(stack: Stack) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for reader in stack.of_type(STREAM_MAPPING, PIPE):
        for stream, _ in _streams(stack, reader):
            found[stream].append(reader.urn)
    return {stream: sorted(readers) for stream, readers in found.items()}


def _streams(stack: Stack, reader: PolicyResource) -> list[tuple[str, int]]:
    """The tables, here or elsewhere, whose streams a reader reads, and how many may."""
    path = _source(reader)
    tables = stack.referred(reader, path, TABLE)
    elsewhere = str(known(reader, *path))
    if not tables and ":dynamodb:" in elsewhere:
        return [(elsewhere, 2)]
    return [
        (table.urn, 1 if known(table, "replicas") or table.urn in _replicated(stack) else 2)
        for table in tables
    ]


@lru_cache(maxsize=1)
def _replicated(stack: Stack) -> set[str]:
    """The tables that have a replica by a resource of its own."""
    replicas = stack.of_type(TABLE_REPLICA)
    return {table.urn for each in replicas for table in stack.referred(each, ("globalTableArn",), TABLE)}


def _source(reader: Resource) -> Path:
    return ("source",) if reader.resource_type == PIPE else ("eventSourceArn",)


def _parameters(reader: Resource) -> Path | None:
    """Where a reader says how it reads a stream; None if it reads none. What is no stream has no start."""
    if reader.resource_type == PIPE:
        return next((path for path in (DYNAMODB, KINESIS) if is_set(reader, path)), None)
    is_of_kafka = any(is_set(reader, (key,)) for key in ("topics", "selfManagedEventSource"))
    return () if is_set(reader, ("startingPosition",)) and not is_of_kafka else None

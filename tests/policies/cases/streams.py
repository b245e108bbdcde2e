from typing import Any

import pulumi
import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import ACCOUNT, arn, pipe, unknown

STREAM = f"arn:aws:dynamodb:eu-south-1:{ACCOUNT}:table/t/stream/2026-01-01T00:00:00.000"
BOUNDS = {
    "maximum_retry_attempts": 3,
    "maximum_record_age_in_seconds": 3600,
    "starting_position": "TRIM_HORIZON",
}
FAILURES = {"destination_config": {"on_failure": {"destination_arn": arn("elsewhere")}}}


def mapping(name: str, stream: pulumi.Input[str] = STREAM, **given: Any) -> None:
    asked: dict[str, Any] = {**BOUNDS, **FAILURES, "function_name": "elsewhere", "event_source_arn": stream}
    aws.lambda_.EventSourceMapping(name, **asked | given)


def stream_pipe(name: str, source: pulumi.Input[str] = STREAM, kind: str = "dynamodb", **given: Any) -> None:
    asked = {**BOUNDS, "dead_letter_config": {"arn": arn("elsewhere")}}
    pipe(name, {f"{kind}_stream_parameters": asked | given}, source=source)


up = Cases("stream-reader-gives-up")


@up.fails("mapping", "pipe")
def no_bounds(at: str) -> None:
    aws.lambda_.EventSourceMapping(
        f"{at}mapping", function_name="elsewhere", event_source_arn=STREAM, starting_position="LATEST"
    )
    pipe(f"{at}pipe", {"kinesis_stream_parameters": {"starting_position": "TRIM_HORIZON"}})


@up.fails("mapping", "pipe")
def retries_without_end(at: str) -> None:
    mapping(f"{at}mapping", maximum_retry_attempts=-1)
    stream_pipe(f"{at}pipe", maximum_retry_attempts=-1)


@up.fails("mapping", "pipe")
def records_of_any_age(at: str) -> None:
    mapping(f"{at}mapping", maximum_record_age_in_seconds=-1)
    stream_pipe(f"{at}pipe", "elsewhere", "kinesis", maximum_record_age_in_seconds=-1)


@up.fails("mapping", "pipe")
def no_destination(at: str) -> None:
    mapping(f"{at}mapping", unknown(at), destination_config=None)
    stream_pipe(f"{at}pipe", dead_letter_config=None)


@up.fails("pipe")
def no_retries_which_a_pipe_takes_for_none_given(at: str) -> None:
    stream_pipe(f"{at}pipe", maximum_retry_attempts=0)


@up.passes
def bounds(at: str) -> None:
    mapping(f"{at}mapping", maximum_retry_attempts=0)
    stream_pipe(f"{at}pipe")


@up.passes
def a_destination_that_is_not_known_yet(at: str) -> None:
    failures = unknown(at)
    mapping(f"{at}mapping", destination_config={"on_failure": {"destination_arn": failures}})
    stream_pipe(f"{at}pipe", dead_letter_config={"arn": failures})


@up.undecided("mapping", "pipe")
def bounds_that_are_not_known_yet(at: str) -> None:
    mapping(f"{at}mapping", maximum_retry_attempts=unknown(at).apply(len))
    seconds = unknown(f"{at}another-").apply(len)
    stream_pipe(f"{at}pipe", maximum_record_age_in_seconds=seconds)


@up.not_applicable
def readers_of_queues_and_of_kafka(at: str) -> None:
    aws.lambda_.EventSourceMapping(
        f"{at}mapping", function_name="elsewhere", event_source_arn=arn("elsewhere")
    )
    aws.lambda_.EventSourceMapping(
        f"{at}kafka",
        function_name="elsewhere",
        event_source_arn=arn("cluster").replace("sqs", "kafka"),
        topics=["t"],
        starting_position="LATEST",
    )
    pipe(f"{at}pipe", {"sqs_queue_parameters": {"batch_size": 1}}, source=arn("elsewhere"))


begins = Cases("stream-is-read-from-its-beginning")


@begins.fails("mapping", "pipe")
def at_the_latest(at: str) -> None:
    mapping(f"{at}mapping", starting_position="LATEST")
    stream_pipe(f"{at}pipe", starting_position="LATEST")


@begins.passes
def at_trim_horizon(at: str) -> None:
    mapping(f"{at}mapping")
    stream_pipe(f"{at}pipe")


@begins.undecided("mapping")
def at_what_is_not_known_yet(at: str) -> None:
    mapping(f"{at}mapping", starting_position=unknown(at))


@begins.not_applicable
def a_queue(at: str) -> None:
    aws.lambda_.EventSourceMapping(
        f"{at}mapping", function_name="elsewhere", event_source_arn=arn("elsewhere")
    )


readers = Cases("stream-has-two-readers-at-most")


def _table(name: str, /, **given: Any) -> aws.dynamodb.Table:
    return aws.dynamodb.Table(
        name,
        attributes=[{"name": "id", "type": "S"}],
        hash_key="id",
        stream_enabled=True,
        stream_view_type="NEW_AND_OLD_IMAGES",
        **given,
    )


@readers.fails("third")
def three(at: str) -> None:
    table = _table(f"{at}table", name=f"{at}table")
    mapping(f"{at}a", table.stream_arn)
    mapping(f"{at}b", STREAM.replace("table/t", f"table/{at}table"))
    ready = table.stream_arn.apply(lambda of: of)
    aws.pipes.Pipe(
        f"{at}third",
        role_arn=arn("role"),
        source=ready,
        target=arn("elsewhere"),
        opts=pulumi.ResourceOptions(depends_on=[table]),
    )


@readers.fails("b")
def two_of_a_global_table(at: str) -> None:
    table = _table(f"{at}table", replicas=[{"region_name": "eu-west-1"}])
    mapping(f"{at}a", table.stream_arn)
    mapping(f"{at}b", table.stream_arn)


@readers.fails("b", "d")
def two_of_a_table_that_a_replica_of_its_own_makes_global(at: str) -> None:
    table = _table(f"{at}table")
    aws.dynamodb.TableReplica(f"{at}replica", global_table_arn=table.arn)
    mapping(f"{at}a", table.stream_arn)
    mapping(f"{at}b", table.stream_arn)
    by_name = _table(f"{at}by-name", name=f"{at}by-name")
    literal = f"arn:aws:dynamodb:eu-south-1:{ACCOUNT}:table/{at}by-name"
    aws.dynamodb.TableReplica(f"{at}literal", global_table_arn=literal)
    mapping(f"{at}c", by_name.stream_arn)
    mapping(f"{at}d", by_name.stream_arn)


@readers.passes
def two(at: str) -> None:
    table = _table(f"{at}table")
    mapping(f"{at}mapping", table.stream_arn)
    stream_pipe(f"{at}pipe", table.stream_arn)


@readers.passes
def four_of_two_tables(at: str) -> None:
    for number in "12":
        table = _table(f"{at}table-{number}")
        mapping(f"{at}mapping-{number}", table.stream_arn)
        stream_pipe(f"{at}pipe-{number}", table.stream_arn)


@readers.fails("mapping-3")
def three_of_a_table_elsewhere(at: str) -> None:
    for number in "123":
        mapping(f"{at}mapping-{number}", STREAM.replace("table/t", f"table/{at}t"))


@readers.not_applicable
def a_stream_of_kinesis(at: str) -> None:
    for number in "123":
        mapping(f"{at}mapping-{number}", arn("stream/s").replace("sqs", "kinesis"))

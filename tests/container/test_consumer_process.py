"""Consumers as processes on a real emulator, with the real forwarders before them."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from consumer.digest import digest_of
from consumer.watermark import late_after_ms
from local.emulator import free_port
from tests.container.conftest import (
    MAX_RECEIVES,
    ROOT,
    WATERMARK_SECONDS,
    Consumer,
    Spine,
)
from tests.container.messages import record
from tests.emulation import eventually
from tests.otlp import receiving

MakeSpine = Callable[..., Spine]
LATE_MS = late_after_ms(WATERMARK_SECONDS)
pytestmark = pytest.mark.emulator


def deliveries(consumer: Consumer, forwarder: str) -> int:
    return sum(consumer.json("/state")["counts"][forwarder].values())


def test_changes_reach_the_replica_through_both_forwarders(make_spine: MakeSpine) -> None:
    spine = make_spine()
    before = spine.write("before", price={"N": "1"})
    spine.forward_by_lambda()
    spine.forward_by_pipe()
    consumer = spine.consumer().ready()
    put = spine.write("put", price={"N": "2"}, photo={"B": b"\x00\xff"})
    gone = spine.write("deleted")
    spine.delete("deleted")
    # The emulator's pipe begins at the end of the stream, whatever it is told.
    eventually(lambda: deliveries(consumer, "lambda") == 4, "four deliveries by the Lambda")
    eventually(lambda: deliveries(consumer, "pipe") >= 3, "three deliveries by the Pipe")

    items = consumer.json("/state/items")
    assert {item_id: item["version"] for item_id, item in items.items()} == {"before": before, "put": put}
    assert items["put"]["item"] == {
        "id": {"S": "put"},
        "version": {"N": str(put)},
        "writtenAt": {"N": str(put - 1)},
        "price": {"N": "2"},
        "photo": {"B": "AP8="},
    }
    digest = digest_of([("before", before), ("put", put)])
    state = consumer.json("/state")
    assert (state["task"], state["items"], state["digest"]) == (consumer.arn, 2, digest)
    assert state["mode"] == "push"
    applied = sum(counts["applied"] for counts in state["counts"].values())
    assert applied <= 4, "a change applies once, whichever copy comes first"

    logged = {
        (line["forwarder"], line["change"], line["id"], line["version"])
        for line in consumer.logged("delivery")
    }
    for forwarder in ("lambda", "pipe"):
        assert (forwarder, "put", "put", put) in logged
        assert (forwarder, "put", "deleted", gone) in logged
        assert (forwarder, "delete", "deleted", gone + 1) in logged

    lease = eventually(
        lambda: next((lease for lease in spine.leases().values() if lease["digest"]["S"] == digest), None),
        "the digest in the lease",
    )
    assert (lease["slot"]["S"], lease["task"]["S"]) == (state["slot"], consumer.arn)
    assert (lease["ready"]["BOOL"], lease["items"]["N"], lease["mode"]["S"]) == (True, "2", "push")
    assert int(lease["clockErrorBound"]["N"]) == state["clockErrorBound"] == 1
    counted = sum(int(lease[outcome]["N"]) for outcome in ("applied", "stale", "duplicate"))
    assert counted == len(consumer.logged("delivery"))


def test_an_item_too_large_for_the_topic_arrives_as_a_pointer(make_spine: MakeSpine) -> None:
    spine = make_spine()
    spine.forward_by_lambda()
    consumer = spine.consumer().ready()
    spine.write("large", payload={"S": "x"})
    payload = "x" * 400_000
    version = spine.write("large", payload={"S": payload})
    eventually(lambda: consumer.json("/state/items").get("large", {}).get("version") == version, "the item")
    assert consumer.json("/state/items")["large"]["item"]["payload"] == {"S": payload}
    assert consumer.json("/state")["confirmed"] >= 1


def test_a_record_just_below_the_limit_arrives_as_it_is(make_spine: MakeSpine) -> None:
    spine = make_spine()
    spine.write("large")
    consumer = spine.consumer().ready()
    spine.forward_by_lambda()
    # Quotes are escaped twice on the way: in the record and in SNS's envelope around it.
    payload = '"' * 60_000 + "x" * 140_000
    version = spine.write("large", payload={"S": payload})
    eventually(lambda: consumer.json("/state/items").get("large", {}).get("version") == version, "the item")
    assert consumer.json("/state/items")["large"]["item"]["payload"] == {"S": payload}
    assert consumer.json("/state")["confirmed"] == 0, "nothing was read from the table"


def test_the_snapshot_reads_every_page(make_spine: MakeSpine) -> None:
    spine = make_spine()
    ids = [f"item-{number:04}" for number in range(2_500)]
    for start in range(0, len(ids), 25):
        puts = [
            {
                "PutRequest": {
                    "Item": {"id": {"S": item_id}, "version": {"N": "7"}, "payload": {"S": "x" * 1_000}}
                }
            }
            for item_id in ids[start : start + 25]
        ]
        spine.dynamodb.batch_write_item(RequestItems={spine.name: puts})
    spine.dynamodb.put_item(TableName=spine.name, Item={"id": {"S": "unversioned"}})
    spine.write("statecast:watermark:0")
    consumer = spine.consumer().ready()
    state = consumer.json("/state")
    assert (state["items"], state["digest"]) == (2_500, digest_of((item_id, 7) for item_id in ids))
    assert set(consumer.json("/state/items")) == set(ids)
    [complete] = consumer.logged("snapshot complete")
    assert (complete["items"], complete["unversioned"]) == (2_500, 1)


def test_a_stop_releases_the_slot_without_waiting_for_the_long_poll(make_spine: MakeSpine) -> None:
    spine = make_spine()
    consumer = spine.consumer().ready()
    slot = consumer.json("/state")["slot"]
    assert consumer.stop() == 0
    lease = spine.leases()[slot]
    assert not {"lease", "expiresAt"} & set(lease)
    assert "freedAt" in lease
    assert consumer.logged("slot released")[0]["slot"] == slot


def test_a_malformed_message_goes_to_the_dlq_and_the_consumer_goes_on(make_spine: MakeSpine) -> None:
    spine = make_spine(slots=1)
    spine.forward_by_lambda()
    consumer = spine.consumer().ready()
    spine.sns.publish(TopicArn=spine.topic, Message="not a record")

    def in_dlq() -> Any:
        return spine.sqs.receive_message(QueueUrl=spine.dlqs[0]).get("Messages")

    [dead] = eventually(in_dlq, "the message in the DLQ")
    assert json.loads(dead["Body"])["Message"] == "not a record"
    refused = consumer.logged("refused")
    assert [line["receives"] for line in refused] == list(range(1, MAX_RECEIVES + 1))
    assert {line["message"] for line in refused} == {dead["MessageId"]}

    [poison] = eventually(lambda: spine.leases()["00"]["poison"]["L"], "the poison in the lease")
    assert poison["M"]["message"] == {"S": dead["MessageId"]}
    assert poison["M"]["reason"]["S"].startswith("not a stream record in an SNS envelope")
    status, body = consumer.get("/readyz")
    assert (status, json.loads(body)) == (
        503,
        {
            "status": "unready",
            "reasons": [{"code": "poison", "text": "1 on the last receive"}],
            "mode": "push",
        },
    )
    assert consumer.get("/healthz")[0] == 200

    version = spine.write("after")
    eventually(
        lambda: consumer.json("/state/items").get("after", {}).get("version") == version, "the next change"
    )


def test_tasks_never_share_a_slot_and_one_too_many_waits(make_spine: MakeSpine) -> None:
    spine = make_spine(slots=2)
    first, second = spine.consumer().ready(), spine.consumer().ready()
    assert {first.json("/state")["slot"], second.json("/state")["slot"]} == {"00", "01"}
    third = spine.consumer()

    def waits() -> bool:
        status, body = third.get("/readyz")
        reason = {"code": "no-slot", "text": "no free slot: 2 of 2 leased"}
        return (status, json.loads(body).get("reasons")) == (503, [reason])

    eventually(waits, "the third waits and says why")
    assert [reason["code"] for reason in third.json("/healthz")["reasons"]] == ["starting"]
    assert third.json("/state")["slot"] is None
    freed = first.json("/state")["slot"]
    assert first.stop() == 0
    third.ready()
    assert third.json("/state")["slot"] == freed
    assert third.get("/healthz")[0] == 200


def test_a_task_that_was_paused_past_its_lease_loses_the_slot_and_nothing_is_lost(
    make_spine: MakeSpine,
) -> None:
    spine = make_spine(slots=1)
    spine.forward_by_lambda()
    short = {"STATECAST_LONG_POLL_SECONDS": "1", "STATECAST_LEASE_SECONDS": "3"}
    paused = spine.consumer(**short).ready()
    spine.write("before")
    eventually(lambda: "before" in paused.json("/state/items"), "the change before the pause")
    paused.process.send_signal(signal.SIGSTOP)
    try:
        during = spine.write("during")
        spine.delete("before")
        successor = spine.consumer(**short).ready()
        assert successor.json("/state")["slot"] == "00"
    finally:
        paused.process.send_signal(signal.SIGCONT)
    eventually(lambda: paused.json("/state")["slot"] is None, "the paused task is without a slot")
    reason = {"code": "no-slot", "text": "no free slot: 1 of 1 leased"}
    eventually(lambda: paused.json("/readyz")["reasons"] == [reason], "it waits for another")
    assert paused.logged("slot lost")
    eventually(
        lambda: successor.json("/state")["digest"] == digest_of([("during", during)]), "the successor has all"
    )

    # With the slot free again, its fresh snapshot repairs what it missed, deletes too.
    assert successor.stop() == 0
    paused.ready()
    assert paused.json("/state")["digest"] == digest_of([("during", during)])


def watermarks(spine: Spine) -> list[dict[str, Any]]:
    items = spine.dynamodb.scan(TableName=spine.name)["Items"]
    return [item for item in items if item["id"]["S"].startswith("statecast:watermark:")]


def test_watermarks_go_the_way_of_changes_and_are_none(make_spine: MakeSpine) -> None:
    spine = make_spine()
    spine.forward_by_lambda()
    spine.forward_by_pipe()
    first, second = spine.consumer().ready(), spine.consumer().ready()
    eventually(lambda: len(watermarks(spine)) >= 3, "three rounds")
    for item in watermarks(spine):
        number = int(item["writtenAt"]["N"]) // (1000 * WATERMARK_SECONDS)
        assert item["id"]["S"] == f"statecast:watermark:{number % 16}"
    for consumer in (first, second):
        state = consumer.json("/state")
        assert (state["mode"], state["fallbacks"], state["items"]) == ("push", 0, 0)
        assert set(state["lag"]) == {"lambda", "pipe"}
        eventually(
            lambda consumer=consumer: max(consumer.json("/state")["lag"].values()) < LATE_MS, "both in time"
        )
        assert not consumer.logged("delivery")
        told = consumer.logged("watermark")
        assert {line["forwarder"] for line in told} == {"lambda", "pipe"}
        assert {line["table"] for line in told} == {spine.name}
    lease = spine.leases()[first.json("/state")["slot"]]
    assert set(lease["lag"]["M"]) == {"lambda", "pipe"}
    assert int(lease["watermark"]["N"]) > int(lease["leasedAt"]["N"])


def test_the_death_of_any_task_delays_no_watermark(make_spine: MakeSpine) -> None:
    spine = make_spine()
    spine.forward_by_lambda()
    doomed, other = spine.consumer().ready(), spine.consumer().ready()
    doomed.process.kill()
    died_at = int(time.time() * 1000)
    eventually(lambda: other.json("/state")["watermark"] > died_at + LATE_MS, "watermarks go on")
    assert (other.json("/state")["fallbacks"], other.logged("push is late")) == (0, [])


def test_while_the_push_path_is_cut_the_table_is_polled_until_push_is_back(make_spine: MakeSpine) -> None:
    spine = make_spine(slots=1)
    spine.forward_by_lambda()
    gone = spine.write("deleted")
    consumer = spine.consumer().ready()
    spine.cut()
    cut_at = int(time.time() * 1000)
    put = spine.write("put")
    spine.delete("deleted")
    eventually(lambda: set(consumer.json("/state/items")) == {"put"}, "the changes, without a message")
    assert (consumer.json("/state")["mode"], consumer.json("/healthz")) == (
        "poll",
        {"status": "healthy", "reasons": [], "mode": "poll"},
    )
    assert consumer.get("/readyz")[0] == 200
    [late] = consumer.logged("push is late")
    assert late["at"] - cut_at < LATE_MS + 1_000
    polled = [line for line in consumer.logged("delivery") if line["forwarder"] == "poll"]
    assert {(line["change"], line["id"], line["version"]) for line in polled} == {
        ("put", "put", put),
        ("delete", "deleted", gone + 1),
    }
    lease = eventually(
        lambda: next((lease for lease in spine.leases().values() if lease["mode"]["S"] == "poll"), None),
        "the mode in the lease",
    )
    assert (lease["ready"]["BOOL"], lease["fallbacks"]["N"]) == (True, "1")

    spine.mend()
    eventually(lambda: consumer.json("/state")["mode"] == "push", "push is back")
    back = spine.write("back")
    digest = digest_of([("put", put), ("back", back)])
    eventually(lambda: consumer.json("/state")["digest"] == digest, "the change by push")
    assert [line["forwarder"] for line in consumer.logged("delivery") if line["id"] == "back"] == ["lambda"]
    state = consumer.json("/state")
    assert (state["fallbacks"], state["repairs"], state["counts"]["poll"]["applied"]) == (1, 0, 2)


def test_a_task_that_starts_while_the_push_path_is_cut_is_ready_by_polling(make_spine: MakeSpine) -> None:
    spine = make_spine(slots=1)
    spine.forward_by_lambda()
    spine.cut()
    consumer = spine.consumer()
    reasons = eventually(lambda: consumer.json("/readyz").get("reasons"), "an answer")
    eventually(
        lambda: [reason["code"] for reason in consumer.json("/readyz")["reasons"]] == ["no-watermark"],
        f"unready for want of a watermark, not {reasons}",
    )
    assert consumer.ready().json("/state")["mode"] == "poll"


def test_what_is_put_on_the_bus_reaches_the_replica_and_is_told_apart(make_spine: MakeSpine) -> None:
    spine = make_spine(slots=1)
    spine.forward_by_lambda()
    spine.forward_by_bus()
    consumer = spine.consumer().ready()
    version = spine.write("put")
    eventually(lambda: deliveries(consumer, "lambda") == 1, "the copy by the Lambda")
    spine.put_on_the_bus(record("INSERT", "put", version, eventSourceARN=spine.stream))
    spine.put_on_the_bus(record("MODIFY", "put", version + 1, eventSourceARN=spine.stream))
    eventually(lambda: deliveries(consumer, "bus") == 2, "both events")

    logged = [line for line in consumer.logged("delivery") if line["forwarder"] == "bus"]
    assert {(line["version"], line["outcome"]) for line in logged} == {
        (version, "duplicate"),
        (version + 1, "applied"),
    }
    assert consumer.logged("refused") == []


def test_one_forwarder_that_is_dead_shows_and_changes_nothing_else(make_spine: MakeSpine) -> None:
    spine = make_spine(slots=1)
    spine.forward_by_lambda()
    spine.forward_by_pipe()
    consumer = spine.consumer().ready()
    spine.end_pipe()
    eventually(lambda: consumer.json("/state")["lag"]["pipe"] > 2 * LATE_MS, "the pipe's lag")
    version = spine.write("put")
    eventually(lambda: consumer.json("/state/items").get("put", {}).get("version") == version, "the change")
    state = consumer.json("/state")
    assert (state["mode"], state["fallbacks"]) == ("push", 0)
    assert state["lag"]["lambda"] < LATE_MS
    assert max(line["watermarkLag"] for line in consumer.logged("watermark")) > LATE_MS


def test_a_message_that_another_deleted_is_repaired_and_counted(make_spine: MakeSpine) -> None:
    spine = make_spine(slots=1)
    spine.forward_by_lambda()
    # A short poll, so that none is open while the task is paused.
    consumer = spine.consumer(STATECAST_LONG_POLL_SECONDS="0", STATECAST_RESCAN_SECONDS="1").ready()
    consumer.process.send_signal(signal.SIGSTOP)
    try:
        # As a former lessee does that was paused between its last look at the lease and its delete.
        version = spine.write("stolen")

        def steal() -> bool:
            messages = spine.sqs.receive_message(QueueUrl=spine.queues[0]).get("Messages", [])
            for message in messages:
                spine.sqs.delete_message(QueueUrl=spine.queues[0], ReceiptHandle=message["ReceiptHandle"])
            return any("stolen" in message["Body"] for message in messages)

        eventually(steal, "the message")
    finally:
        consumer.process.send_signal(signal.SIGCONT)
    eventually(lambda: consumer.json("/state")["digest"] == digest_of([("stolen", version)]), "the repair")
    eventually(lambda: consumer.json("/state")["repairs"] == 1, "its count")
    [line] = consumer.logged("repaired")
    assert (line["id"], line["version"], line["repairs"]) == ("stolen", version, 1)
    eventually(lambda: int(spine.leases()["00"]["repairs"]["N"]) == 1, "the count in the lease")


def test_without_forwarders_tasks_poll_and_lease_numbers(make_spine: MakeSpine) -> None:
    spine = make_spine()
    first, second = spine.consumer().ready(), spine.consumer().ready()
    assert {consumer.json("/state")["slot"] for consumer in (first, second)} == {"00", "01"}
    version = spine.write("put")
    for consumer in (first, second):
        eventually(lambda consumer=consumer: "put" in consumer.json("/state/items"), "the change")
        state = consumer.json("/state")
        assert (state["mode"], state["lag"], state["digest"]) == ("poll", {}, digest_of([("put", version)]))
        assert [line["forwarder"] for line in consumer.logged("delivery")] == ["poll"]
    spine.delete("put")
    eventually(lambda: not first.json("/state/items") and not second.json("/state/items"), "the delete")
    assert watermarks(spine) == []


def test_metrics_are_in_prometheus_text_format(make_spine: MakeSpine) -> None:
    spine = make_spine()
    spine.forward_by_lambda()
    consumer = spine.consumer().ready()
    spine.write("a")
    eventually(lambda: deliveries(consumer, "lambda") == 1, "a delivery")
    lines = consumer.get("/metrics")[1].decode().splitlines()
    for line in (
        "statecast_ready 1.0",
        "statecast_healthy 1.0",
        "statecast_items 1.0",
        'statecast_deliveries_total{forwarder="lambda",outcome="applied"} 1.0',
        "statecast_polling 0.0",
        "statecast_fallbacks_total 0.0",
        "statecast_repairs_total 0.0",
        "statecast_refused_total 0.0",
    ):
        assert line in lines
    assert any(line.startswith('statecast_watermark_lag_seconds{forwarder="lambda"} ') for line in lines)


def test_a_change_is_one_trace_whose_spans_are_the_hops_of_its_line(make_spine: MakeSpine) -> None:
    spine = make_spine()
    spine.forward_by_lambda()
    spine.forward_by_pipe()
    with receiving() as receiver:
        tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "statecast"}
        first, second = spine.consumer(**tracing).ready(), spine.consumer(**tracing).ready()
        trace, write = uuid4().hex, uuid4().hex[:16]
        version = spine.write("traced", traceparent={"S": f"00-{trace}-{write}-01"})
        spine.write("untraced")
        for consumer in (first, second):
            # Deleted before, it would be found gone by the read that confirms it.
            eventually(lambda of=consumer: "traced" in of.json("/state/items"), "the change")
        spine.delete("traced")
        lines: dict[str, list[dict[str, Any]]] = {}
        for consumer in (first, second):
            # The first change may be made before the emulator's pipe reads the stream.
            eventually(lambda of=consumer: deliveries(of, "lambda") == 3, "three deliveries by the Lambda")
            eventually(lambda of=consumer: deliveries(of, "pipe") >= 2, "deliveries by the Pipe")
            assert consumer.stop() == 0
            delivered = consumer.logged("delivery")
            lines[consumer.arn] = [line for line in delivered if line["version"] == version]
        spans = receiver.received
        assert first.logged("spans lost") + second.logged("spans lost") == []

    assert {span.trace for span in spans} == {trace}, "a trace of what its writer traces, and of no delete"
    assert {span.resource["service.name"] for span in spans} == {"statecast"}
    for arn, told in lines.items():
        own = [span for span in spans if span.resource["service.instance.id"] == arn]
        [whole] = [span for span in own if span.name == "delivery"]
        [line] = [line for line in told if line["outcome"] == "applied"]
        assert (whole.parent, whole.start, whole.end) == (write, line["writtenAt"], line["appliedAt"])
        assert whole.attributes["statecast.message"] == line["message"]
        # The emulator's SNS tells whole seconds: hops from and to it lie outside of the delivery, mostly.
        hops = {span.name: span for span in own if span.parent == whole.id}
        assert {"sqs", "apply"} <= hops.keys() <= {"forward", "sns", "sqs", "apply"}
        for name, hop in hops.items():
            assert hop.end - hop.start == line[f"{name}TimeTaken"]
        copies = [span for span in own if span.name == "copy"]
        assert len(copies) == len(told) - 1
        for copy in copies:
            assert (copy.parent, copy.links) == (write, [(trace, whole.id)])
            assert copy.end in [line["appliedAt"] for line in told if line["outcome"] != "applied"]
        assert len(own) == 1 + len(hops) + len(copies)


def test_a_receiver_that_hangs_holds_up_no_change_and_no_stop(make_spine: MakeSpine) -> None:
    spine = make_spine()
    spine.forward_by_lambda()
    with receiving() as receiver:
        receiver.held = threading.Event()
        consumer = spine.consumer(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_BSP_SCHEDULE_DELAY="50")
        consumer.ready()
        for number in range(3):
            spine.write(f"traced-{number}", traceparent={"S": f"00-{uuid4().hex}-{uuid4().hex[:16]}-01"})
        eventually(lambda: deliveries(consumer, "lambda") == 3, "three deliveries")
        eventually(lambda: receiver.requests, "a request that hangs")
        assert 'statecast_spans_total{outcome="sent"} 0.0' in consumer.get("/metrics")[1].decode()
        began = time.monotonic()
        assert consumer.stop() == 0
        assert time.monotonic() - began < 2.5, "a second for what waits, and the release of the slot"
    assert consumer.logged("slot released")
    [lost] = consumer.logged("spans lost")
    assert (lost["task"], lost["spans"] >= 3 * 3) == (consumer.arn, True)


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer.check"],
        cwd=ROOT / "container",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_health_check_follows_healthz(make_spine: MakeSpine) -> None:
    spine = make_spine()
    consumer = spine.consumer().ready()
    assert check(consumer.environment).returncode == 0
    failed = check(consumer.environment | {"STATECAST_PORT": str(free_port())})
    assert failed.returncode == 1
    assert failed.stderr.startswith("unhealthy: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"STATECAST_TABLE": ""}, "consumer: STATECAST_TABLE is not set\n"),
        ({"STATECAST_LEASE_SECONDS": "0"}, "consumer: STATECAST_LEASE_SECONDS is '0': give a whole number"),
    ],
)
def test_a_wrong_environment_is_one_clear_line(
    make_spine: MakeSpine, changes: dict[str, str], message: str
) -> None:
    consumer = make_spine(slots=1).consumer(**changes)
    assert consumer.process.wait(30) == 1
    assert consumer.output().startswith(message)
    assert len(consumer.output().splitlines()) == 1


def test_a_port_in_use_is_one_clear_line_and_leases_nothing(make_spine: MakeSpine) -> None:
    spine = make_spine()
    first = spine.consumer().ready()
    second = subprocess.run(
        [sys.executable, "-m", "consumer"],
        cwd=ROOT / "container",
        env=first.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr == (
        f"consumer: cannot listen on 127.0.0.1:{first.port} (STATECAST_PORT): Address already in use\n"
    )
    assert len(spine.leases()) == 1

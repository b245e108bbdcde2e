import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.forwarders.bus_forwarder import DETAIL_TYPE, SOURCE
from consumer.message import MAX_REASON, Change, Delivery, Refusal, decode, from_item, written_at_of
from tests.container.messages import TABLE, envelope, event, image, message, record, sqs
from tests.functions.test_forwarder_handler import HANDLER


def of_record(given: Any, **more: Any) -> Delivery | Refusal:
    return decode(sqs(json.dumps(envelope(json.dumps(given))), **more), TABLE)


@pytest.mark.parametrize("event", ["INSERT", "MODIFY"])
@pytest.mark.parametrize(("attribute", "forwarder"), [("lambda", "lambda"), (None, "pipe")])
def test_a_write_is_a_put_with_every_hops_clock(event: str, attribute: str | None, forwarder: str) -> None:
    delivery = decode(message(event, "a", 7, attribute, receives=3), TABLE)
    item = json.dumps(image("a", 7), separators=(",", ":"))
    assert delivery == Delivery(
        message="5fea7756-0ea4-451a-a703-a558b933e274",
        change=Change("a", 7, item),
        pointer=False,
        forwarder=forwarder,  # type: ignore[arg-type]
        receives=3,
        made_at=1_700_000_000_000,
        written_at=1_700_000_000_000,
        traceparent=None,
        sns_at=1_700_000_000_125,
        sqs_sent_at=1_700_000_000_150,
        sqs_first_received_at=1_700_000_000_200,
    )


def test_a_remove_is_a_delete_one_above_the_old_image_and_has_no_writer() -> None:
    delivery = decode(message("REMOVE", "a", 7), TABLE)
    assert isinstance(delivery, Delivery)
    assert delivery.change == Change("a", 8, None)
    assert delivery.written_at is None


def test_a_puts_trace_context_is_the_writes_and_a_deletes_is_nobodys() -> None:
    traced = {"traceparent": {"S": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
    given = record("INSERT", "a", 7)
    given["dynamodb"]["NewImage"] |= traced
    removed = record("REMOVE", "a", 7)
    removed["dynamodb"]["OldImage"] |= traced
    told = [of_record(given), of_record(removed)]
    assert [of.traceparent for of in told if isinstance(of, Delivery)] == [traced["traceparent"]["S"], None]


@pytest.mark.parametrize(
    ("clock", "written_at"),
    [
        ({}, None),
        ({"writtenAt": {"N": "1795647773432.6182"}}, 1_795_647_773_432),  # a Decimal of time.time() * 1000
        ({"writtenAt": {"N": "1.7E+12"}}, 1_700_000_000_000),
        ({"writtenAt": {"S": "2026-11-25T22:00:00Z"}}, None),
        ({"writtenAt": {"NULL": True}}, None),
    ],
)
def test_a_put_is_understood_whatever_the_writers_clock(
    clock: dict[str, Any], written_at: int | None
) -> None:
    given = record("INSERT", "a", 7)
    image = given["dynamodb"]["NewImage"]
    del image["writtenAt"]
    image |= clock
    delivery, read = of_record(given), from_item(image)
    assert isinstance(delivery, Delivery)
    assert delivery.written_at == written_at
    assert read == delivery.change
    assert written_at_of(delivery.change) == written_at


@pytest.mark.parametrize(
    ("created", "made_at"),
    [(1_700_000_009, 1_700_000_009_000), (1_700_000_009.0, 1_700_000_009_000), (None, 0)],
)
def test_when_the_change_was_made_is_dynamodbs_to_say(created: float | None, made_at: int) -> None:
    given = record("INSERT", "a", 7)
    given["dynamodb"]["ApproximateCreationDateTime"] = created
    if created is None:
        del given["dynamodb"]["ApproximateCreationDateTime"]
    delivery = of_record(given)
    assert isinstance(delivery, Delivery)
    assert delivery.made_at == made_at


def test_a_pointer_is_told_and_a_pointer_to_a_remove_needs_no_read() -> None:
    put, remove = (
        of_record(record("MODIFY", "a", 7, pointer=True)),
        of_record(record("REMOVE", "a", 7, pointer=True)),
    )
    assert isinstance(put, Delivery)
    assert put.pointer
    assert isinstance(remove, Delivery)
    assert not remove.pointer


@pytest.mark.parametrize("size", [10, 400_000])
@pytest.mark.parametrize("event", ["INSERT", "MODIFY", "REMOVE"])
def test_what_the_lambda_forwarder_sends_is_understood(event: str, size: int) -> None:
    given = record(event, "a", 7)
    given["dynamodb"]["NewImage" if event != "REMOVE" else "OldImage"]["payload"] = {"S": "x" * size}
    delivery = decode(sqs(json.dumps(envelope(HANDLER.message_of(given).body))), TABLE)
    assert isinstance(delivery, Delivery)
    assert delivery.pointer is (size > 262_144 and event != "REMOVE")
    assert delivery.change.version == (8 if event == "REMOVE" else 7)


@pytest.mark.parametrize("event_name", ["INSERT", "MODIFY", "REMOVE"])
def test_a_bus_says_the_same_as_a_pipe_and_is_told_apart(event_name: str) -> None:
    given = record(event_name, "a", 7)
    by_pipe = decode(sqs(json.dumps(envelope(json.dumps(given), None))), TABLE)
    by_bus = decode(sqs(json.dumps(envelope(json.dumps(event(given)), None))), TABLE)
    assert isinstance(by_pipe, Delivery) and by_pipe.forwarder == "pipe"
    assert by_bus == by_pipe._replace(forwarder="bus")


def test_the_marks_are_those_that_the_bus_forwarder_sets() -> None:
    marked = event(record("INSERT", "a", 7), **{"source": SOURCE, "detail-type": DETAIL_TYPE})
    delivery = decode(sqs(json.dumps(envelope(json.dumps(marked), None))), TABLE)
    assert isinstance(delivery, Delivery) and delivery.forwarder == "bus"


@pytest.mark.parametrize("mark", ["source", "detail-type", "detail"])
def test_an_event_of_something_else_is_refused(mark: str) -> None:
    refusal = of_record(event(record("INSERT", "a", 7), **{mark: "other"}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith(ENVELOPE)


UNVERSIONED = record("INSERT", "a", 7)
del UNVERSIONED["dynamodb"]["NewImage"]["version"]
FRACTION = record("INSERT", "a", 7)
FRACTION["dynamodb"]["NewImage"]["version"] = {"N": "7.5"}
UNVERSIONED_REMOVE = record("REMOVE", "a", 7)
del UNVERSIONED_REMOVE["dynamodb"]["OldImage"]["version"]
LONE_SURROGATE = record("INSERT", "\ud800", 7)
ENVELOPE = "not a stream record in an SNS envelope: "


@pytest.mark.parametrize(
    ("given", "reason", "item_id"),
    [
        pytest.param(UNVERSIONED, "the item has no whole number 'version'", "a", id="no version"),
        pytest.param(FRACTION, "the item has no whole number 'version'", "a", id="fraction"),
        pytest.param(
            UNVERSIONED_REMOVE, "the item has no whole number 'version'", "a", id="removed, no version"
        ),
        pytest.param(
            record("INSERT", "a", 7, eventSourceARN="arn:aws:dynamodb:r:1:table/items-2/stream/now"),
            "a change of another table: arn:aws:dynamodb:r:1:table/items-2/stream/now",
            None,
            id="another table",
        ),
        pytest.param(record("RENAME", "a", 7), "eventName is 'RENAME', not INSERT", "a", id="another event"),
        pytest.param(record("INSERT", "", 7), "the key 'id' is not of 1 to 2,048 bytes", None, id="no id"),
        pytest.param(record("INSERT", "é" * 1_025, 7), "the key 'id' is not of 1", None, id="long id"),
        pytest.param(LONE_SURROGATE, ENVELOPE + "UnicodeEncodeError", None, id="lone surrogate"),
        pytest.param([], ENVELOPE + "AttributeError", None, id="a list"),
        pytest.param({}, ENVELOPE + "KeyError('eventSourceARN')", None, id="an empty record"),
        pytest.param(record("INSERT", "a", 7, dynamodb=None), ENVELOPE + "TypeError", None, id="no change"),
    ],
)
def test_a_record_that_cannot_be_applied_is_refused_with_the_reason(
    given: Any, reason: str, item_id: str | None
) -> None:
    refusal = of_record(given, receives=4)
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith(reason)
    assert (refusal.message, refusal.receives) == ("5fea7756-0ea4-451a-a703-a558b933e274", 4)
    assert refusal.id == item_id
    assert (refusal.published, refusal.sent_at) == (
        "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        1_700_000_000_150,
    )


RECORD = json.dumps(record("INSERT", "a", 7))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="empty"),
        pytest.param("not JSON", id="not JSON"),
        pytest.param("[" * 100_000, id="too deep"),
        pytest.param(RECORD, id="raw delivery"),
        pytest.param(json.dumps(envelope("not JSON")), id="a message that is not JSON"),
        pytest.param(json.dumps(envelope(RECORD, Timestamp="yesterday")), id="not a time"),
        pytest.param(json.dumps(envelope(RECORD, Timestamp=None)), id="no time"),
        pytest.param(json.dumps(envelope(RECORD, MessageAttributes=["forwarder"])), id="odd attributes"),
    ],
)
def test_a_body_that_is_not_an_envelope_is_refused(body: str) -> None:
    refusal = decode(sqs(body), TABLE)
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith(ENVELOPE)


def test_a_reason_is_short_whatever_it_quotes() -> None:
    refusal = of_record(record("INSERT", "a", 7, eventSourceARN="x" * 10_000))
    assert isinstance(refusal, Refusal)
    assert len(refusal.reason) == MAX_REASON


@pytest.mark.parametrize("published", [7, None, {"a": 1}])
def test_an_id_of_sns_that_is_no_text_is_left_out(published: Any) -> None:
    refusal = decode(sqs(json.dumps(envelope("no record", MessageId=published))), TABLE)
    assert isinstance(refusal, Refusal)
    assert refusal.published is None


def test_a_message_without_its_system_attributes_is_refused() -> None:
    assert isinstance(decode(message("INSERT", "a", 7, Attributes={}), TABLE), Refusal)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
# A good record with any one place of it replaced by anything.
PLACES = [
    (),
    ("eventName",),
    ("eventSourceARN",),
    ("dynamodb",),
    ("dynamodb", "Keys"),
    ("dynamodb", "Keys", "id"),
    ("dynamodb", "Keys", "id", "S"),
    ("dynamodb", "NewImage"),
    ("dynamodb", "NewImage", "version"),
    ("dynamodb", "NewImage", "version", "N"),
    ("dynamodb", "NewImage", "writtenAt"),
    ("dynamodb", "NewImage", "writtenAt", "N"),
    ("pointer",),
]


@given(place=st.sampled_from(PLACES), value=JSON)
def test_no_record_makes_it_raise(place: tuple[str, ...], value: Any) -> None:
    given: Any = {"root": record("INSERT", "a", 7)}
    target, *path = given, "root", *place
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    assert isinstance(of_record(given["root"]), Delivery | Refusal)


@given(place=st.sampled_from(list(event({}))), value=JSON)
def test_no_event_makes_it_raise(place: str, value: Any) -> None:
    given = event(record("INSERT", "a", 7)) | {place: value}
    assert isinstance(of_record(given), Delivery | Refusal)


@given(place=st.sampled_from(list(envelope(RECORD))), value=JSON)
def test_no_envelope_makes_it_raise(place: str, value: Any) -> None:
    body = json.dumps({**envelope(RECORD), place: value})
    assert isinstance(decode(sqs(body), TABLE), Delivery | Refusal)


@given(body=st.binary().map(lambda raw: raw.decode(errors="surrogateescape")) | JSON.map(json.dumps))
def test_no_body_makes_it_raise(body: str) -> None:
    assert isinstance(decode(sqs(body), TABLE), Refusal)


@given(given=st.dictionaries(st.sampled_from(["MessageId", "Body", "Attributes", "Other"]), JSON))
def test_no_message_makes_it_raise(given: dict[str, Any]) -> None:
    assert isinstance(decode(given, TABLE), Refusal)


def test_an_item_read_from_the_table_is_the_put_that_the_stream_tells_of() -> None:
    read = image("a", 7, photo={"B": b"\x00\xff"}, photos={"BS": [b"\x01"]})
    streamed = record("INSERT", "a", 7)
    streamed["dynamodb"]["NewImage"] |= {"photo": {"B": "AP8="}, "photos": {"BS": ["AQ=="]}}
    delivery = of_record(streamed)
    assert isinstance(delivery, Delivery)
    assert from_item(read) == delivery.change


def test_an_item_without_a_version_is_no_change() -> None:
    assert from_item({"id": {"S": "a"}}) is None
    assert from_item({"id": {"S": "a"}, "version": {"S": "7"}}) is None
    assert from_item({"id": {"S": "a"}, "version": {"N": "7.5"}}) is None

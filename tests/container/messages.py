"""Messages as SQS gives them, built from what each forwarder sends."""

import json
from typing import Any

from consumer.pages import parse

TABLE = "items"
STREAM = "arn:aws:dynamodb:eu-south-1:000000000000:table/items/stream/2026-01-01T00:00:00.000"


def image(item_id: str, version: int, **attributes: Any) -> dict[str, Any]:
    return {
        "id": {"S": item_id},
        "version": {"N": str(version)},
        "writtenAt": {"N": "1700000000000"},
        **attributes,
    }


def record(event: str, item_id: str, version: int, **changes: Any) -> dict[str, Any]:
    """A stream record; `version` is the image's that counts (a REMOVE's old one)."""
    images = {
        "INSERT": {"NewImage": image(item_id, version)},
        "MODIFY": {"NewImage": image(item_id, version), "OldImage": image(item_id, version - 1)},
        "REMOVE": {"OldImage": image(item_id, version)},
    }
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventVersion": "1.1",
        "eventName": event,
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-south-1",
        "eventSourceARN": STREAM,
        "dynamodb": {
            "ApproximateCreationDateTime": 1700000000,
            "Keys": {"id": {"S": item_id}},
            **images.get(event, {}),
            "SequenceNumber": "4421584500000000017450439091",
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        **changes,
    }


def envelope(body: str, forwarder: str | None = "lambda", **changes: Any) -> dict[str, Any]:
    """SNS's envelope. A Pipe cannot set attributes: the envelope then has none."""
    attributes = {"forwarder": {"Type": "String", "Value": forwarder}} if forwarder else None
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-south-1:000000000000:changes",
        "Message": body,
        "Timestamp": "2023-11-14T22:13:20.125Z",
        "SignatureVersion": "1",
        **({"MessageAttributes": attributes} if attributes else {}),
        **changes,
    }


def event(given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What EventBridge makes of a record that a pipe puts on the bus, and its rule publishes as it is."""
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "change",
        "source": "statecast",
        "account": "000000000000",
        "time": "2023-11-14T22:13:20Z",
        "region": "eu-south-1",
        "resources": [],
        "detail": given,
        **changes,
    }


def sqs(body: str, receives: int = 1, sent_at: int = 1_700_000_000_150, **changes: Any) -> dict[str, Any]:
    return {
        "MessageId": "5fea7756-0ea4-451a-a703-a558b933e274",
        "ReceiptHandle": "handle",
        "Body": body,
        "Attributes": {
            "SentTimestamp": str(sent_at),
            "ApproximateFirstReceiveTimestamp": "1700000000200",
            "ApproximateReceiveCount": str(receives),
        },
        **changes,
    }


def message(event: str, item_id: str, version: int, forwarder: str | None = "lambda", **more: Any) -> Any:
    return sqs(json.dumps(envelope(json.dumps(record(event, item_id, version)), forwarder)), **more)


def given(answer: dict[str, Any]) -> dict[str, Any]:
    """What a client that gives changes makes of an answer to a Scan."""
    rest, changes = parse(json.dumps(answer))
    return {"ResponseMetadata": {"RetryAttempts": 0}, **rest, "Items": changes}

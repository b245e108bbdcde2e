"""What the forwarder's speed is compared with: its handler, and the same calls with nothing else.

`python forward.py handler|bare TOPIC_ARN BATCHES` publishes batches of 100 records, and tells the seconds of
CPU that it took; `python forward.py handler|boto3|client` imports one or the other, or boto3 and makes a
client, and tells the same.
"""

import json
import sys
import time
from importlib import import_module
from typing import Any

RECORDS, ENTRIES = 100, 10
FORWARDER = {"forwarder": {"DataType": "String", "StringValue": "lambda"}}


def records(batch: int) -> list[dict[str, Any]]:
    """A batch as Lambda gives it: updates of items of 300 bytes."""
    numbers = range(batch * RECORDS, (batch + 1) * RECORDS)
    return [
        {
            "eventID": str(number),
            "eventName": "MODIFY",
            "eventSource": "aws:dynamodb",
            "eventSourceARN": "arn:aws:dynamodb:eu-south-1:0:table/speed/stream/0",
            "dynamodb": {
                "Keys": {"id": {"S": f"{number:08}"}},
                "NewImage": _image(number, 2),
                "OldImage": _image(number, 1),
                "SequenceNumber": str(number),
            },
        }
        for number in numbers
    ]


def _image(number: int, version: int) -> dict[str, Any]:
    return {"id": {"S": f"{number:08}"}, "version": {"N": str(version)}, "value": {"S": "x" * 232}}


def bare(topic: str, batch: list[dict[str, Any]], sns: Any) -> None:
    """Publish a batch in tens."""
    for first in range(0, len(batch), ENTRIES):
        entries = [
            {"Id": str(number), "Message": json.dumps(record), "MessageAttributes": FORWARDER}
            for number, record in enumerate(batch[first : first + ENTRIES])
        ]
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)


def main(what: str, topic: str = "", batches: str = "0") -> None:
    """Run as a program."""
    began = time.process_time()
    module: Any = import_module(what if what == "handler" else "boto3")
    if what == "client":
        module.client("sns")
    imported = time.process_time() - began
    given = [records(batch) for batch in range(int(batches))]
    sns = module.client("sns") if given and what == "bare" else None
    began = time.process_time()
    for batch in given:
        if what == "handler":
            module.handle({"Records": batch}, None)
        else:
            bare(topic, batch, sns)
    print(json.dumps({"import_s": imported, "cpu_s": time.process_time() - began}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

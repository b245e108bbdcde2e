"""What a consumer's speed is compared with: the same calls, and nothing else.

`python bare.py receive QUEUE_URL` receives ten, parses, deletes ten, and tells at SIGTERM what came when;
`python bare.py scan TABLE SEGMENTS` reads a table once and tells how many seconds that took.
"""

import json
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3


def receive(queue: str) -> None:
    """Handle messages until SIGTERM, then print (id, version, received at) of each."""
    sqs: Any = boto3.client("sqs")
    came: list[tuple[str, int, int]] = []

    def tell(*_: object) -> None:
        print(json.dumps(came), flush=True)  # noqa: T201
        sys.exit(0)

    signal.signal(signal.SIGTERM, tell)
    while True:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        if messages := answer.get("Messages", []):
            now = time.time_ns() // 1_000_000
            for message in messages:
                image = json.loads(json.loads(message["Body"])["Message"])["dynamodb"].get("NewImage")
                if image:
                    came.append((image["id"]["S"], int(image["version"]["N"]), now))
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            sqs.delete_message_batch(QueueUrl=queue, Entries=entries)


def scan(table: str, segments: int) -> None:
    """Read all items, consistently, and print the seconds."""
    dynamodb = boto3.client("dynamodb")
    dynamodb.describe_table(TableName=table)

    def read(segment: int) -> int:
        pages = dynamodb.get_paginator("scan").paginate(
            TableName=table, ConsistentRead=True, Segment=segment, TotalSegments=segments
        )
        return sum(len(page["Items"]) for page in pages)

    began = time.monotonic()
    with ThreadPoolExecutor(segments) as threads:
        items = sum(threads.map(read, range(segments)))
    print(json.dumps({"items": items, "seconds": time.monotonic() - began}))  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(sys.argv[2])
    else:
        scan(sys.argv[2], int(sys.argv[3]))

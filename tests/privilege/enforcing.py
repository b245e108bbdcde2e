"""`python -m tests.privilege.enforcing`: ministack, which then names callers, actions and resources as AWS.

What it names otherwise would keep the program's roles from their jobs. The decisions stay its own.
"""

import json
import re
from contextvars import ContextVar
from typing import Any

from ministack.app import main
from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam
from ministack.services.dynamodb_streams import _decode_iterator

SESSION = re.compile(r"arn:.+:sts::(\d+):assumed-role/(.+)/[^/]+")
TASK = re.compile(r"(arn:.+:ecs:.+):task/(.+)/[^/]+")

resolve_key = iam_evaluator._resolve_condition_key
extract_action = iam_actions.extract_iam_action
extract_resource = iam_actions.extract_resource_arn


def key(name: str, context: Any) -> Any:
    """Of a role's session `aws:PrincipalArn` is the role's ARN, with its path. A task has a cluster.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
    """
    if name.lower() == "ecs:cluster" and (task := TASK.fullmatch(context.resource_arn)):
        return f"{task[1]}:cluster/{task[2]}"
    found = resolve_key(name, context)
    session = SESSION.fullmatch(found) if name.lower() == "aws:principalarn" and found else None
    role = iam._roles.get_scoped(session[1], None, session[2]) if session else None
    return role["Arn"] if role else found


def action(service: str, *request: Any) -> str | None:
    """A batch of messages is allowed by the action on one.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
    """
    found = extract_action(service, *request)
    return found.removesuffix("Batch") if found and service in ("sqs", "sns") else found


def resource(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
    """A stream's and a log's records, and a task, have a resource, though it is not named as others are.

    Of several tasks it is the first, since the emulator decides on one.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
    """
    found = extract_resource(service, method, path, headers, body, *rest)
    if service == "dynamodbstreams":
        asked = json.loads(body or b"{}")
        iterator = _decode_iterator(asked.get("ShardIterator", "")) or {}
        return asked.get("StreamArn") or iterator.get("arn") or found
    if service == "logs" and (stream := json.loads(body or b"{}").get("logStreamName")):
        return f"{found}:log-stream:{stream}"
    if service == "ecs":
        asked = json.loads(body or b"{}")
        if task := asked.get("task") or next(iter(asked.get("tasks", ())), None):
            return task if task.startswith("arn:") else f"{found.replace(':cluster/', ':task/')}/{task}"
    return found


if __name__ == "__main__":
    # What no request is behind, such as a pipe's delivery, goes within AWS, and there over TLS.
    iam_evaluator._request_origin = ContextVar("origin", default=("127.0.0.1", True))
    iam_evaluator._resolve_condition_key = key
    iam_actions.extract_iam_action = action
    iam_actions.extract_resource_arn = resource
    main()

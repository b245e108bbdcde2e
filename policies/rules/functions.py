"""Lambda functions: who calls them, what they read, and what becomes of what they cannot handle."""

from functools import lru_cache

from pulumi_policy import PolicyResource, Severity

from ..document import names_owner
from ..kinds import ALIAS, FUNCTION, FUNCTION_URL, INVOCATION, PERMISSION, QUEUE, STREAM_MAPPING
from ..queues import FAILURE_DESTINATIONS, queues_of, visibility_seconds
from ..rule import Fixes, rule
from ..stack import Resource, Stack, UndecidedError, is_set, known, value

DEFAULT_TIMEOUT_SECONDS = 3


@rule(Severity.HIGH, STREAM_MAPPING, answers="LambdaEventSourceSQSVisibilityTimeout")
def visibility_outlasts_function(mapping: PolicyResource, stack: Stack) -> Fixes:
    """Every queue that a function reads hides a message for six times the function's timeout.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    queues, functions = stack.referred(mapping, ("eventSourceArn",), QUEUE), _functions(stack, mapping)
    if not queues and ":sqs:" in str(known(mapping, "eventSourceArn")):
        raise UndecidedError("its queue is not in this stack")
    if queues and not functions:
        raise UndecidedError("its function is not in this stack")
    for queue in queues:
        timeout = max(float(value(each, "timeout") or DEFAULT_TIMEOUT_SECONDS) for each in functions)
        if visibility_seconds(queue) < 6 * timeout:
            yield f"set visibility_timeout_seconds of '{queue.name}' to at least {6 * timeout:g}."


@rule(
    Severity.MEDIUM,
    FUNCTION,
    answers="LambdaConcurrency LambdaDLQ LambdaAsyncFailureDestination CKV_AWS_115 CKV_AWS_116",
)
def function_is_bounded(function: PolicyResource, stack: Stack) -> Fixes:
    """Every function has a bound on its concurrency, or a destination for what it fails to handle."""
    bound = value(function, "reservedConcurrentExecutions")
    if (bound is None or bound < 0) and function.urn not in _with_failure_destination(stack):
        yield (
            "set reserved_concurrent_executions, a dead_letter_config, or an on_failure destination of its "
            "event source mapping or of an aws.lambda_.FunctionEventInvokeConfig; or give its queue one."
        )


@rule(
    Severity.CRITICAL,
    PERMISSION,
    answers="LambdaFunctionPublicAccessProhibited CKV_AWS_301 CKV_AWS_364 Lambda.1",
)
def function_names_its_callers(permission: Resource) -> Fixes:
    """No permission lets everyone call a function, or a service on just anyone's behalf.

    https://docs.aws.amazon.com/lambda/latest/dg/permissions-function-services.html
    """
    caller = str(value(permission, "principal"))
    # Who may call a URL is the next rule's question.
    limits = ("sourceArn", "sourceAccount", "principalOrgId", "functionUrlAuthType")
    is_limited = any(
        is_set(permission, (limit,)) and names_owner(str(known(permission, limit))) for limit in limits
    )
    if (caller == "*" or caller.endswith(".amazonaws.com")) and not is_limited:
        yield f"set source_arn to the ARN of what {caller} calls for, or name another principal."


@rule(Severity.HIGH, FUNCTION_URL, answers="LambdaFunctionUrlAuth CKV_AWS_258")
def function_url_is_authenticated(url: Resource) -> Fixes:
    """No URL of a function is open to whoever knows it."""
    if value(url, "authorizationType") != "AWS_IAM":
        yield "set authorization_type to AWS_IAM."


@lru_cache(maxsize=1)
def _with_failure_destination(stack: Stack) -> set[str]:
    redriven = queues_of(stack).redriven
    senders = [
        sender
        for kind, path in FAILURE_DESTINATIONS
        if kind in (FUNCTION, INVOCATION, STREAM_MAPPING)
        for sender in stack.of_type(kind)
        if is_set(sender, path)
    ]
    senders += [
        mapping
        for mapping in stack.of_type(STREAM_MAPPING)
        for queue in stack.referred(mapping, ("eventSourceArn",), QUEUE)
        if queue.urn in redriven
    ]
    return {
        function.urn
        for sender in senders
        for function in ([sender] if sender.resource_type == FUNCTION else _functions(stack, sender))
    }


def _functions(stack: Stack, resource: PolicyResource) -> list[PolicyResource]:
    """The stack's functions that a resource's `functionName` stands for, directly or through an alias."""
    aliases = stack.referred(resource, ("functionName",), ALIAS)
    named_by = [resource, *aliases]
    return [each for by in named_by for each in stack.referred(by, ("functionName",), FUNCTION)]

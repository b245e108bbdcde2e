"""How a function becomes a policy that never fails silently."""

import inspect
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pulumi_policy import (
    PolicyResource,
    ReportViolation,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from .stack import Stack


class Violation(NamedTuple):
    """What is wrong with one resource, and the fix."""

    resource: PolicyResource
    message: str


def stack_rule(
    severity: Severity,
) -> Callable[[Callable[[Stack], Iterable[Violation]]], StackValidationPolicy]:
    """Make a policy of a function from a stack to its violations: its name and docstring are the policy's.

    The engine asks once every resource is planned (on `up`: made), so the gate is `preview`.
    """

    def policy(rule: Callable[[Stack], Iterable[Violation]]) -> StackValidationPolicy:
        name = rule.__name__.replace("_", "-")

        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            try:
                for violation in rule(Stack(args.resources)):
                    report(violation.message, violation.resource.urn)
            except Exception as error:  # noqa: BLE001  left alone, an unknown value would only be an advisory
                reason = getattr(error, "message", None) or str(error)
                report(f"Rule {name} failed and proves nothing: {type(error).__name__}: {reason}", None)

        return StackValidationPolicy(name, inspect.getdoc(rule) or name, validate, severity=severity)

    return policy

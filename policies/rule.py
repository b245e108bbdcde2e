"""How a function becomes a policy that never fails silently."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from .stack import Resource, Stack, UndecidedError

Fixes = Iterator[str]
"""For each fault of a resource, what to change."""
Settings = dict[str, dict[str, Any]]
"""The JSON schema of each setting of a rule, with its default."""


class Planned(Protocol):
    """A resource as a remedy gets it, to change its inputs in place, which the SDK's types do not allow."""

    resource_type: str
    props: MutableMapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """What is asked of each resource of some types."""

    name: str
    asks: str
    severity: Severity
    types: tuple[str, ...]
    answers: tuple[str, ...]  # the ids of cdk-nag, checkov and Security Hub that it answers
    settings: Settings
    find: Callable[..., Fixes]  # takes a resource, its stack if `sees_stack`, and the settings by name
    sees_stack: bool
    remedy: Callable[..., None] | None  # takes one `Planned`, and the settings by name

    def judge(
        self, resource: Resource, config: Mapping[str, Any], *stack: Stack
    ) -> Iterator[str | UndecidedError]:
        """What is to be changed of a resource, and why there is no telling, if so, of all or of the rest."""
        try:
            for fix in self.find(resource, *stack, **self.configured(config)):
                yield f"'{resource.name}': {fix}"
        except UndecidedError as undecided:
            yield undecided

    def judge_all(
        self, stack: Stack, config: Mapping[str, Any]
    ) -> Iterator[tuple[Resource, str | UndecidedError]]:
        """`judge` of every resource of a stack."""
        for resource in stack.of_type(*self.types):
            for found in self.judge(resource, config, *([stack] if self.sees_stack else [])):
                yield resource, found

    def configured(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The rule's settings, as given or by default. Raises ValueError for one that it has not."""
        if unknown := config.keys() - self.settings.keys():
            known = f"it has {', '.join(self.settings)}" if self.settings else "it has none"
            raise ValueError(f"{', '.join(sorted(unknown))} is not a setting of {self.name}: {known}")
        return {name: config.get(name, schema["default"]) for name, schema in self.settings.items()}


def rule(
    severity: Severity,
    *types: str,
    answers: str = "",
    settings: Settings | None = None,
    remedy: Callable[..., None] | None = None,
) -> Callable[[Callable[..., Fixes]], Rule]:
    """Make a rule of a function: its name and the first words of its docstring are the rule's.

    A function from one resource is asked before that is made, on `up` as on `preview`, and a resource with a
    fault is not made. A function that takes the `stack`, too, is asked once every resource is planned (on
    `up`: made), so its gate is `preview`.
    """

    def make(find: Callable[..., Fixes]) -> Rule:
        name, asks = find.__name__.replace("_", "-"), (inspect.getdoc(find) or "").partition("\n\n")[0]
        sees_stack = "stack" in inspect.signature(find).parameters
        return Rule(
            name, asks, severity, types, tuple(answers.split()), settings or {}, find, sees_stack, remedy
        )

    return make


def policies(rules: Iterable[Rule]) -> list[Policy]:
    """What a `PolicyPack` takes of these rules, with a policy that names what they cannot decide."""
    rules = list(rules)
    return [
        *(_on_stack(rule) if rule.sees_stack else _on_resource(rule) for rule in rules),
        _undecided(rules),
    ]


def _on_resource(rule: Rule) -> Policy:
    def judge(args: ResourceValidationArgs) -> list[str]:
        judged = rule.judge(args, args.get_config()) if args.resource_type in rule.types else ()
        return [found for found in judged if isinstance(found, str)]  # the policy `undecided` says the rest

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        with _failing_aloud(rule.name, report):
            for fix in judge(args):
                report(fix, args.urn)

    def remediate(args: ResourceValidationArgs) -> Any:
        try:
            if not rule.remedy or not judge(args):
                return None
            rule.remedy(args, **rule.configured(args.get_config()))
        except Exception:  # noqa: BLE001  the validation that follows fails aloud
            return None
        return args.props

    remedy = remediate if rule.remedy else None
    return ResourceValidationPolicy(validate=validate, remediate=remedy, **_metadata(rule))


def _on_stack(rule: Rule) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        with _failing_aloud(rule.name, report):
            for resource, fix in rule.judge_all(Stack(args.resources), args.get_config()):
                if isinstance(fix, str):
                    report(fix, resource.urn)

    return StackValidationPolicy(validate=validate, **_metadata(rule))


def _undecided(rules: list[Rule]) -> Policy:
    names = {"type": "integer", "minimum": 1, "default": 3}

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        stack, shown = Stack(args.resources), int(args.get_config().get("names", names["default"]))
        waiting: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for rule in rules:
            undecided: dict[str, list[str]] = defaultdict(list)
            with _failing_aloud(rule.name, report):
                for resource, fix in rule.judge_all(stack, {}):
                    if isinstance(fix, UndecidedError):
                        undecided[str(fix)].append(resource.name)
            for reason, found in undecided.items():
                waiting[reason, *sorted(found)].append(rule.name)
        for (reason, *found), undecided_rules in waiting.items():
            more = f" and {len(found) - shown} more" if len(found) > shown else ""
            report(f"{reason}: {', '.join(found[:shown])}{more} ({', '.join(undecided_rules)})", None)

    return StackValidationPolicy(
        "undecided",
        "What a rule cannot decide yet. A rule on one resource decides on `up`, before the resource is made.",
        validate,
        EnforcementLevel.ADVISORY,
        PolicyConfigSchema({"names": names}),
        severity=Severity.LOW,
    )


def _metadata(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "description": rule.asks,
        "severity": rule.severity,
        "tags": list(rule.answers),
        "config_schema": PolicyConfigSchema(rule.settings) if rule.settings else None,
    }


@contextmanager
def _failing_aloud(name: str, report: ReportViolation) -> Generator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  left alone, an unknown value would only be an advisory
        reason = getattr(error, "message", None) or str(error)
        report(f"Rule {name} failed and proves nothing: {type(error).__name__}: {reason}", None)

"""IAM policy documents."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from pulumi_policy import PolicyResource

from .kinds import KEY, KEY_POLICY, QUEUE, QUEUE_POLICY, ROLE, TOPIC, TOPIC_POLICY
from .stack import Resource, Stack, is_set, value

IDENTITY_POLICIES = (
    ROLE,
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/groupPolicy:GroupPolicy",
    "aws:iam/userPolicy:UserPolicy",
)
"""What says what a role, a group or a user may do."""

RESOURCE_POLICIES = (QUEUE_POLICY, TOPIC_POLICY, QUEUE, TOPIC)
"""What says who may use a queue or a topic: a policy of its own, or a property of theirs."""

NAMED_OWNER = re.compile(
    r"[^*?$]*"  # without a wildcard: an account, a bucket's ARN
    r"|arn:([^:]*:){3}[^*?$:]+:.*"  # an ARN with an account
    r"|(?!arn:)[^*?$:/]+(/|:[^*?$:/]+[:/]).*"  # a path of an organisation (o-1/*), a subject (repo:owner/*)
)


class Statement:
    """One statement of a policy document."""

    def __init__(self, statement: Mapping[str, Any]) -> None:
        self.allows = statement.get("Effect") == "Allow"
        self._excepted = listed(statement.get("NotAction"))
        is_for_the_rest = bool({"NotPrincipal", "NotResource"} & statement.keys())
        self._denies = not self.allows and not is_for_the_rest
        self.actions = listed(statement.get("Action")) or (["*"] if "NotAction" in statement else [])
        self.resources = listed(statement.get("Resource")) or (["*"] if "NotResource" in statement else [])
        principal = statement.get("Principal", "*" if "NotPrincipal" in statement else {})
        self._principals = {"AWS": "*"} if principal == "*" else principal
        self._conditions = [
            (operator, key.lower(), [str(each).lower() for each in listed(values)])
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        ]

    def principals(self, kind: str) -> list[str]:
        """Who is allowed or denied, of a kind: `AWS` or `Service`."""
        return listed(self._principals.get(kind))

    @property
    def is_for_anyone(self) -> bool:
        """Whether it allows or denies everyone."""
        return "*" in self.principals("AWS")

    def is_for(self, service: str) -> bool:
        """Whether it allows or denies a service, or everyone."""
        return self.is_for_anyone or service in self.principals("Service")

    def covers(self, action: str) -> bool:
        """Whether the action is one of the statement's."""

        def matches(patterns: list[Any]) -> bool:
            return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

        return matches(self.actions) and not matches(self._excepted)

    def is_on(self, name: str) -> bool:
        """Whether the queue or the topic of a name is one of its resources, or it names none."""
        named = [resource.rpartition(":")[2] for resource in self.resources]
        return not named or any(fnmatchcase(name, each) for each in named)

    def is_met_by(self, key: str, given: str) -> bool:
        """Whether no condition on a key (in lower case) rules out that value of it."""
        return all(
            any(fnmatchcase(given.lower(), each) for each in values) != ("Not" in operator)
            for operator, on, values in self._conditions
            if on == key and operator.startswith(("String", "Arn"))
        )

    def is_limited_by(self, *keys: str) -> bool:
        """Whether a condition names values of one of these keys (in lower case) and no other will do."""
        return any(
            key in keys
            and operator.startswith(("String", "Arn", "ForAnyValue:String"))
            and not ("Not" in operator or "IfExists" in operator)
            and all(map(names_owner, values))
            for operator, key, values in self._conditions
        )

    @property
    def denies_plain_http(self) -> bool:
        """Whether it denies everyone what does not come over TLS, on no further condition."""
        on_plain_http = self._conditions == [("Bool", "aws:securetransport", ["false"])]
        return on_plain_http and self.is_for_anyone and self._denies

    @property
    def denies_in_any_case(self) -> bool:
        """Whether it denies its principals its actions on no condition."""
        return not self._conditions and self._denies


def statements(resource: Resource, *path: str | int) -> list[Statement]:
    """The statements of the document at a path. Raises UndecidedError where it is not known yet."""
    return [Statement(each) for each in listed(value(resource, *path, "Statement"))]


def allowed_by(policy: Resource) -> Iterator[Statement]:
    """What one of IDENTITY_POLICIES allows. Raises as `statements` does."""
    inline = range(len(value(policy, "inlinePolicies") or ()))
    for path in [("policy",), *(("inlinePolicies", number, "policy") for number in inline)]:
        yield from (each for each in statements(policy, *path) if each.allows)


@lru_cache(maxsize=1)
def policies_of(stack: Stack) -> dict[str, list[PolicyResource]]:
    """For each queue, topic and key, by URN, what holds its policy: itself, or a resource of its own."""
    found: dict[str, list[PolicyResource]] = defaultdict(list)
    for target in stack.of_type(QUEUE, TOPIC, KEY):
        if is_set(target, ("policy",)):
            found[target.urn].append(target)
    owned = (
        (QUEUE_POLICY, "queueUrl", QUEUE),
        (TOPIC_POLICY, "arn", TOPIC),
        (KEY_POLICY, "keyId", KEY),
    )
    for kind, path, target_kind in owned:
        for policy in stack.of_type(kind):
            for target in stack.referred(policy, (path,), target_kind):
                found[target.urn].append(policy)
    return found


def names_owner(value: str) -> bool:
    """Whether a condition's value says whose it is: what follows may be wildcards or variables."""
    return bool(NAMED_OWNER.fullmatch(value))


def listed(values: Any) -> list[Any]:
    """A document's values, of which a single one may stand alone."""
    if isinstance(values, list):
        return values  # pyright: ignore[reportUnknownVariableType]
    return [] if values is None else [values]

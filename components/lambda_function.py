"""A function of `functions/`, with its role and its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.policy_document import Statement, allow
from components.service_role import ServiceRole, ServiceRoleArgs

FUNCTIONS = Path(__file__).parents[1] / "functions"
# All that a version holds; tags and concurrency are the function's own.
VERSIONED = [
    *("architectures", "code", "environment", "handler", "loggingConfig", "memorySize", "role", "runtime"),
    *("snapStart", "timeout"),
]


@dataclass(frozen=True, kw_only=True)
class LambdaFunctionArgs:
    """What a LambdaFunction is made of."""

    folder: str  # its modules, a folder of `functions/`
    environment: Mapping[str, pulumi.Input[str]]
    statements: Sequence[Statement]  # all that it may do, besides writing its own log
    memory: pulumi.Input[int]  # MB
    timeout_seconds: int
    log_retention_days: pulumi.Input[int]  # how long its log is kept
    texts: Mapping[str, pulumi.Input[str]] | None = None  # more files, by name
    role_path: pulumi.Input[str] | None = None  # where in IAM its role is; None: at the root
    module: str = "handler"  # the one of its modules whose `handle` is called
    reserved_concurrency: int | None = None  # how many may run at once; None: as many as the account allows
    snap_start: bool = False  # regions: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html


class LambdaFunction(pulumi.ComponentResource):
    """A function of one published version, that writes to its own log group.

    What calls it depends on this component: the policy of its role is then in place.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    version: pulumi.Output[str]
    log_group_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: LambdaFunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:LambdaFunction", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs", retention_in_days=args.log_retention_days, opts=child_opts
        )
        role = ServiceRole(
            f"{name}-role",
            ServiceRoleArgs(
                service="lambda.amazonaws.com",
                statements=[
                    *args.statements,
                    allow(
                        ["logs:CreateLogStream", "logs:PutLogEvents"], pulumi.Output.format("{0}:*", logs.arn)
                    ),
                ],
                path=args.role_path,
            ),
            opts=child_opts,
        )
        # A version with a snapshot is billed for as long as it exists, and an updated function keeps its old
        # ones. So a change makes a new function, of one version, and then deletes the old one whole; what
        # calls it moves to the new.
        function = aws.lambda_.Function(
            name,
            runtime="python3.13",
            architectures=["arm64"],
            handler=f"{args.module}.handle",
            code=_source(FUNCTIONS / args.folder, args.texts),
            memory_size=args.memory,
            timeout=args.timeout_seconds,
            role=role.arn,
            environment={"variables": args.environment} if args.environment else None,
            logging_config={"log_format": "JSON", "log_group": logs.name},
            reserved_concurrent_executions=args.reserved_concurrency,
            publish=True,
            snap_start={"apply_on": "PublishedVersions"} if args.snap_start else None,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role], replace_on_changes=VERSIONED),
        )

        self.arn = function.arn
        self.name = function.name
        self.version = function.version
        self.log_group_name = logs.name
        self.register_outputs({"arn": self.arn})


def _source(folder: Path, texts: Mapping[str, pulumi.Input[str]] | None) -> pulumi.Input[pulumi.Archive]:
    # Modules alone: a __pycache__ would change the archive's hash, and with it the function. As seen from the
    # program, which may be another one: an absolute path would differ from one checkout to the next.
    modules = {module.name: pulumi.FileAsset(relpath(module)) for module in sorted(folder.glob("*.py"))}
    if not modules:
        raise ValueError(f"{folder} holds no module: give a folder of functions/, beside components/")
    if not texts:
        return pulumi.AssetArchive({**modules})
    return pulumi.Output.all(**texts).apply(
        lambda known: pulumi.AssetArchive(
            {**modules, **{name: pulumi.StringAsset(text) for name, text in known.items()}}
        )
    )

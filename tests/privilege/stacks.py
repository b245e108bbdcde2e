"""The stacks that go to AWS, evaluated with mocks that make ARNs as AWS does."""

from functools import cache
from typing import Any

from pulumi.runtime import mocks

from tests.program.conftest import (
    ACCOUNT,
    REGION,
    Cloud,
    Evaluation,
    evaluate,
    run_program,
    stack_configuration,
)

ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ARNS = {
    "aws:dynamodb/table:Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}",
    "aws:cloudwatch/logGroup:LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}",
    "aws:ecr/repository:Repository": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{{}}",
    "aws:ecs/cluster:Cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{{}}",
    "aws:kinesis/stream:Stream": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{{}}",
    "aws:lambda/function:Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "aws:cloudwatch/eventBus:EventBus": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{{}}",
    "aws:cloudwatch/eventRule:EventRule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{}}",
    "aws:iam/role:Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
}
TABLE = ARNS["aws:dynamodb/table:Table"].format("statecast-state")


class Named(Cloud):
    """ARNs as AWS makes them."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made, outputs = super().new_resource(args)
        if args.typ in ARNS:
            outputs["arn"] = ARNS[args.typ].format(args.inputs.get("name", args.name))
        if args.typ == "aws:dynamodb/table:Table":
            # Its label is a time; the linter takes ARNs apart at every colon.
            outputs["streamArn"] = f"{outputs['arn']}/stream/label"
        return made, outputs


@cache
def evaluated(stack: str) -> Evaluation:
    return evaluate(run_program, stack_configuration(stack), stack, cloud=Named())

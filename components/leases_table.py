"""The table by which tasks share out the slots."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class LeasesTableArgs:
    """What a LeasesTable is made of."""

    deletion_protection: pulumi.Input[bool]  # refuse to delete the table


class LeasesTable(pulumi.ComponentResource):
    """One item per slot: who holds it, until when, and how its replica is."""

    table_name: pulumi.Output[str]
    table_arn: pulumi.Output[str]

    def __init__(self, name: str, args: LeasesTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:LeasesTable", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        table = aws.dynamodb.Table(
            name,
            billing_mode="PAY_PER_REQUEST",
            attributes=[{"name": "slot", "type": "S"}],
            hash_key="slot",
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": True},
            deletion_protection_enabled=args.deletion_protection,
            opts=child_opts,
        )

        self.table_name = table.name
        self.table_arn = table.arn
        self.register_outputs({"tableName": table.name, "tableArn": table.arn})

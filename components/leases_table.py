"""The table by which tasks share out the slots."""

import pulumi
import pulumi_aws as aws


class LeasesTable(pulumi.ComponentResource):
    """One item per slot: who holds it, until when, and how its replica is."""

    table_name: pulumi.Output[str]
    table_arn: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:LeasesTable", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        # No recovery and no protection: leases are worth nothing once their tasks are gone.
        table = aws.dynamodb.Table(
            name,
            billing_mode="PAY_PER_REQUEST",
            attributes=[{"name": "slot", "type": "S"}],
            hash_key="slot",
            server_side_encryption={"enabled": True},
            opts=child_opts,
        )

        self.table_name = table.name
        self.table_arn = table.arn
        self.register_outputs({"tableName": table.name, "tableArn": table.arn})

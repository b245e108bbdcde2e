"""The table whose items every task holds."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class StateTableArgs:
    """What a StateTable is made of."""

    deletion_protection: pulumi.Input[bool]  # refuse to delete the table


class StateTable(pulumi.ComponentResource):
    """A table on demand, with the stream that forwarders read and with recovery to any point in time."""

    table_name: pulumi.Output[str]
    table_arn: pulumi.Output[str]
    stream_label: pulumi.Output[str]  # the stream's name among those that the table had
    stream_arn: pulumi.Output[str]  # changes when the stream is switched off and on again

    def __init__(self, name: str, args: StateTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:StateTable", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        table = aws.dynamodb.Table(
            name,
            billing_mode="PAY_PER_REQUEST",
            attributes=[{"name": "id", "type": "S"}],
            hash_key="id",
            stream_enabled=True,
            # A delete is known by its old image alone.
            stream_view_type="NEW_AND_OLD_IMAGES",
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": True},
            deletion_protection_enabled=args.deletion_protection,
            opts=child_opts,
        )

        self.table_name = table.name
        self.table_arn = table.arn
        self.stream_label = table.stream_label
        self.stream_arn = table.stream_arn
        self.register_outputs({"tableName": table.name, "tableArn": table.arn, "streamArn": table.stream_arn})

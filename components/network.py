"""Where the tasks run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

RANGE = "10.0.0.0/16"
# About 4,000 tasks in each zone.
PRIVATE_RANGES = ("10.0.0.0/20", "10.0.16.0/20")
PUBLIC_RANGE = "10.0.32.0/24"
ANYWHERE = "0.0.0.0/0"
# What a task needs beside DynamoDB and S3: its slot, its image, its log.
SERVICES = ("sqs", "ecr.api", "ecr.dkr", "logs")


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """What a Network is made of."""

    kind: Literal["endpoints", "nat", "existing"]
    """How tasks reach AWS: by interface endpoints, by a NAT gateway, or as an existing VPC lets them."""
    region: str
    """The region, whose zones `a` and `b` are used."""
    vpc_id: str = ""
    """The existing VPC."""
    subnet_ids: Sequence[str] = ()
    """The existing VPC's subnets for the tasks."""


class Network(pulumi.ComponentResource):
    """Two private subnets and a security group for tasks that nobody calls and that call HTTPS only.

    `endpoints` has no way to the internet; each interface endpoint is billed per zone and hour. `nat` has one
    gateway for both zones, which costs less than the endpoints and stands or falls with its zone.
    """

    subnet_ids: Sequence[pulumi.Input[str]]
    """The subnets for the tasks."""
    task_security_group_id: pulumi.Output[str]
    """The security group for the tasks."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:Network", name, None, opts)
        existing = args.kind == "existing"
        if existing != bool(args.vpc_id) or existing != bool(args.subnet_ids):
            raise ValueError(
                f"kind is {args.kind!r}, vpc_id {args.vpc_id!r} and subnet_ids {list(args.subnet_ids)}: "
                "give vpc_id and subnet_ids with kind 'existing', and with no other"
            )
        self._name = name
        self._child_opts = pulumi.ResourceOptions(parent=self)

        if existing:
            vpc_id: pulumi.Input[str] = args.vpc_id
            self.subnet_ids = args.subnet_ids
        else:
            # Interface endpoints answer to the services' own names, which takes both kinds of DNS.
            vpc_id = aws.ec2.Vpc(
                name,
                cidr_block=RANGE,
                enable_dns_support=True,
                enable_dns_hostnames=True,
                opts=self._child_opts,
            ).id
            self.subnet_ids = [
                self._subnet(f"private-{zone}", vpc_id, cidr_block, args.region + zone)
                for zone, cidr_block in zip("ab", PRIVATE_RANGES, strict=True)
            ]

        self.task_security_group_id = aws.ec2.SecurityGroup(
            f"{name}-tasks",
            vpc_id=vpc_id,
            description="Tasks call AWS; nobody calls them.",
            ingress=[],
            egress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": [ANYWHERE]}],
            opts=self._child_opts,
        ).id

        if not existing:
            routes = self._routes("private", vpc_id, self.subnet_ids)
            for service in ("dynamodb", "s3"):
                aws.ec2.VpcEndpoint(
                    f"{name}-{service}",
                    vpc_id=vpc_id,
                    service_name=f"com.amazonaws.{args.region}.{service}",
                    vpc_endpoint_type="Gateway",
                    route_table_ids=[routes.id],
                    opts=self._child_opts,
                )
            if args.kind == "endpoints":
                self._interface_endpoints(vpc_id, args.region)
            else:
                self._nat_gateway(vpc_id, args.region + "a", routes)

        self.register_outputs(
            {"subnetIds": self.subnet_ids, "taskSecurityGroupId": self.task_security_group_id}
        )

    def _subnet(self, role: str, vpc_id: pulumi.Input[str], cidr_block: str, zone: str) -> pulumi.Output[str]:
        return aws.ec2.Subnet(
            f"{self._name}-{role}",
            vpc_id=vpc_id,
            cidr_block=cidr_block,
            availability_zone=zone,
            opts=self._child_opts,
        ).id

    def _routes(
        self, role: str, vpc_id: pulumi.Input[str], subnet_ids: Sequence[pulumi.Input[str]]
    ) -> aws.ec2.RouteTable:
        routes = aws.ec2.RouteTable(f"{self._name}-{role}", vpc_id=vpc_id, opts=self._child_opts)
        for number, subnet_id in enumerate(subnet_ids):
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{role}-{number}",
                route_table_id=routes.id,
                subnet_id=subnet_id,
                opts=self._child_opts,
            )
        return routes

    def _interface_endpoints(self, vpc_id: pulumi.Input[str], region: str) -> None:
        security_group = aws.ec2.SecurityGroup(
            f"{self._name}-endpoints",
            vpc_id=vpc_id,
            description="Tasks call the endpoints.",
            ingress=[
                {
                    "protocol": "tcp",
                    "from_port": 443,
                    "to_port": 443,
                    "security_groups": [self.task_security_group_id],
                }
            ],
            egress=[],
            opts=self._child_opts,
        )
        for service in SERVICES:
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service.replace('.', '-')}",
                vpc_id=vpc_id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.subnet_ids,
                security_group_ids=[security_group.id],
                opts=self._child_opts,
            )

    def _nat_gateway(self, vpc_id: pulumi.Input[str], zone: str, private: aws.ec2.RouteTable) -> None:
        internet = aws.ec2.InternetGateway(f"{self._name}-internet", vpc_id=vpc_id, opts=self._child_opts)
        subnet_id = self._subnet("public", vpc_id, PUBLIC_RANGE, zone)
        public = self._routes("public", vpc_id, [subnet_id])
        address = aws.ec2.Eip(f"{self._name}-nat", domain="vpc", opts=self._child_opts)
        gateway = aws.ec2.NatGateway(
            f"{self._name}-nat",
            allocation_id=address.id,
            subnet_id=subnet_id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[internet]),
        )
        aws.ec2.Route(
            f"{self._name}-public-out",
            route_table_id=public.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=internet.id,
            opts=self._child_opts,
        )
        aws.ec2.Route(
            f"{self._name}-private-out",
            route_table_id=private.id,
            destination_cidr_block=ANYWHERE,
            nat_gateway_id=gateway.id,
            opts=self._child_opts,
        )

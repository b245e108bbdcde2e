"""Where the tasks run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

RANGE = "10.0.0.0/16"
# About 4,000 tasks in each zone. A zone has its own, so that a subnet can be made beside the one it replaces.
PRIVATE_RANGES = {
    "a": "10.0.0.0/20",
    "b": "10.0.16.0/20",
    "c": "10.0.48.0/20",
    "d": "10.0.64.0/20",
    "e": "10.0.80.0/20",
    "f": "10.0.96.0/20",
}
PUBLIC_RANGE = "10.0.32.0/24"
ANYWHERE = "0.0.0.0/0"
# A task's table and its image's layers; these endpoints are free.
GATEWAY_SERVICES = ("dynamodb", "s3")
# A task's image, its log; and its slot.
INTERFACE_SERVICES = ("ecr.api", "ecr.dkr", "logs")
QUEUE_SERVICE = "sqs"


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """What a Network is made of."""

    kind: Literal["endpoints", "nat", "existing"]  # the tasks' way to AWS
    region: str
    zones: Sequence[str]  # two of the region's, by their letters; a NAT gateway is in the first
    queues: bool  # tasks have queues
    vpc_id: str = ""  # the existing VPC
    subnet_ids: Sequence[str] = ()  # its subnets for the tasks


class Network(pulumi.ComponentResource):
    """Two private subnets and a security group for tasks that nobody calls and that call HTTPS only.

    `endpoints` has no way to the internet; each interface endpoint is billed per zone and hour. `nat` has one
    gateway for both zones, which costs less than the endpoints and stands or falls with its zone. `existing`
    makes the security group alone, in a VPC that leads to AWS by itself.
    """

    subnet_ids: Sequence[pulumi.Input[str]]
    task_security_group_id: pulumi.Output[str]

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
        self._vpc_id = pulumi.Output.from_input(args.vpc_id) if existing else self._vpc()

        self.task_security_group_id = aws.ec2.SecurityGroup(
            f"{name}-tasks",
            vpc_id=self._vpc_id,
            description="Tasks call AWS; nobody calls them.",
            ingress=[],
            egress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": [ANYWHERE]}],
            opts=self._child_opts,
        ).id
        if existing:
            self.subnet_ids = args.subnet_ids
        else:
            self.subnet_ids = [
                self._subnet(f"private-{zone}", PRIVATE_RANGES[zone], args.region + zone)
                for zone in args.zones
            ]
            routes = self._routes("private", self.subnet_ids)
            for service in GATEWAY_SERVICES:
                self._gateway_endpoint(service, args.region, routes)
            if args.kind == "endpoints":
                queues = [QUEUE_SERVICE] if args.queues else []
                self._interface_endpoints(args.region, [*INTERFACE_SERVICES, *queues])
            else:
                self._nat_gateway(args.region + args.zones[0], routes)

        self.register_outputs(
            {"subnetIds": self.subnet_ids, "taskSecurityGroupId": self.task_security_group_id}
        )

    def _vpc(self) -> pulumi.Output[str]:
        # Interface endpoints answer to the services' own names, which takes both kinds of DNS.
        return aws.ec2.Vpc(
            self._name,
            cidr_block=RANGE,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            opts=self._child_opts,
        ).id

    def _subnet(
        self, role: str, cidr_block: str, zone: str, *, delete_before_replace: bool = False
    ) -> pulumi.Output[str]:
        return aws.ec2.Subnet(
            f"{self._name}-{role}",
            vpc_id=self._vpc_id,
            cidr_block=cidr_block,
            availability_zone=zone,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=delete_before_replace),
        ).id

    def _routes(self, role: str, subnet_ids: Sequence[pulumi.Input[str]]) -> aws.ec2.RouteTable:
        routes = aws.ec2.RouteTable(f"{self._name}-{role}", vpc_id=self._vpc_id, opts=self._child_opts)
        for number, subnet_id in enumerate(subnet_ids):
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{role}-{number}",
                route_table_id=routes.id,
                subnet_id=subnet_id,
                opts=self._child_opts,
            )
        return routes

    def _gateway_endpoint(self, service: str, region: str, routes: aws.ec2.RouteTable) -> None:
        aws.ec2.VpcEndpoint(
            f"{self._name}-{service}",
            vpc_id=self._vpc_id,
            service_name=f"com.amazonaws.{region}.{service}",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            opts=self._child_opts,
        )

    def _interface_endpoints(self, region: str, services: Sequence[str]) -> None:
        tasks = [self.task_security_group_id]
        security_group = aws.ec2.SecurityGroup(
            f"{self._name}-endpoints",
            vpc_id=self._vpc_id,
            description="Tasks call the endpoints.",
            ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "security_groups": tasks}],
            egress=[],
            opts=self._child_opts,
        )
        for service in services:
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service.replace('.', '-')}",
                vpc_id=self._vpc_id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.subnet_ids,
                security_group_ids=[security_group.id],
                opts=self._child_opts,
            )

    def _nat_gateway(self, zone: str, private: aws.ec2.RouteTable) -> None:
        internet = aws.ec2.InternetGateway(
            f"{self._name}-internet", vpc_id=self._vpc_id, opts=self._child_opts
        )
        # In another zone it has the same range, and its gateway the same address.
        subnet_id = self._subnet("public", PUBLIC_RANGE, zone, delete_before_replace=True)
        public = self._routes("public", [subnet_id])
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

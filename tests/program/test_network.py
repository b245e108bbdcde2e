import json
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from itertools import combinations
from typing import Any

import pytest

from components.network import PRIVATE_RANGES, PUBLIC_RANGE, RANGE, Network, NetworkArgs
from tests.program.conftest import REGION, Evaluation, evaluate, run_program, stack_configuration

ENDPOINT, SECURITY_GROUP = "aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/securityGroup:SecurityGroup"
SUBNET, ROUTE, ROUTES = "aws:ec2/subnet:Subnet", "aws:ec2/route:Route", "aws:ec2/routeTable:RouteTable"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
VPC = "aws:ec2/vpc:Vpc"
HTTPS = {"protocol": "tcp", "fromPort": 443, "toPort": 443}
PRIVATE_SUBNETS = ["net-private-a-id", "net-private-b-id"]


def network(*, zones: Sequence[str] = ("a", "b"), **args: Any) -> tuple[Network, Evaluation]:
    made: list[Network] = []
    evaluation = evaluate(
        lambda: made.append(
            Network("net", NetworkArgs(region="eu-south-1", zones=zones, queues=True, **args))
        ),
        stack="test",
    )
    return made[0], evaluation


def test_endpoints_lead_to_aws_and_nothing_leads_out() -> None:
    _, made = network(kind="endpoints")

    assert made.types == {VPC: 1, SUBNET: 2, SECURITY_GROUP: 2, ROUTES: 1, ASSOCIATION: 2, ENDPOINT: 6}
    assert made[VPC, "net"].inputs == {
        "cidrBlock": "10.0.0.0/16",
        "enableDnsSupport": True,
        "enableDnsHostnames": True,
    }
    assert {subnet.name: subnet.inputs for subnet in made.of(SUBNET)} == {
        "net-private-a": {"vpcId": "net-id", "cidrBlock": "10.0.0.0/20", "availabilityZone": "eu-south-1a"},
        "net-private-b": {"vpcId": "net-id", "cidrBlock": "10.0.16.0/20", "availabilityZone": "eu-south-1b"},
    }
    assert {association.inputs["subnetId"] for association in made.of(ASSOCIATION)} == set(PRIVATE_SUBNETS)


def test_the_zones_are_a_setting_and_each_has_a_subnet_and_a_range_of_its_own() -> None:
    _, ab = network(kind="endpoints", zones=("a", "b"))
    _, ca = network(kind="nat", zones=("c", "a"))

    private = {
        name: subnet.inputs
        for made in (ab, ca)
        for subnet in made.of(SUBNET)
        if (name := subnet.name.removeprefix("net-private-")) in PRIVATE_RANGES
    }
    assert {name: each["availabilityZone"] for name, each in private.items()} == {
        zone: f"eu-south-1{zone}" for zone in "abc"
    }
    assert ab[SUBNET, "net-private-a"].inputs == ca[SUBNET, "net-private-a"].inputs, "it stays when b goes"
    assert ca[SUBNET, "net-public"].inputs["availabilityZone"] == "eu-south-1c"
    assert ca[SUBNET, "net-public"].options.delete_before_replace, "it has one range wherever it is"


def test_a_stack_whose_account_lacks_a_zone_names_others() -> None:
    made = evaluate(run_program, stack_configuration("dev") | {"statecast:zones": ["a", "c"]})

    assert [each.inputs["availabilityZone"] for each in made.of(SUBNET)] == ["eu-south-1a", "eu-south-1c"]


def test_no_range_overlaps_another_and_all_are_the_vpcs() -> None:
    ranges = [ip_network(each) for each in (PUBLIC_RANGE, *PRIVATE_RANGES.values())]

    assert all(each.subnet_of(ip_network(RANGE)) for each in ranges)
    assert [pair for pair in combinations(ranges, 2) if pair[0].overlaps(pair[1])] == []


@pytest.mark.parametrize("service", ["dynamodb", "s3"])
@pytest.mark.parametrize("kind", ["endpoints", "nat"])
def test_tables_and_image_layers_come_by_free_gateways(kind: str, service: str) -> None:
    _, made = network(kind=kind)

    assert made[ENDPOINT, f"net-{service}"].inputs == {
        "vpcId": "net-id",
        "serviceName": f"com.amazonaws.eu-south-1.{service}",
        "vpcEndpointType": "Gateway",
        "routeTableIds": ["net-private-id"],
    }


@pytest.mark.parametrize("service", ["sqs", "ecr.api", "ecr.dkr", "logs"])
def test_an_interface_endpoint_answers_to_the_services_name_in_both_zones(service: str) -> None:
    _, made = network(kind="endpoints")

    assert made[ENDPOINT, f"net-{service.replace('.', '-')}"].inputs == {
        "vpcId": "net-id",
        "serviceName": f"com.amazonaws.eu-south-1.{service}",
        "vpcEndpointType": "Interface",
        "privateDnsEnabled": True,
        "subnetIds": PRIVATE_SUBNETS,
        "securityGroupIds": ["net-endpoints-id"],
    }


def test_tasks_call_https_and_endpoints_take_it_from_tasks_alone() -> None:
    _, made = network(kind="endpoints")

    tasks, endpoints = made[SECURITY_GROUP, "net-tasks"].inputs, made[SECURITY_GROUP, "net-endpoints"].inputs
    assert (tasks["ingress"], tasks["egress"]) == ([], [{**HTTPS, "cidrBlocks": ["0.0.0.0/0"]}])
    assert (endpoints["ingress"], endpoints["egress"]) == (
        [{**HTTPS, "securityGroups": ["net-tasks-id"]}],
        [],
    )


def test_a_nat_gateway_leads_out_instead_of_interface_endpoints() -> None:
    network_, made = network(kind="nat")

    assert made.types == {
        **{VPC: 1, SUBNET: 3, SECURITY_GROUP: 1, ROUTES: 2, ASSOCIATION: 3, ENDPOINT: 2, ROUTE: 2},
        **{
            "aws:ec2/internetGateway:InternetGateway": 1,
            "aws:ec2/natGateway:NatGateway": 1,
            "aws:ec2/eip:Eip": 1,
        },
    }
    assert made["aws:ec2/natGateway:NatGateway", "net-nat"].inputs == {
        "allocationId": "net-nat-id",
        "subnetId": "net-public-id",
    }
    assert made[ROUTE, "net-private-out"].inputs == {
        "routeTableId": "net-private-id",
        "destinationCidrBlock": "0.0.0.0/0",
        "natGatewayId": "net-nat-id",
    }
    assert made[ROUTE, "net-public-out"].inputs == {
        "routeTableId": "net-public-id",
        "destinationCidrBlock": "0.0.0.0/0",
        "gatewayId": "net-internet-id",
    }
    assert len(network_.subnet_ids) == 2, "tasks run in the private subnets alone"


def test_in_an_existing_vpc_only_the_tasks_security_group_is_made() -> None:
    network_, made = network(kind="existing", vpc_id="vpc-1", subnet_ids=["subnet-1", "subnet-2"])

    assert made.types == {SECURITY_GROUP: 1}
    assert made[SECURITY_GROUP, "net-tasks"].inputs["vpcId"] == "vpc-1"
    assert network_.subnet_ids == ["subnet-1", "subnet-2"]


@pytest.mark.parametrize(
    "args",
    [
        {"kind": "existing"},
        {"kind": "existing", "vpc_id": "vpc-1"},
        {"kind": "existing", "subnet_ids": ["subnet-1"]},
        {"kind": "nat", "vpc_id": "vpc-1"},
        {"kind": "endpoints", "subnet_ids": ["subnet-1"]},
    ],
)
def test_an_existing_vpc_and_its_own_kind_go_together(args: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match="give vpc_id and subnet_ids with kind 'existing', and with no other"
    ):
        network(**args)


@pytest.mark.parametrize("stack", ["dev", "lambda", "pipe", "poll", "local"])
def test_nothing_reaches_a_task_and_a_task_reaches_endpoints_alone(
    program: Callable[[str], Evaluation], stack: str
) -> None:
    made = program(stack)

    (service,) = made.of("aws:ecs/service:Service")
    attached = service.inputs["networkConfiguration"]
    assert attached["assignPublicIp"] is False
    assert attached["securityGroups"] == ["statecast-network-tasks-id"]
    assert attached["subnets"] == [f"statecast-network-private-{zone}-id" for zone in "ab"]
    assert [subnet.name for subnet in made.of(SUBNET) if "mapPublicIpOnLaunch" in subnet.inputs] == []
    # A rule may be a resource of its own, too: the last line finds none.
    callers = {group.name: group.inputs["ingress"] for group in made.of(SECURITY_GROUP)}
    assert callers == {
        "statecast-network-tasks": [],
        "statecast-network-endpoints": [{**HTTPS, "securityGroups": ["statecast-network-tasks-id"]}],
    }
    of_vpc = {token.removeprefix("aws:ec2/").partition(":")[0] for token in made.types if "aws:ec2/" in token}
    assert of_vpc == {"vpc", "subnet", "securityGroup", "routeTable", "routeTableAssociation", "vpcEndpoint"}


@pytest.mark.parametrize("stack", ["dev", "poll"])
def test_there_is_an_endpoint_for_whatever_tasks_and_their_agent_may_call_and_no_more(
    program: Callable[[str], Evaluation], stack: str
) -> None:
    made = program(stack)

    endpoints = {each.inputs["serviceName"].rpartition(f"{REGION}.")[2] for each in made.of(ENDPOINT)}
    called = {
        action.partition(":")[0]
        for role in ("statecast-tasks-role", "statecast-tasks-execution-role")
        for statement in json.loads(made["aws:iam/rolePolicy:RolePolicy", f"{role}-policy"].inputs["policy"])[
            "Statement"
        ]
        for action in statement["Action"]
    }
    # ECR has two, and an image's layers are in S3: https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    assert endpoints == (called - {"ecr"}) | {"ecr.api", "ecr.dkr", "s3"}

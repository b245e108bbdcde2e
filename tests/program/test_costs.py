"""What the cost model bills is what the program makes: else add it to bench/cost/model.py."""

from collections.abc import Callable

import pytest

from bench.configuration import configuration
from bench.cost import model
from bench.cost.model import Demand, bill
from bench.cost.prices import prices
from tests.program.conftest import Evaluation

STACKS = ("dev", "lambda", "pipe", "bus", "poll", "local")
BILLED = {"statecast-lambda", "statecast-redriver", "statecast-reaper", "statecast-api-function"}
DEMAND = Demand(changes=1, items=1, item_bytes=100)


@pytest.mark.parametrize("stack", STACKS)
def test_alarms_endpoints_and_keys_are_as_many_as_the_program_makes(
    program: Callable[[str], Evaluation], stack: str
) -> None:
    made = program(stack)
    counts = {
        line.what: line.count for line in bill(configuration(stack), DEMAND, prices("eu-south-1")).lines
    }
    assert counts.get("alarms", 0) == made.types["aws:cloudwatch/metricAlarm:MetricAlarm"]
    assert counts["the alarm topic's key"] == made.types["aws:kms/key:Key"]
    assert counts["the dashboard"] == made.types["aws:cloudwatch/dashboard:Dashboard"]
    functions = {function.name for function in made.of("aws:lambda/function:Function")}
    assert functions <= BILLED
    for function in functions & {"statecast-redriver", "statecast-reaper"}:
        assert any(what.startswith(function.removeprefix("statecast-")) for what in counts)
    endpoints = [of.inputs for of in made.of("aws:ec2/vpcEndpoint:VpcEndpoint")]
    zones = sum(len(of["subnetIds"]) for of in endpoints if of["vpcEndpointType"] == "Interface")
    assert counts["interface endpoints"] == zones * 730


@pytest.mark.parametrize("stack", STACKS)
def test_a_task_has_the_cpu_and_memory_that_are_paid_for(
    program: Callable[[str], Evaluation], stack: str
) -> None:
    (definition,) = program(stack).of("aws:ecs/taskDefinition:TaskDefinition")
    assert float(definition.inputs["cpu"]) / 1024 == model.VCPU
    assert float(definition.inputs["memory"]) / 1024 == model.MEMORY_GB


@pytest.mark.parametrize("stack", ["dev", "lambda"])
def test_a_function_keeps_one_version_with_a_snapshot(
    program: Callable[[str], Evaluation], stack: str
) -> None:
    function = program(stack)["aws:lambda/function:Function", "statecast-lambda"]
    assert function.inputs["snapStart"] == {"applyOn": "PublishedVersions"}
    versioned = set(function.options.replace_on_changes)
    assert versioned == function.inputs.keys() - {"publish"}, "versions that stay are billed"
    assert function.inputs["architectures"] == ["arm64"]


def test_the_reaper_looks_as_often_and_with_as_much_memory_as_is_billed(
    program: Callable[[str], Evaluation],
) -> None:
    made = program("lambda")
    (minute,) = (of.inputs for of in made.of("aws:cloudwatch/eventRule:EventRule") if "minute" in of.name)
    assert minute["scheduleExpression"] == "rate(1 minute)"
    reaper = made["aws:lambda/function:Function", "statecast-reaper"].inputs
    assert reaper["memorySize"] / 1024 == model.REAPER_GB

import json
import subprocess

import pytest

from bench import stack
from bench.errors import ExperimentError

OUTPUTS = {
    "table": "state",
    "streamArn": "arn:aws:dynamodb:eu-south-1:1:table/state/stream/2026",
    "topicArn": "arn:aws:sns:eu-south-1:1:changes",
    "leasesTable": "leases",
    "slots": [],
    "cluster": "cluster",
    "service": "service",
    "logGroup": "log-group",
    "apiUrl": "",
    "variants": ["lambda"],
    "archive": "archive",
}
LOCAL_DOWN = (1, "", "error: Stack dev is not up.\n")


class Machine:
    """What `python -m local` and `pulumi` answer: exit code, stdout, stderr; None is not installed."""

    def __init__(self, local: tuple[int, str, str], pulumi: tuple[int, str, str] | None = None) -> None:
        self.local, self.pulumi = local, pulumi

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        answer = self.pulumi if command[0] == "pulumi" else self.local
        if answer is None:
            raise FileNotFoundError("pulumi")
        return subprocess.CompletedProcess(command, *answer)


def test_a_local_stack_that_is_up_is_taken_with_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    status = {"endpoint": "http://127.0.0.1:4566", "stack": "local", "outputs": OUTPUTS, "tasks": []}
    monkeypatch.setattr(stack, "_call", Machine((0, json.dumps(status), "")))
    found = stack.find("local")
    assert (found.endpoint, found.region, found.outputs.log_group) == (
        "http://127.0.0.1:4566",
        "eu-south-1",
        "log-group",
    )
    assert found.client("logs").meta.endpoint_url == "http://127.0.0.1:4566"


def test_otherwise_the_outputs_come_from_pulumi_and_the_calls_go_to_aws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stack, "_call", Machine(LOCAL_DOWN, (0, json.dumps(OUTPUTS), "")))
    found = stack.find("dev")
    assert found.endpoint is None
    assert (
        found.client("dynamodb", attempts=1).meta.endpoint_url == "https://dynamodb.eu-south-1.amazonaws.com"
    )


@pytest.mark.parametrize(
    ("pulumi", "message"),
    [
        (
            None,
            "no local stack 'dev' is up (Stack dev is not up); to find one on AWS, `pulumi` must be on PATH",
        ),
        (
            (255, "", "warning: x\nerror: no stack named 'dev' found\n"),
            "no local stack 'dev' is up (Stack dev is not up), and `pulumi stack output --stack dev` "
            "failed: no stack named 'dev' found",
        ),
        (
            (0, json.dumps({"table": "state"}), ""),
            "stack 'dev' lacks the outputs streamArn, topicArn, slots, leasesTable, cluster, service, "
            "logGroup, variants, apiUrl, archive: did its `pulumi up` complete, and is it statecast's?",
        ),
    ],
)
def test_a_stack_that_is_not_there_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, pulumi: tuple[int, str, str] | None, message: str
) -> None:
    monkeypatch.setattr(stack, "_call", Machine(LOCAL_DOWN, pulumi))
    with pytest.raises(ExperimentError) as problem:
        stack.find("dev")
    assert str(problem.value) == message


def test_a_hand_off_is_found_in_the_same_way_and_in_the_region_of_its_functions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = {
        "sender": "arn:aws:lambda:eu-west-1:1:function:sender",
        "senderLogGroup": "sender-logs",
        "receiver": "arn:aws:lambda:eu-west-1:1:function:receiver",
        "receiverLogGroup": "receiver-logs",
        "ways": ["sns"],
    }
    monkeypatch.setattr(stack, "_call", Machine(LOCAL_DOWN, (0, json.dumps(outputs), "")))
    found = stack.find_handoff("handoff")
    assert (found.region, found.outputs.ways, found.endpoint) == ("eu-west-1", ["sns"], None)


def test_a_fleet_is_no_hand_off_and_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_call", Machine(LOCAL_DOWN, (0, json.dumps(OUTPUTS), "")))
    with pytest.raises(ExperimentError, match="stack 'dev' deploys the fleet: `bench run` "):
        stack.find_handoff("dev")
    monkeypatch.setattr(stack, "_call", Machine(LOCAL_DOWN, (0, json.dumps({"sender": "arn"}), "")))
    with pytest.raises(ExperimentError, match="stack 'dev' deploys the hand-off: `bench handoff` "):
        stack.find("dev")

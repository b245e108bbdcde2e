import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from local.emulator import Account
from tests.engine import CHECKOUT, Project

pytestmark = pytest.mark.engine

PROGRAM = """
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
archive = pulumi.AssetArchive({"handler.py": pulumi.FileAsset("handler.py")})
document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}'

dlq = aws.sqs.Queue("dlq")
queue = aws.sqs.Queue(
    "queue",
    visibility_timeout_seconds=config.get_int("visibility") or 5,
    redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dlq.arn, "maxReceiveCount": 5}),
    policy=pulumi.Output.secret(document),
)
table = aws.dynamodb.Table(
    "table",
    name="given",
    billing_mode="PAY_PER_REQUEST",
    hash_key=config.get("key") or "id",
    attributes=[{"name": config.get("key") or "id", "type": "S"}],
)
function = aws.lambda_.Function(
    "function",
    role=aws.iam.Role("role", assume_role_policy=document).arn,
    runtime="python3.13",
    handler="handler.handle",
    code=archive,
    publish=True,
)
pulumi.export("account", aws.get_caller_identity().account_id)
pulumi.export("url", queue.url)
pulumi.export("version", function.version)
pulumi.export("policy", queue.policy)
"""


@pytest.fixture
def stack(
    project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Project]]:
    """The program above in a project whose engine is attached to a provider with this environment."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    started: list[subprocess.Popen[bytes]] = []

    def make(**environment: str) -> Project:
        made = project(PROGRAM, **environment)
        (made.folder / "handler.py").write_text("def handle(event, context): return 1")
        (made.folder / "Pulumi.test.yaml").write_text("config:\n  aws:region: eu-south-1\n")
        # Where the program runs: the paths of archives are those that it wrote.
        process = subprocess.Popen(
            [sys.executable, "-m", "local.provider"],
            cwd=made.folder,
            env={**made.environment, "PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout
        port = int(process.stdout.readline())
        attached = {"PULUMI_DEBUG_PROVIDERS": f"aws:{port},docker-build:{port}"}
        return replace(made, environment={**made.environment, **attached})

    yield make
    for process in started:
        process.terminate()
        assert process.wait() == 0


def succeed(project: Project, *arguments: str) -> str:
    result = project.run(*arguments)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_a_preview_needs_no_emulator_and_knows_what_can_be_known(stack: Callable[..., Project]) -> None:
    planned = succeed(stack(), "preview")

    assert "6 to create" in planned
    assert 'account: "000000000000"' in planned
    assert "url    : [unknown]" in planned


@pytest.mark.emulator
def test_a_stack_is_made_kept_changed_and_destroyed(stack: Callable[..., Project], account: Account) -> None:
    project = stack(**account.environment())
    sqs, dynamodb = account.client("sqs"), account.client("dynamodb")

    made = succeed(project, "up", "--yes")
    assert "6 created" in made
    assert "policy : [secret]" in made
    assert succeed(project, "stack", "output", "version").strip() == "1"
    url = succeed(project, "stack", "output", "url").strip()
    assert "6 unchanged" in succeed(project, "refresh", "--yes", "--skip-preview")
    assert "6 unchanged" in succeed(project, "up", "--yes", "--skip-preview")

    changed = succeed(project, "up", "--yes", "-c", "visibility=9", "-c", "key=pk")
    assert "1 updated" in changed
    assert "1 replaced" in changed, "the table, deleted first since its name was given"
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "9"
    described = dynamodb.describe_table(TableName="given")["Table"]
    assert described["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]

    sqs.delete_queue(QueueUrl=url)
    assert "1 created" in succeed(project, "up", "--yes", "--skip-preview", "--refresh")
    assert "6 deleted" in succeed(project, "destroy", "--yes", "--skip-preview")
    assert "given" not in dynamodb.list_tables()["TableNames"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_provider_prints_its_port_and_ends_quietly(stop: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.provider"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    port = int(process.stdout.readline())
    process.send_signal(stop)
    output, errors = process.communicate()

    assert port > 0
    assert (process.returncode, output, errors) == (0, "", "")

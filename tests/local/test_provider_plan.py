import re
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from local.provider.kinds import Kind, kinds
from local.provider.plan import difference, same
from local.provider.sdk import resource_type
from tests.local.provider_client import Client, RefusedError

QUEUE, TABLE, POLICY = "aws:sqs/queue:Queue", "aws:dynamodb/table:Table", "aws:iam/role:Role"


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.mark.parametrize(
    "token",
    [
        "aws:sqs/queue:Queue",
        "aws:lambda/function:Function",
        "aws:guardduty/iPSet:IPSet",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "docker-build:index:Image",
    ],
)
def test_any_type_of_the_sdk_is_found_by_its_token(token: str) -> None:
    found = resource_type(token)

    assert found.name == token.rsplit(":", 1)[1]
    assert found.properties


def test_a_type_that_the_sdk_does_not_have_is_named() -> None:
    with pytest.raises(
        LookupError, match=r"aws:sqs/noSuch:NoSuch: the installed pulumi_aws knows no such type"
    ):
        resource_type("aws:sqs/noSuch:NoSuch")


def test_a_property_is_computed_if_the_sdk_does_not_make_its_output_optional() -> None:
    queue = resource_type(QUEUE).properties

    assert {name for name in ("arn", "url", "redrivePolicy", "name") if queue[name].computed} == {
        "arn",
        "url",
        "redrivePolicy",
        "name",
    }
    assert not queue["delaySeconds"].computed
    assert queue["redrivePolicy"].is_input
    assert not queue["arn"].is_input


def test_a_plan_knows_the_inputs_and_leaves_every_other_computed_property_unknown(client: Client) -> None:
    planned = client.plan(QUEUE, "q", {"name": "q", "delaySeconds": 5})

    assert planned["name"] == "q"
    assert planned["delaySeconds"] == 5
    assert planned["arn"] == planned["url"] == planned["redrivePolicy"] == UNKNOWN
    assert "kmsMasterKeyId" not in planned


def test_the_image_can_be_planned_but_not_built(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    image = "docker-build:index:Image"

    assert client.plan(image, "i", {"push": False})["ref"] == UNKNOWN
    with pytest.raises(RefusedError, match="the local stack builds no image: set statecast:image"):
        client.create(image, "i", push=False)
    with pytest.raises(RefusedError, match="the local stack builds no image: set statecast:image"):
        client.invoke("aws:ecr/getAuthorizationToken:getAuthorizationToken")


def test_an_image_is_not_pushed_by_a_name_that_is_not_known_yet(client: Client) -> None:
    image = "docker-build:index:Image"
    raw = {"raw": UNKNOWN}

    assert client.check(image, "i", {"exports": [raw]}) == {"exports": [raw]}
    assert client.check(image, "i", {"exports": [{"registry": {"names": ["registry/i"]}}]})
    with pytest.raises(RefusedError, match=r"exports\[1\]: at least one tag or export name is needed"):
        client.check(image, "i", {"exports": [raw, {"registry": {"names": [UNKNOWN]}}]})


def test_without_an_emulator_nothing_is_made(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    with pytest.raises(RefusedError, match="AWS_ENDPOINT_URL is not set: without an emulator"):
        client.create(QUEUE, "q")


def test_a_type_that_is_in_no_table_says_where_to_add_it(client: Client) -> None:
    with pytest.raises(RefusedError, match=r"aws:rds/instance:Instance .* add it to local/provider/tables"):
        client.create("aws:rds/instance:Instance", "i", instanceClass="db.t3.micro")


def test_a_name_is_made_from_the_resource_and_seven_digits_of_the_seed(client: Client) -> None:
    name = client.check(QUEUE, "q", {})["name"]

    assert re.fullmatch(r"q-[0-9a-f]{7}", name)
    assert client.check(QUEUE, "q", {}) == {"name": name}
    assert client.check(QUEUE, "q", {}, seed=b"other")["name"] != name


def test_a_fifo_queue_has_the_ending_that_sqs_wants(client: Client) -> None:
    assert re.fullmatch(r"q-[0-9a-f]{7}\.fifo", client.check(QUEUE, "q", {"fifoQueue": True})["name"])


def test_a_generated_name_is_kept_by_an_update(client: Client) -> None:
    olds = client.check(QUEUE, "q", {})

    assert client.check(QUEUE, "q", {"delaySeconds": 1}, olds, seed=b"other")["name"] == olds["name"]
    assert client.check(QUEUE, "q", {}, {"name": "given"})["name"] != "given"


def test_a_name_that_the_program_gives_is_left_alone(client: Client) -> None:
    assert client.check(QUEUE, "q", {"name": "mine"}) == {"name": "mine"}


def test_a_prefix_that_the_program_gives_begins_the_name(client: Client) -> None:
    checked = client.check(QUEUE, "q", {"namePrefix": "/mine/"})

    assert re.fullmatch(r"/mine/[0-9a-f]{7}", checked["name"])
    assert client.check(QUEUE, "q", {"namePrefix": "/mine/"}, checked, seed=b"other") == checked
    assert client.check(QUEUE, "q", {"namePrefix": "/other/"}, checked)["name"].startswith("/other/")
    assert client.check(QUEUE, "q", {"namePrefix": UNKNOWN}) == {"namePrefix": UNKNOWN}


def test_a_type_without_a_name_gets_none(client: Client) -> None:
    assert client.check("aws:ec2/vpc:Vpc", "v", {"cidrBlock": "10.0.0.0/16"}) == {"cidrBlock": "10.0.0.0/16"}


def test_default_tags_stand_below_the_resource_own(client: Client) -> None:
    client.configure(defaultTags='{"tags": {"team": "a", "env": "local"}}', region="eu-south-1")
    inputs = client.check(QUEUE, "q", {"name": "q", "tags": {"team": "b"}})

    assert inputs["tags"] == {"team": "b", "env": "local"}
    assert client.plan(QUEUE, "q", inputs)["tagsAll"] == {"team": "b", "env": "local"}
    assert client.plan(QUEUE, "q", inputs)["region"] == "eu-south-1"


def test_tags_that_are_not_known_yet_stay_so(client: Client) -> None:
    client.configure(defaultTags='{"tags": {"team": "a"}}')

    assert client.check(QUEUE, "q", {"name": "q", "tags": UNKNOWN})["tags"] == UNKNOWN


def changes(old: dict[str, Any], new: dict[str, Any], kind: Kind) -> tuple[set[str], set[str], bool]:
    found = difference(kind, "r", old, new)
    return set(found.all), set(found.replaces), found.delete_first


def test_what_the_tables_do_not_change_in_place_replaces() -> None:
    assert changes(
        {"hashKey": "a", "ttl": {}}, {"hashKey": "b", "ttl": {"enabled": True}}, kinds()[TABLE]
    ) == (
        {"hashKey", "ttl"},
        {"hashKey"},
        False,
    )


def test_a_type_in_no_table_is_replaced_for_any_change() -> None:
    assert changes({"a": 1}, {"a": 2}, Kind()) == ({"a"}, {"a"}, False)


def test_what_is_taken_away_replaces_unless_its_call_puts_the_whole_thing() -> None:
    alarm = kinds()["aws:cloudwatch/metricAlarm:MetricAlarm"]

    assert changes({"unit": "Count"}, {}, alarm) == ({"unit"}, set(), False)
    assert changes({"delaySeconds": 1}, {}, kinds()[QUEUE]) == ({"delaySeconds"}, {"delaySeconds"}, False)


def test_a_replacement_under_a_given_name_deletes_first() -> None:
    assert changes({"name": "n", "hashKey": "a"}, {"name": "n", "hashKey": "b"}, kinds()[TABLE])[2]
    assert not changes({"name": "r-0123abc", "x": 1}, {"name": "r-0123abc", "x": 2}, kinds()[TABLE])[2]


@pytest.mark.parametrize(
    ("old", "new", "equal"),
    [
        ('{"a": [1], "b": 2}', '{"b":2,"a":[1]}', True),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', False),
        ("{not json", "{not  json", False),
        ("plain", "plain", True),
        ({"4dabf18193072939515e22adb298388d": "x", "hash": "h"}, {"hash": "h", "path": "p"}, True),
        ({"4dabf18193072939515e22adb298388d": "x", "hash": "h"}, {"hash": "i", "path": "p"}, False),
        ({"hash": "h"}, {"hash": "h", "path": "p"}, False),
        ([1, {"a": 2}], [1, {"a": 2}], True),
    ],
)
def test_documents_are_compared_by_content_and_archives_by_hash(old: Any, new: Any, equal: bool) -> None:
    assert same(old, new) is equal


@pytest.mark.parametrize(
    ("token", "name", "value"),
    [
        ("aws:index/getCallerIdentity:getCallerIdentity", "accountId", "000000000000"),
        ("aws:index/getRegion:getRegion", "name", "eu-south-1"),
        ("aws:index/getPartition:getPartition", "partition", "aws"),
        (
            "aws:index/getAvailabilityZones:getAvailabilityZones",
            "names",
            ["eu-south-1a", "eu-south-1b", "eu-south-1c"],
        ),
    ],
)
def test_the_functions_about_the_account_are_answered_without_one(token: str, name: str, value: Any) -> None:
    client = Client()
    client.configure(region="eu-south-1")

    assert client.invoke(token)[name] == value


def test_any_other_function_says_what_to_do_instead(client: Client) -> None:
    with pytest.raises(
        RefusedError, match=r"aws:ec2/getVpc:getVpc: .* pass the value by stack configuration"
    ):
        client.invoke("aws:ec2/getVpc:getVpc")


def test_the_tables_name_calls_of_boto3_and_properties_of_the_sdk() -> None:
    import boto3  # pyright: ignore[reportMissingTypeStubs]

    for token, kind in kinds().items():
        known = resource_type(token).properties.keys()
        steps = (*kind.settings, *kind.updates)
        named = {name for step in steps for name in step.changes} - {"*"}
        assert named | kind.fixed | kind.local | kind.moving | kind.outputs.keys() <= known, token
        if kind.service:
            create: Any = boto3.client
            client = create(kind.service, region_name="eu-south-1")
            tags = [call for call in (kind.tag, kind.untag) if "tags" in known]
            calls = (kind.create, kind.read, *kind.delete, *steps, *kind.lookups, *tags)
            missing = {call.call for call in calls if call and not hasattr(client, call.call)}
            assert not missing, f"{token}: {kind.service} has no {missing}"

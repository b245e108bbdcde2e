import pulumi
import pytest
import yaml

from components.forwarders import FORWARDERS
from components.forwarders.pipe_forwarder import PipeForwarder
from settings import Settings, parse
from tests.program.conftest import (
    ACCOUNT,
    CHECKOUT,
    Evaluation,
    defaults,
    evaluate,
    run_program,
    stack_configuration,
)

STACKS = ["dev", "lambda", "pipe", "bus", "poll", "local", "handoff"]
VARIANTS = "one or two of lambda, pipe, bus, each once (a stream takes no third reader), or poll alone"
TRACES = "an https URL on port 443, an http URL on loopback with its port, or empty for no traces"
ZONES = "a list of two different letters of a, b, c, d, e, f"
DIGEST = f"sha256:{'a' * 64}"
VALID = {"aws:region": "eu-south-1"} | defaults()


def refusal(**given: object) -> list[str]:
    """The lines with which a configuration is refused."""
    with pytest.raises(pulumi.RunError) as refused:
        parse(VALID | {f"statecast:{key}": value for key, value in given.items()})
    return str(refused.value).splitlines()


def test_the_keys_of_the_project_file_are_the_fields_of_the_model() -> None:
    fields = {f"statecast:{field.alias}" for name, field in Settings.model_fields.items() if name != "region"}
    assert fields == set(defaults())


def test_each_key_of_the_project_file_has_a_type_a_default_and_a_description() -> None:
    schema = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["config"]
    python = {"string": str, "integer": int, "boolean": bool, "array": list}
    for key, entry in schema.items():
        assert isinstance(entry["default"], python[entry["type"]]), key
        assert entry["description"], key


def test_no_default_stands_in_the_model() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.is_required()] == []


def test_the_defaults_are_the_articles_system() -> None:
    settings = parse(VALID)
    assert (settings.deploys, settings.fan_out) == ("fleet", False)
    assert (settings.variants, settings.tasks_min, settings.tasks_max) == (("lambda", "pipe"), 20, 20)
    assert (settings.long_poll_seconds, settings.lambda_memory) == (20, 128)
    assert (settings.watermark_seconds, settings.rescan_seconds) == (10, 900)
    assert settings.traces_endpoint == ""
    assert (settings.write_api, settings.write_api_key_expires) == ("table", "")
    assert (settings.partial_failure, settings.snap_start) == ("report", True)
    assert (settings.network, settings.zones) == ("endpoints", ("a", "b"))
    assert (settings.slot_retention_seconds, settings.visibility_timeout_seconds) == (600, 30)
    assert (settings.max_receives, settings.lease_seconds, settings.log_retention_days) == (5, 45, 14)
    assert (settings.deletion_protection, settings.force_destroy, settings.image) == (True, False, "")


@pytest.mark.parametrize("stack", STACKS)
def test_the_settings_of_each_stack_are_allowed(stack: str) -> None:
    configuration = stack_configuration(stack)
    assert parse(configuration).region == "eu-south-1"
    assert "encryptionsalt" not in (CHECKOUT / f"Pulumi.{stack}.yaml").read_text()


def test_values_may_come_as_the_engine_gives_them() -> None:
    given = {
        "tasksMin": "4.0",
        "tasksMax": 6.0,
        "variants": '["pipe"]',
        "snapStart": "false",
        "subnetIds": "[]",
    }
    settings = parse(VALID | {f"statecast:{key}": value for key, value in given.items()})
    assert (settings.tasks_min, settings.tasks_max, settings.variants) == (4, 6, ("pipe",))
    assert (settings.snap_start, settings.subnet_ids) == (False, ())


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("variants", '["poll", "lambda"]', VARIANTS),
        ("variants", '["poll", "poll"]', VARIANTS),
        ("variants", "[]", VARIANTS),
        (
            "variants",
            '["pipe", "pipe"]',
            VARIANTS,
        ),
        ("variants", "[1, 2]", VARIANTS),
        ("variants", "lambda", VARIANTS),
        (
            "variants",
            '["lambda", "pipe", "bus"]',
            VARIANTS,
        ),
        ("deploys", "both", "fleet or handoff"),
        ("fanOut", "perhaps", "true or false"),
        ("writeApi", "lambda", "none, table or function"),
        (
            "writeApiKeyExpires",
            "2027-01-31",
            "a full hour in quotes, such as '2027-01-31T00:00:00Z', or empty for no key",
        ),
        ("partialFailure", "ignore", "report or raise"),
        ("lambdaMemory", "64", "a whole number from 128 to 10240"),
        ("snapStart", "perhaps", "true or false"),
        ("tasksMin", "0", "a whole number from 1 to 120"),
        ("tasksMin", "many", "a whole number from 1 to 120"),
        ("tasksMin", "2.5", "a whole number from 1 to 120"),
        ("tasksMax", "-1", "a whole number from 0 to 120"),
        ("scalingMetric", "lag", "cpu, memory, or empty for none"),
        ("scalingTarget", "101", "a whole number from 0 to 100"),
        ("deploymentMinimumPercent", "101", "a whole number from 0 to 100"),
        ("deploymentMaximumPercent", "201", "a whole number from 100 to 200"),
        (
            "image",
            "registry/consumer:latest",
            "a URI pinned by digest (…@sha256:<64 hex digits>), or empty to build it",
        ),
        ("slotRetentionSeconds", "59", "a whole number from 60 to 86400"),
        ("visibilityTimeoutSeconds", "0", "a whole number from 1 to 43200"),
        ("longPollSeconds", "21", "a whole number from 0 to 20"),
        ("maxReceives", "4", "a whole number from 5 to 1000"),
        ("leaseSeconds", "121", "a whole number from 3 to 120"),
        ("watermarkSeconds", "0", "a whole number from 1 to 3600"),
        ("rescanSeconds", "0", "a whole number from 1 to 86400"),
        ("tracesEndpoint", "http://collector:4318", TRACES),
        ("tracesEndpoint", "https://collector:4318", TRACES),
        ("tracesEndpoint", "collector", TRACES),
        ("network", "public", "endpoints, nat or existing"),
        ("zones", '["a", "a"]', ZONES),
        ("zones", '["a"]', ZONES),
        ("zones", '["a", "b", "c"]', ZONES),
        ("zones", '["eu-south-1a", "eu-south-1b"]', ZONES),
        ("zones", "ab", ZONES),
        ("vpcId", "default", "a VPC's id (vpc-…), or empty"),
        ("subnetIds", '["a"]', "a list of subnets' ids (subnet-…), or empty"),
        ("subnetIds", "subnet-1", "a list of subnets' ids (subnet-…), or empty"),
        ("alarmEmail", "nobody", "an e-mail address, or empty"),
        (
            "logRetentionDays",
            "15",
            "one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, "
            "2557, 2922, 3288, 3653",
        ),
        ("deletionProtection", "", "true or false"),
        ("forceDestroy", "2", "true or false"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_key_the_value_and_what_is_allowed(
    key: str, value: str, allowed: str
) -> None:
    assert refusal(**{key: value}) == [f"statecast:{key} is {value!r}: set it to {allowed}"]


@pytest.mark.parametrize(
    "url", ["https://collector.example.com", "https://traces.example.com:443/otlp", "http://127.0.0.1:4318"]
)
def test_traces_go_where_tasks_may_call(url: str) -> None:
    assert parse(VALID | {"statecast:tracesEndpoint": url}).traces_endpoint == url


def test_all_wrong_values_are_told_at_once() -> None:
    assert refusal(tasksMin="none", network="moon", taskMax="3") == [
        "statecast:tasksMin is 'none': set it to a whole number from 1 to 120",
        "statecast:network is 'moon': set it to endpoints, nat or existing",
        "statecast:taskMax is not a setting: did you mean statecast:tasksMax?",
    ]


def test_a_region_is_required() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        parse(defaults())
    assert str(refused.value) == "aws:region is not set: set it to a region's name, such as eu-south-1"


def test_the_region_is_the_providers_setting() -> None:
    assert refusal(region="eu-south-1") == ["statecast:region is not a setting: did you mean aws:region?"]


def test_a_new_forwarder_needs_an_entry_in_the_table_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FORWARDERS, "relay", lambda name, args, _: PipeForwarder(name, args))
    configuration = stack_configuration("local") | {"statecast:variants": ["lambda", "relay"]}

    made = evaluate(run_program, configuration)

    assert made["statecast:components:PipeForwarder", "statecast-relay"]
    assert made.outputs["variants"] == ["lambda", "relay"]


@pytest.mark.parametrize(
    ("variants", "forwarders"),
    [(["lambda", "pipe"], ("lambda", "pipe")), (["pipe"], ("pipe",)), (["poll"], ())],
)
def test_the_forwarders_are_the_variants_but_poll(variants: list[str], forwarders: tuple[str, ...]) -> None:
    assert parse(VALID | {"statecast:variants": variants}).forwarders == forwarders


def test_other_namespaces_are_not_ours_to_judge() -> None:
    assert parse(VALID | {"aws:profile": "mine", "pulumi:tags": "{}"}) == parse(VALID)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"fanOut": "true"},
            "statecast:fanOut is True and statecast:deploys 'fleet': set deploys to 'handoff', or fanOut to "
            "false",
        ),
        (
            {"tasksMin": 5, "tasksMax": 4},
            "statecast:tasksMax is 4 and statecast:tasksMin 5: "
            "raise tasksMax, or set it to 0 for as many as tasksMin",
        ),
        (
            {"tasksMin": 61},
            "statecast:tasksMax is 61 and statecast:deploymentMaximumPercent 200: they make 122 slots, "
            "lower either for at most 120",
        ),
        (
            {"deploymentMaximumPercent": 100},
            "statecast:deploymentMinimumPercent is 100 and statecast:deploymentMaximumPercent 100: set them "
            "further apart, since of statecast:tasksMin 20 they make at least 20 and at most 20: a "
            "deployment can neither stop a task nor start one",
        ),
        (
            {"tasksMin": 2, "tasksMax": 2, "deploymentMinimumPercent": 60, "deploymentMaximumPercent": 149},
            "statecast:deploymentMinimumPercent is 60 and statecast:deploymentMaximumPercent 149: set them "
            "further apart, since of statecast:tasksMin 2 they make at least 2 and at most 2: a "
            "deployment can neither stop a task nor start one",
        ),
        (
            {"image": f"ghcr.io/statecast/consumer@{DIGEST}"},
            f"statecast:image is 'ghcr.io/statecast/consumer@{DIGEST}' and statecast:network 'endpoints', "
            "which leads to ECR of eu-south-1 alone: copy the image there, or set network to nat or existing",
        ),
        (
            {"image": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/consumer@{DIGEST}"},
            f"statecast:image is '{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/consumer@{DIGEST}' and "
            "statecast:network 'endpoints', which leads to ECR of eu-south-1 alone: copy the image there, or "
            "set network to nat or existing",
        ),
        (
            {"writeApi": "none", "writeApiKeyExpires": "2027-01-31T00:00:00Z"},
            "statecast:writeApiKeyExpires is '2027-01-31T00:00:00Z' and statecast:writeApi 'none': "
            "set writeApi to table or function, or leave writeApiKeyExpires empty",
        ),
        (
            {"writeApiKeyExpires": "2027-13-31T25:00:00Z"},
            "statecast:writeApiKeyExpires is '2027-13-31T25:00:00Z': there is no such day or hour; give one "
            "within a year from now, such as '2027-01-31T00:00:00Z'",
        ),
        (
            {"scalingMetric": "cpu", "tasksMax": 30},
            "statecast:scalingMetric is 'cpu' and statecast:scalingTarget 0: set both, or neither",
        ),
        (
            {"scalingTarget": 50},
            "statecast:scalingMetric is '' and statecast:scalingTarget 50: set both, or neither",
        ),
        (
            {"scalingMetric": "cpu", "scalingTarget": 50},
            "statecast:scalingMetric is 'cpu', statecast:tasksMin and statecast:tasksMax 20: "
            "set tasksMax above tasksMin, or leave scalingMetric empty",
        ),
        (
            {"slotRetentionSeconds": 150},
            "statecast:slotRetentionSeconds is 150: set it above statecast:maxReceives 5 × "
            "statecast:visibilityTimeoutSeconds 30, or messages expire before their last receive",
        ),
        (
            {"network": "existing", "vpcId": "vpc-1"},
            "statecast:network is 'existing', vpcId 'vpc-1' and subnetIds []: "
            "set vpcId and subnetIds, or another network",
        ),
        (
            {"network": "nat", "subnetIds": '["subnet-1"]'},
            "statecast:network is 'nat', vpcId '' and subnetIds ['subnet-1']: "
            "set network to 'existing', or leave vpcId and subnetIds empty",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(given: dict[str, object], line: str) -> None:
    assert refusal(**given) == [line]


@pytest.mark.parametrize(
    "given",
    [
        {"deploys": "handoff", "fanOut": "true"},
        {"slotRetentionSeconds": 151},
        {"variants": '["poll"]'},
        {"zones": '["f", "a"]'},
        {"writeApiKeyExpires": "2027-01-31T00:00:00Z"},
        {"tasksMin": 60},
        {"tasksMin": 2, "tasksMax": 3, "scalingMetric": "memory", "scalingTarget": 60},
        {"deploymentMinimumPercent": 50, "deploymentMaximumPercent": 100},
        {"network": "existing", "vpcId": "vpc-1", "subnetIds": '["subnet-1"]'},
        {"tasksMin": 2, "tasksMax": 2, "deploymentMinimumPercent": 50, "deploymentMaximumPercent": 100},
        {"tasksMin": 2, "tasksMax": 2, "deploymentMinimumPercent": 60, "deploymentMaximumPercent": 150},
        {"image": f"{ACCOUNT}.dkr.ecr.eu-south-1.amazonaws.com/statecast/consumer@{DIGEST}"},
        {"image": f"registry.example:5000/statecast/consumer@{DIGEST}", "network": "nat"},
    ],
)
def test_values_at_the_edge_of_what_is_allowed_are_taken(given: dict[str, object]) -> None:
    parse(VALID | {f"statecast:{key}": value for key, value in given.items()})


def test_nothing_is_registered_when_a_setting_is_wrong() -> None:
    configuration = stack_configuration("local") | {"statecast:tasksMin": 0}
    evaluation = Evaluation()
    with pytest.raises(pulumi.RunError, match=r"^statecast:tasksMin is '0'"):
        evaluate(run_program, configuration, into=evaluation)
    assert evaluation.resources == []

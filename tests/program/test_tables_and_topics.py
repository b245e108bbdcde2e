import json

from pulumi.runtime import rpc

from components.alarm_topic import AlarmTopic, AlarmTopicArgs
from components.change_topic import ChangeTopic
from components.leases_table import LeasesTable, LeasesTableArgs
from components.state_table import StateTable, StateTableArgs
from tests.program.conftest import evaluate

TABLE, TOPIC, TOPIC_POLICY = (
    "aws:dynamodb/table:Table",
    "aws:sns/topic:Topic",
    "aws:sns/topicPolicy:TopicPolicy",
)
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
KEY = "aws:kms/key:Key"
ACCOUNT = "123456789012"
CLOUDWATCH = {"Service": "cloudwatch.amazonaws.com"}


def topic_arn(name: str) -> str:
    return f"arn:aws:sns:eu-south-1:{ACCOUNT}:{name}"


def tls_only(name: str) -> dict[str, object]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": topic_arn(name),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_the_state_table_streams_both_images_and_can_be_recovered() -> None:
    made = evaluate(lambda: StateTable("state", StateTableArgs(deletion_protection=True)))

    assert made.children == {
        ("statecast-test", "statecast:components:StateTable", "state"),
        ("state", TABLE, "state"),
    }
    assert made[TABLE, "state"].inputs == {
        "billingMode": "PAY_PER_REQUEST",
        "attributes": [{"name": "id", "type": "S"}],
        "hashKey": "id",
        "streamEnabled": True,
        "streamViewType": "NEW_AND_OLD_IMAGES",
        "pointInTimeRecovery": {"enabled": True},
        "serverSideEncryption": {"enabled": True},
        "deletionProtectionEnabled": True,
    }


def test_the_leases_table_is_keyed_by_slot() -> None:
    made = evaluate(lambda: LeasesTable("leases", LeasesTableArgs(deletion_protection=True)))

    assert made.children == {
        ("statecast-test", "statecast:components:LeasesTable", "leases"),
        ("leases", TABLE, "leases"),
    }
    assert made[TABLE, "leases"].inputs == {
        "billingMode": "PAY_PER_REQUEST",
        "attributes": [{"name": "slot", "type": "S"}],
        "hashKey": "slot",
        "pointInTimeRecovery": {"enabled": True},
        "serverSideEncryption": {"enabled": True},
        "deletionProtectionEnabled": True,
    }


def test_cloudwatch_may_publish_to_the_alarm_topic_and_use_its_key() -> None:
    made = evaluate(lambda: AlarmTopic("alarms", AlarmTopicArgs(email="")))

    assert made.children == {
        ("statecast-test", "statecast:components:AlarmTopic", "alarms"),
        ("alarms", KEY, "alarms-key"),
        ("alarms", TOPIC, "alarms"),
        ("alarms", TOPIC_POLICY, "alarms-policy"),
    }
    key = made[KEY, "alarms-key"].inputs
    assert key["enableKeyRotation"] is True
    assert json.loads(key["policy"])["Statement"] == [
        {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Principal": CLOUDWATCH,
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
        },
    ]
    assert made[TOPIC, "alarms"].inputs == {
        "kmsMasterKeyId": f"arn:aws:kms:eu-south-1:{ACCOUNT}:alarms-key",
    }
    assert json.loads(made[TOPIC_POLICY, "alarms-policy"].inputs["policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": CLOUDWATCH,
            "Action": "sns:Publish",
            "Resource": topic_arn("alarms"),
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        },
        tls_only("alarms"),
    ]


def test_an_address_is_subscribed_to_the_alarm_topic() -> None:
    made = evaluate(lambda: AlarmTopic("alarms", AlarmTopicArgs(email="ops@example.com")))

    assert made[SUBSCRIPTION, "alarms-email"].inputs == {
        "topic": topic_arn("alarms"),
        "protocol": "email",
        "endpoint": rpc.wrap_rpc_secret("ops@example.com"),
    }


def test_the_change_topic_is_closed_to_all_but_the_roles_under_its_path() -> None:
    paths: list[str] = []
    made = evaluate(lambda: ChangeTopic("changes").publisher_path.apply(paths.append))

    assert made.children == {
        ("statecast-test", "statecast:components:ChangeTopic", "changes"),
        ("changes", TOPIC, "changes"),
        ("changes", TOPIC_POLICY, "changes-policy"),
    }
    assert made[TOPIC, "changes"].inputs == {"kmsMasterKeyId": "alias/aws/sns"}
    assert paths == ["/changes/"]
    assert json.loads(made[TOPIC_POLICY, "changes-policy"].inputs["policy"])["Statement"] == [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Resource": topic_arn("changes"),
            "Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:*:iam::*:role/changes/*"}},
        },
        tls_only("changes"),
    ]

import io
import json
import zipfile
from typing import Any

import pytest

from local.emulator import Account
from tests.local.provider_client import Client, Made, RefusedError

pytestmark = pytest.mark.emulator

SIGNATURE = "4dabf18193072939515e22adb298388d"
ASSET, ARCHIVE = "c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"
DOCUMENT = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
)


@pytest.fixture
def client(account: Account, monkeypatch: pytest.MonkeyPatch) -> Client:
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    return Client()


def code(text: str) -> dict[str, Any]:
    """An archive of one file, as the engine sends it."""
    file = {SIGNATURE: ASSET, "hash": text, "text": text}
    return {SIGNATURE: ARCHIVE, "hash": text, "assets": {"handler.py": file}}


def table(client: Client, name: str, **inputs: Any) -> Made:
    return client.create(
        "aws:dynamodb/table:Table",
        name,
        hashKey="id",
        attributes=[{"name": "id", "type": "S"}],
        billingMode="PAY_PER_REQUEST",
        streamEnabled=True,
        streamViewType="NEW_AND_OLD_IMAGES",
        **inputs,
    )


def role(client: Client, name: str) -> Made:
    return client.create("aws:iam/role:Role", name, assumeRolePolicy=DOCUMENT)


def function(client: Client, name: str, **inputs: Any) -> Made:
    return client.create(
        "aws:lambda/function:Function",
        name,
        role=role(client, f"{name}-role")["arn"],
        runtime="python3.13",
        handler="handler.handle",
        code=code("def handle(event, context): return 1"),
        **inputs,
    )


def test_a_queue_is_made_changed_and_deleted(client: Client, account: Account) -> None:
    sqs = account.client("sqs")
    queue = client.create("aws:sqs/queue:Queue", "q", visibilityTimeoutSeconds=5, tags={"a": "1", "b": "2"})

    def attributes() -> dict[str, str]:
        return sqs.get_queue_attributes(QueueUrl=queue.id, AttributeNames=["All"])["Attributes"]

    assert queue.id == queue["url"]
    assert queue["arn"] == attributes()["QueueArn"]
    assert attributes()["VisibilityTimeout"] == "5"
    assert sqs.list_queue_tags(QueueUrl=queue.id)["Tags"] == {"a": "1", "b": "2"}

    assert not queue.diff(visibilityTimeoutSeconds=6, tags={"a": "3"}).replaces
    queue.update(visibilityTimeoutSeconds=6, tags={"a": "3"})
    assert attributes()["VisibilityTimeout"] == "6"
    assert sqs.list_queue_tags(QueueUrl=queue.id)["Tags"] == {"a": "3"}
    assert queue["tagsAll"] == {"a": "3"}

    queue.delete()
    assert queue.read() is None
    queue.delete()


def test_a_table_is_active_with_every_setting_when_it_is_made(client: Client, account: Account) -> None:
    dynamodb = account.client("dynamodb")
    made = table(
        client,
        "t",
        pointInTimeRecovery={"enabled": True},
        ttl={"attributeName": "expires", "enabled": True},
        serverSideEncryption={"enabled": True},
        deletionProtectionEnabled=True,
    )

    described = dynamodb.describe_table(TableName=made.id)["Table"]
    assert made["arn"] == described["TableArn"]
    assert made["streamArn"] == described["LatestStreamArn"]
    assert described["TableStatus"] == "ACTIVE"
    backups = dynamodb.describe_continuous_backups(TableName=made.id)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    ttl = dynamodb.describe_time_to_live(TableName=made.id)["TimeToLiveDescription"]
    assert ttl["AttributeName"] == "expires"

    with pytest.raises(RefusedError, match="DeleteTable"):
        made.delete()
    made.update(deletionProtectionEnabled=False)
    made.delete()
    assert made.read() is None


def test_a_refresh_finds_nothing_new_right_after_the_making(client: Client) -> None:
    for made in (table(client, "refreshed"), function(client, "refreshed", publish=True)):
        assert made.read() == made.outputs


def test_a_resource_can_be_read_by_its_id_alone(client: Client) -> None:
    for made in (table(client, "found"), client.create("aws:sqs/queue:Queue", "found")):
        found = Made(client, made.urn, made.id, {}, {}).read()

        assert found is not None
        assert found["arn"] == made["arn"]


def test_a_topic_delivers_to_a_queue_and_changes_one_attribute_at_a_time(
    client: Client, account: Account
) -> None:
    sns = account.client("sns")
    key = client.create("aws:kms/key:Key", "k", policy=DOCUMENT, enableKeyRotation=True)
    queue = client.create("aws:sqs/queue:Queue", "subscriber")
    topic = client.create("aws:sns/topic:Topic", "t", kmsMasterKeyId=key.id)
    policy = client.create("aws:sns/topicPolicy:TopicPolicy", "p", arn=topic.id, policy=DOCUMENT)
    client.create("aws:sqs/queuePolicy:QueuePolicy", "p", queueUrl=queue.id, policy=DOCUMENT)
    subscription = client.create(
        "aws:sns/topicSubscription:TopicSubscription",
        "s",
        topic=topic.id,
        protocol="sqs",
        endpoint=queue["arn"],
        redrivePolicy=json.dumps({"deadLetterTargetArn": queue["arn"]}),
    )
    topic.update(displayName="changes")
    subscription.update(rawMessageDelivery=True)

    attributes = sns.get_topic_attributes(TopicArn=topic.id)["Attributes"]
    assert (attributes["DisplayName"], attributes["KmsMasterKeyId"]) == ("changes", key.id)
    assert json.loads(attributes["Policy"]) == json.loads(policy["policy"])
    sns.publish(TopicArn=topic.id, Message="hello")
    received = account.client("sqs").receive_message(QueueUrl=queue.id, WaitTimeSeconds=5)
    assert [message["Body"] for message in received["Messages"]] == ["hello"]

    key.delete()
    assert key.read() is None, "a key that waits for its deletion counts as gone"


def test_a_function_runs_its_code_and_publishes_a_version_for_each_change(
    client: Client, account: Account
) -> None:
    lambda_ = account.client("lambda")
    made = function(client, "f", publish=True, environment={"variables": {"A": "1"}}, tags={"a": "1"})
    alias = client.create(
        "aws:lambda/alias:Alias", "live", functionName=made.id, functionVersion=made["version"]
    )

    def result() -> Any:
        answer = lambda_.invoke(FunctionName=alias.id)
        return json.loads(answer["Payload"].read())

    assert made["version"] == "1"
    assert made["qualifiedArn"] == f"{made['arn']}:1"
    assert result() == 1

    changed = code("def handle(event, context): return 2")
    planned = made.update(preview=True, code=changed)
    assert planned["version"] == planned["qualifiedArn"] != made["qualifiedArn"]
    made.update(code=changed)
    alias.update(functionVersion=made["version"])
    assert made["version"] == "2"
    assert result() == 2
    # The state keeps no more of the code than its hash.
    made.outputs["code"] = {SIGNATURE: ARCHIVE, "hash": "h"}
    assert made.read()
    packed = lambda_.get_function(FunctionName=made.id)["Configuration"]["CodeSha256"]
    assert made["codeSha256"] == made["sourceCodeHash"] == packed


def test_a_function_s_concurrency_can_be_reserved(client: Client, account: Account) -> None:
    made = function(client, "reserved", reservedConcurrentExecutions=10)

    def reserved() -> int:
        return account.client("lambda").get_function_concurrency(FunctionName=made.id)[
            "ReservedConcurrentExecutions"
        ]

    assert reserved() == 10
    assert not made.diff(reservedConcurrentExecutions=20).replaces
    made.update(reservedConcurrentExecutions=20)
    assert reserved() == 20


def test_a_mapping_is_enabled_when_it_is_made_and_can_move_to_another_function(
    client: Client, account: Account
) -> None:
    source, failures = table(client, "source"), client.create("aws:sqs/queue:Queue", "failures")
    first, second = function(client, "first"), function(client, "second")
    mapping = client.create(
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        "m",
        eventSourceArn=source["streamArn"],
        functionName=first["arn"],
        startingPosition="TRIM_HORIZON",
        batchSize=100,
        maximumRecordAgeInSeconds=60,
        functionResponseTypes=["ReportBatchItemFailures"],
        destinationConfig={"onFailure": {"destinationArn": failures["arn"]}},
    )

    def described() -> dict[str, Any]:
        return account.client("lambda").get_event_source_mapping(UUID=mapping.id)

    assert mapping["uuid"] == mapping.id
    assert mapping["state"] == described()["State"] == "Enabled"
    assert described()["DestinationConfig"] == {"OnFailure": {"Destination": failures["arn"]}}
    assert not mapping.diff(functionName=second["arn"]).replaces
    mapping.update(functionName=second["arn"])
    assert described()["FunctionArn"] == mapping["functionArn"] == second["arn"]
    assert list(mapping.diff(startingPosition="LATEST").replaces) == ["startingPosition"]


def test_a_pipe_carries_its_parameters(client: Client) -> None:
    pipe = client.create(
        "aws:pipes/pipe:Pipe",
        "p",
        roleArn=role(client, "pipe")["arn"],
        source=table(client, "piped")["streamArn"],
        target=client.create("aws:sns/topic:Topic", "piped")["arn"],
        sourceParameters={"dynamodbStreamParameters": {"startingPosition": "TRIM_HORIZON", "batchSize": 10}},
    )

    assert pipe["arn"].endswith(f":pipe/{pipe.id}")
    assert list(pipe.diff(sourceParameters={}).replaces) == ["sourceParameters"]
    pipe.delete()
    assert pipe.read() is None


def test_a_service_runs_its_tasks_and_is_scaled_in_place(client: Client, account: Account) -> None:
    ecs = account.client("ecs")
    cluster = client.create("aws:ecs/cluster:Cluster", "c")
    definition = client.create(
        "aws:ecs/taskDefinition:TaskDefinition",
        "d",
        family="family",
        cpu="256",
        memory="512",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        containerDefinitions=json.dumps([{"name": "c", "image": "i", "environment": []}]),
    )
    service = client.create(
        "aws:ecs/service:Service",
        "s",
        cluster=cluster["arn"],
        taskDefinition=definition["arn"],
        desiredCount=2,
        launchType="FARGATE",
        deploymentMaximumPercent=150,
        networkConfiguration={"subnets": ["subnet-1"]},
    )
    service.update(desiredCount=3)

    (described,) = ecs.describe_services(cluster=cluster.id, services=[service.id])["services"]
    assert described["desiredCount"] == 3
    assert described["deploymentConfiguration"]["maximumPercent"] == 150
    assert definition["revision"] == 1
    assert definition["arn"] == f"{definition['arnWithoutRevision']}:1"
    for made in (service, definition, cluster):
        made.delete()
        assert made.read() is None


def test_scaling_lives_in_the_state_alone(client: Client) -> None:
    target = client.create(
        "aws:appautoscaling/target:Target",
        "scalable",
        serviceNamespace="ecs",
        scalableDimension="ecs:service:DesiredCount",
        resourceId="service/c/s",
        minCapacity=1,
        maxCapacity=2,
    )

    assert target.id == "service/c/s"
    assert target.read() == target.outputs
    target.delete()


def test_a_network_is_made_and_leaves_nothing_behind(client: Client, account: Account) -> None:
    ec2 = account.client("ec2")
    before = len(ec2.describe_vpcs()["Vpcs"])
    vpc = client.create(
        "aws:ec2/vpc:Vpc", "v", cidrBlock="10.0.0.0/16", enableDnsHostnames=True, tags={"a": "1"}
    )
    subnet = client.create("aws:ec2/subnet:Subnet", "n", vpcId=vpc.id, cidrBlock="10.0.1.0/24")
    routes = client.create("aws:ec2/routeTable:RouteTable", "r", vpcId=vpc.id)
    internet = client.create("aws:ec2/internetGateway:InternetGateway", "i", vpcId=vpc.id)
    address = client.create("aws:ec2/eip:Eip", "e", domain="vpc")
    group = client.create(
        "aws:ec2/securityGroup:SecurityGroup",
        "g",
        vpcId=vpc.id,
        description="tasks",
        ingress=[{"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/16"]}],
    )
    made = [
        vpc,
        subnet,
        routes,
        client.create(
            "aws:ec2/routeTableAssociation:RouteTableAssociation",
            "ra",
            subnetId=subnet.id,
            routeTableId=routes.id,
        ),
        internet,
        client.create(
            "aws:ec2/route:Route",
            "out",
            routeTableId=routes.id,
            destinationCidrBlock="0.0.0.0/0",
            gatewayId=internet.id,
        ),
        address,
        client.create("aws:ec2/natGateway:NatGateway", "nat", subnetId=subnet.id, allocationId=address.id),
        group,
        client.create(
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "gi",
            securityGroupId=group.id,
            ipProtocol="tcp",
            fromPort=80,
            toPort=80,
            cidrIpv4="10.0.0.0/8",
        ),
        client.create(
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            "dynamodb",
            vpcId=vpc.id,
            serviceName="com.amazonaws.eu-south-1.dynamodb",
            routeTableIds=[routes.id],
        ),
    ]

    described = ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute="enableDnsHostnames")
    assert described["EnableDnsHostnames"]["Value"]
    assert vpc["arn"] == f"arn:aws:ec2:eu-south-1:000000000000:vpc/{vpc.id}"
    assert vpc["mainRouteTableId"].startswith("rtb-")
    assert ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]["Tags"] == [{"Key": "a", "Value": "1"}]
    (rules,) = ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"]
    assert {rule["FromPort"] for rule in rules["IpPermissions"]} == {443, 80}
    assert list(group.diff(ingress=[]).replaces) == ["ingress"]
    for each in reversed(made):
        assert each.read(), each.urn
        each.delete()
        assert each.read() is None, each.urn
    assert len(ec2.describe_vpcs()["Vpcs"]) == before


def test_logs_alarms_roles_and_repositories_come_and_go(client: Client) -> None:
    owner = role(client, "owner")
    logs = client.create("aws:cloudwatch/logGroup:LogGroup", "l", retentionInDays=7)
    other = client.create("aws:cloudwatch/logGroup:LogGroup", "l-other", name=f"{logs.id}-longer")
    made = [
        owner,
        client.create("aws:iam/rolePolicy:RolePolicy", "p", role=owner.id, policy=DOCUMENT),
        client.create(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "a",
            role=owner.id,
            policyArn="arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
        ),
        logs,
        client.create(
            "aws:cloudwatch/metricAlarm:MetricAlarm",
            "m",
            comparisonOperator="GreaterThanThreshold",
            evaluationPeriods=1,
            metricName="ApproximateNumberOfMessagesVisible",
            namespace="AWS/SQS",
            period=60,
            statistic="Maximum",
            threshold=0,
        ),
        client.create("aws:ecr/repository:Repository", "r", forceDelete=True),
        client.create("aws:kinesis/stream:Stream", "s", shardCount=1),
        client.create("aws:cloudwatch/eventBus:EventBus", "b"),
    ]

    assert logs["arn"] == f"arn:aws:logs:eu-south-1:000000000000:log-group:{logs.id}"
    for each in made:
        assert each["arn" if "arn" in each.outputs else "role"], each.urn
        assert each.read() == each.outputs, each.urn
    for each in reversed(made):
        each.delete()
        assert each.read() is None, each.urn
    assert other.read() == other.outputs, "another group whose name begins the same is not the one deleted"


def test_what_is_taken_away_is_no_output_any_more(client: Client, account: Account) -> None:
    alarm = client.create(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "less",
        comparisonOperator="GreaterThanThreshold",
        evaluationPeriods=1,
        metricName="m",
        namespace="n",
        period=60,
        statistic="Maximum",
        dimensions={"QueueName": "q"},
    )

    assert "dimensions" not in alarm.update(without="dimensions")
    (described,) = account.client("cloudwatch").describe_alarms(AlarmNames=[alarm.id])["MetricAlarms"]
    assert described["Dimensions"] == []


def test_a_bucket_is_emptied_only_when_the_program_says_so(client: Client, account: Account) -> None:
    s3 = account.client("s3")
    kept, emptied = (
        client.create("aws:s3/bucket:Bucket", name, forceDestroy=force)
        for name, force in (("kept", False), ("emptied", True))
    )
    for bucket in (kept, emptied):
        client.create(
            "aws:s3/bucketVersioning:BucketVersioning",
            "v",
            bucket=bucket.id,
            versioningConfiguration={"status": "Enabled"},
        )
        s3.put_object(Bucket=bucket.id, Key="a", Body=b"1")
        s3.put_object(Bucket=bucket.id, Key="a", Body=b"2")

    with pytest.raises(RefusedError, match="BucketNotEmpty"):
        kept.delete()
    emptied.delete()
    assert emptied.read() is None


def test_a_bucket_s_objects_expire_after_as_many_days_as_the_program_says(
    client: Client, account: Account
) -> None:
    def rules(days: int) -> list[dict[str, Any]]:
        return [
            {"id": "r", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": days}},
        ]

    bucket = client.create("aws:s3/bucket:Bucket", "forgetful")
    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    lifecycle = client.create(token, "l", bucket=bucket.id, rules=rules(14))

    def kept() -> list[Any]:
        found = account.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket.id)["Rules"]
        return [(rule["Status"], rule["Expiration"]["Days"]) for rule in found]

    assert kept() == [("Enabled", 14)]
    lifecycle.update(rules=rules(30))
    assert kept() == [("Enabled", 30)]
    lifecycle.delete()
    assert lifecycle.read() is None


def test_a_schedule_a_rule_and_its_target_come_and_go(client: Client) -> None:
    queue, owner = client.create("aws:sqs/queue:Queue", "target"), role(client, "scheduler")
    rule = client.create("aws:cloudwatch/eventRule:EventRule", "r", eventPattern='{"source": ["x"]}')
    made = [
        rule,
        client.create("aws:cloudwatch/eventTarget:EventTarget", "t", rule=rule["name"], arn=queue["arn"]),
        client.create(
            "aws:scheduler/schedule:Schedule",
            "s",
            scheduleExpression="rate(1 minutes)",
            flexibleTimeWindow={"mode": "OFF"},
            target={"arn": queue["arn"], "roleArn": owner["arn"], "retryPolicy": {"maximumRetryAttempts": 1}},
        ),
    ]

    assert made[2].id == f"default/{made[2]['name']}"
    for each in reversed(made):
        assert each.read() == each.outputs, each.urn
        each.delete()
        assert each.read() is None, each.urn


def test_an_api_its_source_and_its_resolver_come_and_go(client: Client, account: Account) -> None:
    api = client.create(
        "aws:appsync/graphQLApi:GraphQLApi",
        "api",
        authenticationType="API_KEY",
        schema="type Query { get(id: ID!): String } schema { query: Query }",
    )
    source = client.create(
        "aws:appsync/dataSource:DataSource",
        "source",
        name="source",
        apiId=api.id,
        type="AWS_LAMBDA",
        lambdaConfig={"functionArn": "arn:aws:lambda:eu-south-1:000000000000:function:f"},
    )
    made = [
        api,
        client.create("aws:appsync/apiKey:ApiKey", "key", apiId=api.id, expires="2027-01-31T01:00:00Z"),
        source,
        client.create(
            "aws:appsync/resolver:Resolver",
            "get",
            apiId=api.id,
            type="Query",
            field="get",
            dataSource=source["name"],
            runtime={"name": "APPSYNC_JS", "runtimeVersion": "1.0.0"},
            code="export function request(context) {}",
        ),
    ]

    described = account.client("appsync").get_data_source(apiId=api.id, name="source")["dataSource"]
    assert described["lambdaConfig"] == {"lambdaFunctionArn": source["lambdaConfig"]["functionArn"]}
    [key] = account.client("appsync").list_api_keys(apiId=api.id)["apiKeys"]
    assert key["expires"] == 1_801_357_200
    assert api["uris"]["GRAPHQL"].startswith("https://")
    for each in reversed(made):
        assert each.read(), each.urn
        each.delete()
        assert each.read() is None, each.urn


def test_what_the_emulator_would_do_wrong_is_refused_with_what_to_do(client: Client) -> None:
    with pytest.raises(
        RefusedError, match=r"DataSource: dynamodbConfig: the emulator's .* \(--config writeApi=function\)"
    ):
        client.create(
            "aws:appsync/dataSource:DataSource",
            "source",
            apiId="api",
            type="AMAZON_DYNAMODB",
            dynamodbConfig={"tableName": "state"},
        )


def test_an_input_that_no_call_takes_is_refused(client: Client) -> None:
    with pytest.raises(
        RefusedError, match=r"aws:iam/role:Role: the local provider has no use for inlinePolicies"
    ):
        client.create("aws:iam/role:Role", "r", assumeRolePolicy=DOCUMENT, inlinePolicies=[{"name": "p"}])


def test_what_is_made_by_halves_is_deleted_again(client: Client, account: Account) -> None:
    with pytest.raises(RefusedError, match="update_time_to_live") as refused:
        table(client, "half", ttl={"enabled": True})

    assert "\n" not in str(refused.value)
    names = account.client("dynamodb").list_tables()["TableNames"]
    assert not [name for name in names if name.startswith("half-")]


def test_a_refusal_of_the_emulator_is_one_line_that_names_the_type(client: Client) -> None:
    with pytest.raises(RefusedError) as refused:
        client.create("aws:sqs/queue:Queue", "q", redrivePolicy="not a document")

    assert str(refused.value).startswith("aws:sqs/queue:Queue: ")
    assert "\n" not in str(refused.value)


def test_code_is_packed_as_one_file(client: Client, account: Account) -> None:
    made = function(client, "packed")
    lambda_ = account.client("lambda")

    import urllib.request

    location = lambda_.get_function(FunctionName=made.id)["Code"]["Location"]
    with urllib.request.urlopen(location) as response, zipfile.ZipFile(io.BytesIO(response.read())) as found:
        assert found.namelist() == ["handler.py"]


def test_a_stream_of_kinesis_is_encrypted(client: Client, account: Account) -> None:
    made = client.create(
        "aws:kinesis/stream:Stream",
        "encrypted",
        shardCount=1,
        encryptionType="KMS",
        kmsKeyId="alias/aws/kinesis",
    )

    described = account.client("kinesis").describe_stream_summary(StreamName=made["name"])
    summary = described["StreamDescriptionSummary"]
    assert (summary["EncryptionType"], summary["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert made.read() == made.outputs
    assert made.diff(shardCount=1, kmsKeyId="alias/mine").replaces

"""Where dead letters are kept for people to look at."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.policy_document import deny_plain_http, document


@dataclass(frozen=True, kw_only=True)
class ArchiveBucketArgs:
    """What an ArchiveBucket is made of."""

    retention_days: pulumi.Input[int]  # how long an object is kept
    force_destroy: pulumi.Input[bool]  # delete the bucket with what it holds


class ArchiveBucket(pulumi.ComponentResource):
    """A private, encrypted bucket, over TLS only, that forgets. No versions: an object is written once."""

    bucket_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: ArchiveBucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:ArchiveBucket", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        bucket = aws.s3.Bucket(name, force_destroy=args.force_destroy, opts=child_opts)
        block = aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child_opts,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child_opts,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "forget",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": args.retention_days},
                }
            ],
            opts=child_opts,
        )
        everything = [bucket.arn, pulumi.Output.format("{0}/*", bucket.arn)]
        aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.bucket,
            policy=document(deny_plain_http("s3:*", everything)),
            # S3 refuses two changes of who may read a bucket at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[block]),
        )

        self.bucket_name = bucket.bucket
        self.arn = bucket.arn
        self.register_outputs({"bucketName": bucket.bucket, "arn": bucket.arn})

"""The image that tasks run."""

import re
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

CONTAINER = Path(__file__).parents[1] / "container"
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
PRIVATE_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)")


@dataclass(frozen=True, kw_only=True)
class ConsumerImageArgs:
    """What a ConsumerImage is made of."""

    uri: str  # pinned by digest; empty to build the image into a repository of the stack's own
    force_delete: pulumi.Input[bool]  # delete the repository even if it holds images


class ConsumerImage(pulumi.ComponentResource):
    """An image, always named by its digest. It is never built during a preview."""

    uri: pulumi.Output[str]
    repository_arn: pulumi.Output[str] | None  # of the ECR repository that it is in, if any

    def __init__(
        self, name: str, args: ConsumerImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:ConsumerImage", name, None, opts)
        self._invoke_opts = pulumi.InvokeOutputOptions(parent=self)

        if args.uri:
            self.uri = pulumi.Output.from_input(args.uri)
            self.repository_arn = self._repository_arn_of(args.uri)
        else:
            repository = self._repository(name, args)
            self.uri = self._built(name, repository)
            self.repository_arn = repository.arn
        self.register_outputs({"uri": self.uri, "repositoryArn": self.repository_arn})

    def _repository_arn_of(self, image: str) -> pulumi.Output[str] | None:
        """The ARN of the ECR repository that an image is in; none for an image from elsewhere."""
        match = PRIVATE_IMAGE.match(image)
        if not match:
            return None
        partition = aws.get_partition_output(opts=self._invoke_opts).partition
        return pulumi.Output.format("arn:{0}:ecr:{2}:{1}:repository/{3}", partition, *match.groups())

    def _repository(self, name: str, args: ConsumerImageArgs) -> aws.ecr.Repository:
        return aws.ecr.Repository(
            name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            force_delete=args.force_delete,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _built(self, name: str, repository: aws.ecr.Repository) -> pulumi.Output[str]:
        login = aws.ecr.get_authorization_token_output(
            registry_id=repository.registry_id, opts=self._invoke_opts
        )
        image = docker_build.Image(
            name,
            context={"location": relpath(CONTAINER)},
            platforms=[docker_build.Platform.LINUX_ARM64],
            # By digest alone: an immutable tag would refuse the second build of the same source. Raw, since
            # of an export by its fields the provider refuses a name that a first preview does not know:
            # https://github.com/pulumi/pulumi-docker-build/blob/v0.0.22/provider/internal/export.go
            exports=[
                {
                    "raw": pulumi.Output.format(
                        "type=registry,push-by-digest=true,name={0}", repository.repository_url
                    )
                }
            ],
            registries=[
                {
                    "address": repository.repository_url,
                    "username": login.user_name,
                    "password": pulumi.Output.secret(login.password),
                }
            ],
            push=False,
            build_on_preview=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.format("{0}@{1}", repository.repository_url, image.digest)

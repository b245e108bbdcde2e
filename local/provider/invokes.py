"""The functions of `pulumi_aws` that the provider's own configuration answers: they need no emulator."""

from collections.abc import Callable

from .plan import Properties

# The one account of the emulator.
ACCOUNT = "000000000000"


def _caller_identity(_region: str) -> Properties:
    arn = f"arn:aws:iam::{ACCOUNT}:root"
    return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": arn, "userId": ACCOUNT}


def _region(region: str) -> Properties:
    return {
        "id": region,
        "name": region,
        "region": region,
        "description": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
    }


def _partition(_region: str) -> Properties:
    return {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


def _availability_zones(region: str) -> Properties:
    letters = "abc"
    return {
        "id": region,
        "names": [f"{region}{letter}" for letter in letters],
        "zoneIds": [f"{region}-az{number}" for number in range(1, len(letters) + 1)],
        "groupNames": [region],
    }


NO_IMAGE = "the local stack builds no image: set statecast:image, to that of Pulumi.local.yaml for example"
REFUSED = {"aws:ecr/getAuthorizationToken:getAuthorizationToken": NO_IMAGE}
"""Functions that have no answer here, and what to do instead."""

INVOKES: dict[str, Callable[[str], Properties]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _availability_zones,
}

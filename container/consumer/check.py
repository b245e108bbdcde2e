"""The container's health check: exit 0 iff `/healthz` answers 200 (a slim image has no curl)."""

import os
import sys
from urllib.request import urlopen

from consumer.settings import Settings

# Below the 5 seconds after which ECS gives up: then the reason is told.
TIMEOUT_SECONDS = 4


def main() -> str | None:
    """Ask the consumer of this container; what is wrong, if anything is."""
    try:
        with urlopen(
            f"http://127.0.0.1:{Settings.from_environment(os.environ).port}/healthz", timeout=TIMEOUT_SECONDS
        ):
            return None
    except OSError as error:
        return f"unhealthy: {error}"


if __name__ == "__main__":
    sys.exit(main())

"""Stream → EventBridge Pipe → topic."""

import pulumi

from components.forwarders.forwarder import Forwarder, ForwarderArgs, publishing
from components.forwarders.stream_pipe import stream_pipe


class PipeForwarder(Forwarder):
    """A pipe that publishes each record as it is. It can set no message attribute."""

    def __init__(self, name: str, args: ForwarderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:PipeForwarder", name, None, opts)

        self.took = stream_pipe(
            name,
            args,
            target_arn=args.topic_arn,
            sending=publishing(args),
            role_path=args.publisher_path,
            parent=self,
        )
        self.register_outputs({})

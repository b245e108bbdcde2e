"""The forwarders, by the name of their variant. A new one is a file beside these and an entry here."""

from collections.abc import Callable, Mapping

from components.forwarders import lambda_forwarder
from components.forwarders.bus_forwarder import BusForwarder
from components.forwarders.forwarder import Forwarder, ForwarderArgs, ForwarderSettings
from components.forwarders.pipe_forwarder import PipeForwarder

__all__ = ["FORWARDERS", "Forwarder", "ForwarderArgs"]

FORWARDERS: Mapping[str, Callable[[str, ForwarderArgs, ForwarderSettings], Forwarder]] = {
    "lambda": lambda_forwarder.from_settings,
    "pipe": lambda name, args, _: PipeForwarder(name, args),
    "bus": lambda name, args, _: BusForwarder(name, args),
}

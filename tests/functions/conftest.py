"""An emulator, for what runs against its services."""

from tests.local.conftest import account, emulator

__all__ = ["account", "emulator"]

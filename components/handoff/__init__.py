"""The hand-off: one function gives another a message, in several ways, to measure them side by side."""

from components.handoff.handoff import Handoff, HandoffArgs

__all__ = ["Handoff", "HandoffArgs"]

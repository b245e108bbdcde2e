"""The hand-off: what it costs function A to give function B a message, and when B has it."""

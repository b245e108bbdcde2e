"""The metric of CloudWatch that the redriver emits by table, named here alone: the program draws and watches
it."""

NAMESPACE = "statecast"

LOST = "lost"

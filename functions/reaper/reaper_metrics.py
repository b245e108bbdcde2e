"""The metrics of CloudWatch that the reaper emits by table, named here alone: the program draws and watches
these."""

NAMESPACE = "statecast"

TASKS = "tasks"
TASKS_AT_DIGEST = "tasksAtDigest"
UNREADY_TASKS = "unreadyTasks"
POISON_MESSAGES = "poisonMessages"
STOPPED_TASKS = "stoppedTasks"

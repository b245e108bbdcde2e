"""The consumer: one task's replica of the table, kept by the messages of the slot that the task leases."""

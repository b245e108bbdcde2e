"""`bench reap`: poison one task, then all of them, and time what the reaper makes of it."""

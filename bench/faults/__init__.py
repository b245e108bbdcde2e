"""`bench faults`: break the system under writes, and account for every acknowledged write."""

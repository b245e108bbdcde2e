"""How far the fan-out carries: a simulation of the path, the quotas it meets, and what it costs there."""

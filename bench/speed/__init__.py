"""`bench speed`: the consumer, the forwarder and bench itself beside bare programs, in one run."""

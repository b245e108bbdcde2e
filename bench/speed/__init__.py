"""`bench speed`: the consumer beside bare boto3 programs, in one run."""

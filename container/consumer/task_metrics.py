"""The metrics of CloudWatch that tasks emit, named here alone: the program draws and watches these."""

NAMESPACE = "statecast"

# By table and forwarder, in milliseconds.
WRITE_TO_APPLIED = "writeToApplied"
FORWARD_TIME_TAKEN = "forwardTimeTaken"
SNS_TIME_TAKEN = "snsTimeTaken"
SQS_TIME_TAKEN = "sqsTimeTaken"
APPLY_TIME_TAKEN = "applyTimeTaken"
WATERMARK_LAG = "watermarkLag"

# By table, counts.
FALLBACK = "fallback"
REPAIRS = "repairs"

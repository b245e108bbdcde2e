"""The rates of AWS that the simulation is given: what is published, and for a task what was measured here."""

from bench.cost.model import PUBLISH_S, STREAM_POLL_S, VCPU
from bench.scale.limits import quotas
from bench.scale.path import Rates, Step, Time

# DynamoDB stream → Lambda is published at p50 213 ms (2022), half of the time between two looks included.
STREAM_S = 0.213 - STREAM_POLL_S / 2
# The article: 9.89 ms of its mean are neither AppSync's nor the Lambda's, so the topic's and the queue's.
DELIVERY_S = 0.00989
# A call from within the region: a write, a receive, a delete. Estimates.
WRITE_S, CALL_S = 0.005, 0.01
# A consumer's computing on one core of the machine in docs/scale.md: for a receive or a delete, by `bench
# scale --stack local`, and to decode, apply and log a message, by doing so 10,000 times in one process.
CALL_CPU_S, MESSAGE_CPU_S = 0.00115, 0.00003

AWS = Rates(
    write=Step(wait=Time(WRITE_S)),
    look_s=STREAM_POLL_S,
    stream_s=STREAM_S,
    publish=Step(wait=Time(PUBLISH_S)),
    deliver=Step(wait=Time(DELIVERY_S)),
    receive=Step(wait=Time(CALL_S), caller=Time(CALL_CPU_S, MESSAGE_CPU_S)),
    delete=Step(wait=Time(CALL_S), caller=Time(CALL_CPU_S)),
    change=MESSAGE_CPU_S,
    processor=VCPU,
    publishes=quotas()["publishes"].most,
)

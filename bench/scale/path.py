"""A discrete-event simulation of the path: writes → stream → forwarder → topic → queues → tasks.

Each step takes time in which nothing else waits (a network, another machine), and computing of its caller
and of the server. On AWS every caller has its own processor and the server is never short of one. On a laptop
one process is the server and all share a few cores. Where a publish quota is reached, publishes wait.
"""

from collections import defaultdict, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

import simpy

from bench.cost.model import LAMBDA_BATCH, PUBLISH_BATCH, RECEIVE_BATCH

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Time:
    """Seconds of a call, and more for each message in it."""

    call: float = 0
    message: float = 0

    def of(self, messages: float) -> float:
        """Seconds of a call with so many messages."""
        return self.call + self.message * messages


NOTHING = Time()


@dataclass(frozen=True)
class Step:
    """What a call takes: waiting, its caller's computing and the server's."""

    wait: Time = NOTHING
    caller: Time = NOTHING
    server: Time = NOTHING


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How long things take at one place. Seconds, but for `cores`, `processor` and `publishes`.

    Args:
        write: a change's write; its messages are changes.
        look_s: how often a forwarder that found nothing looks at the stream.
        stream_s: until a write can be read from it.
        publish: a publish of some messages, without the fan-out.
        deliver: the topic's delivery to one queue.
        receive, delete: of some messages; they are handled, and a change is applied, between the two.
        change: a task's computing for one more change in a message.
        tick_s: how often a waiting receive looks at its queue; 0: it is told at once.
        cores: that all share; None: each has its own.
        processor: a task's share of a core where each has its own.
        publishes: the most messages a second that the topic takes.
        idle_server, idle_cores: shares of a core that the server, and all else, takes when nothing changes.
    """

    write: Step
    look_s: float
    stream_s: float
    publish: Step
    deliver: Step
    receive: Step
    delete: Step
    change: float
    tick_s: float = 0
    cores: int | None = None
    processor: float = 1
    publishes: float = float("inf")
    idle_server: float = 0
    idle_cores: float = 0


@dataclass(frozen=True, kw_only=True)
class Load:
    """Of a run: changes a second for some seconds, to so many tasks.

    Args:
        sampled: tasks that are simulated; the others, all alike, count in a delivery's cost alone.
        shards: of the stream; each is forwarded by itself, in order.
        pack: changes that a message may hold.
        topics: among which the keys are divided; a task takes one's changes.
    """

    tasks: int
    changes: float
    seconds: float
    sampled: int = 60
    shards: int = 1
    pack: int = 1
    topics: int = 1


@dataclass
class Outcome:
    """Each simulated delivery's seconds, by when its change was written; and what went together."""

    expected: int
    lags: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    receives: int = 0
    messages: int = 0
    forwarded: int = 0
    published: int = 0

    @property
    def packed(self) -> float:
        """Changes in a message that was published, on average."""
        return self.forwarded / max(1, self.published)

    def percentile(self, of: float) -> float:
        """Seconds, by nearest rank."""
        ordered = sorted(lag for _, lag in self.lags)
        return ordered[max(0, ceil(len(ordered) * of / 100) - 1)] if ordered else float("nan")

    @property
    def growth(self) -> float:
        """Seconds that the last tenth came later than the tenth before the middle, by second between them."""
        ordered = sorted(self.lags)
        tenth = max(1, len(ordered) // 10)
        middle, end = ordered[4 * tenth : 5 * tenth], ordered[-tenth:]
        return (_mean(end, 1) - _mean(middle, 1)) / max(1e-9, _mean(end, 0) - _mean(middle, 0))


def _mean(pairs: Sequence[tuple[float, float]], place: int) -> float:
    return sum(pair[place] for pair in pairs) / max(1, len(pairs))


Message = tuple[float, ...]
"""When each change in it was written."""


def simulate(rates: Rates, load: Load, seed: int = 1, patience_s: float = 120) -> Outcome:
    """Write for `load.seconds`, and go on until all has come, or for `patience_s`."""
    return _Path(rates, load, seed, patience_s).run()


class _Path:
    def __init__(self, rates: Rates, load: Load, seed: int, patience_s: float) -> None:
        self.rates, self.load, self.random = rates, load, Random(seed)
        self.env = simpy.Environment()
        self.server = simpy.Resource(self.env) if rates.cores else None
        self.cores = simpy.Resource(self.env, rates.cores) if rates.cores else None
        count = round(load.changes * load.seconds)
        self.sampled = min(load.sampled, load.tasks)
        self.outcome = Outcome(0)
        self.records = [deque[float]() for _ in range(load.shards)]
        self.queues = [deque[Message]() for _ in range(self.sampled)]
        self.arrived = [self.env.event() for _ in range(self.sampled)]
        self.free_at = 0.0
        self.until = load.seconds + patience_s
        self.count = count
        self.done = self.env.event()

    def run(self) -> Outcome:
        env = self.env
        env.process(self.writes())
        for records in self.records:
            env.process(self.forward(records))
        for task in range(self.sampled):
            env.process(self.consume(task))
        if self.rates.cores:
            env.process(self.idle(self.server, self.rates.idle_server))
            env.process(self.idle(None, self.rates.idle_cores))
        env.run(env.any_of([self.done, env.timeout(self.until)]))
        return self.outcome

    def writes(self) -> Steps:
        for number in range(self.count):
            yield self.env.timeout(max(0.0, number / self.load.changes - self.env.now))
            self.env.process(self.write(self.records[number % self.load.shards]))

    def write(self, records: deque[float]) -> Steps:
        began = self.env.now
        yield from self.take(self.rates.write, 1, 1)
        yield self.env.timeout(self.rates.stream_s)
        records.append(began)

    def forward(self, records: deque[float]) -> Steps:
        while True:
            if not records:
                # Not in step with the writes: no two clocks are.
                yield self.env.timeout(self.rates.look_s * self.random.uniform(0.5, 1.5))
                continue
            batch = [records.popleft() for _ in range(min(LAMBDA_BATCH, len(records)))]
            pack = self.load.pack
            by_topic = defaultdict[int, list[float]](list)
            for at in batch:
                by_topic[self.random.randrange(self.load.topics)].append(at)
            for topic, changes in by_topic.items():
                messages = [tuple(changes[at : at + pack]) for at in range(0, len(changes), pack)]
                for at in range(0, len(messages), PUBLISH_BATCH):
                    yield from self.publish(topic, messages[at : at + PUBLISH_BATCH])

    def publish(self, topic: int, messages: Sequence[Message]) -> Steps:
        rates, env = self.rates, self.env
        self.outcome.published += len(messages)
        self.outcome.forwarded += sum(map(len, messages))
        self.free_at = max(self.free_at, env.now) + len(messages) / rates.publishes
        yield env.timeout(max(0.0, self.free_at - env.now))
        yield from self.take(rates.publish, len(messages), 1)
        env.process(self.deliver(topic, messages))

    def deliver(self, topic: int, messages: Sequence[Message]) -> Steps:
        topics = self.load.topics
        yield from self.take(self.rates.deliver, len(messages), self.load.tasks // topics)
        for task in range(topic, self.sampled, topics):
            self.queues[task].extend(messages)
            self.outcome.expected += sum(map(len, messages))
            if self.queues[task] and not self.arrived[task].triggered:
                self.arrived[task].succeed()

    def consume(self, task: int) -> Steps:
        env, rates, queue, outcome = self.env, self.rates, self.queues[task], self.outcome
        yield env.timeout(self.random.random() * rates.tick_s)  # or all would look at the same moments
        while True:
            asked = env.now
            if not queue:
                self.arrived[task] = env.event()
                yield self.arrived[task]
                if rates.tick_s:
                    yield env.timeout(rates.tick_s - (env.now - asked) % rates.tick_s)
            messages = [queue.popleft() for _ in range(min(RECEIVE_BATCH, len(queue)))]
            changes = [at for message in messages for at in message]
            yield from self.take(rates.receive, len(messages), 1)
            yield from self.compute(rates.change * (len(changes) - len(messages)))
            outcome.receives += 1
            outcome.messages += len(messages)
            outcome.lags += [(at, env.now - at) for at in changes]
            if len(outcome.lags) >= self.count * self.sampled / self.load.topics and not self.done.triggered:
                self.done.succeed()
            yield from self.take(rates.delete, len(messages), 1)

    def take(self, step: Step, messages: int, times: int) -> Steps:
        yield self.env.timeout(step.wait.of(messages))
        yield from self.compute(step.caller.of(messages) * times)
        if seconds := step.server.of(messages) * times:
            assert self.server and self.cores, "only where cores are shared has the server to compute"
            with self.server.request() as turn:
                yield turn
                yield from self.compute(seconds)

    def compute(self, seconds: float) -> Steps:
        if not seconds:
            return
        if self.cores is None:
            yield self.env.timeout(seconds / self.rates.processor)
            return
        with self.cores.request() as core:
            yield core
            yield self.env.timeout(seconds)

    def idle(self, server: simpy.Resource | None, share: float) -> Steps:
        """What is done when nothing changes, in pieces of a few milliseconds."""
        piece = 0.005
        while share:
            yield self.env.timeout(self.random.expovariate(share / piece))
            self.env.process(self.piece(server, piece))

    def piece(self, server: simpy.Resource | None, seconds: float) -> Steps:
        if server is None:
            yield from self.compute(seconds)
            return
        with server.request() as turn:
            yield turn
            yield from self.compute(seconds)

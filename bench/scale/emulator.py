"""The emulator's own rates, call by call: what the simulation is given before it is set beside real runs."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

import psutil

from bench.cost.model import RECEIVE_BATCH
from bench.errors import ExperimentError
from bench.fleet import await_ready
from bench.scale.path import Rates, Step, Time
from bench.speed.measures import SETTLED_S
from bench.speed.scratch import ITEMS, PATIENCE_S, Program, Scratch, scratch, wait
from bench.stack import Stack
from bench.writer import TableEntry, new_trace, now_ms

CALLS = 100
QUEUES = 10
BURST, SINGLES, SINGLE_EVERY_S = 1000, 60, 0.15
LOOKS, LOOK_AT_S = 5, 4.0
REST_S = 20.0
"""A fleet that others kept from its turn goes on to read the table, and to be checked, for a while."""
# ministack 1.5.33: a receive looks at its queue so often, and the poller of a stream is woken by a write.
TICK_S, LOOK_S = 0.1, 0.005


@dataclass
class Used:
    """Seconds of computing meanwhile: the server's, beyond what it always takes, and a caller's."""

    server: float = 0
    caller: float = 0
    seconds: float = 0


class Meter:
    """Reads processors' clocks. `idle_server` is the share of a core that the server takes anyhow."""

    def __init__(self, stack: Stack) -> None:
        port = urlsplit(stack.endpoint or "").port
        listening = (of for of in psutil.net_connections("tcp") if of.status == psutil.CONN_LISTEN)
        found = next((of for of in listening if getattr(of.laddr, "port", None) == port), None)
        if found is None or found.pid is None:
            raise ExperimentError(
                f"stack {stack.name!r} is not on this machine: its rates are measured beside it"
            )
        self._server = psutil.Process(found.pid)
        self.idle_server = 0.0

    @contextmanager
    def reading(self, caller: Callable[[], float] = time.process_time) -> Iterator[Used]:
        """What is used meanwhile; `caller` is the other clock."""
        used, server, other, began = Used(), self._clock(), caller(), time.monotonic()
        yield used
        used.seconds = time.monotonic() - began
        used.server = max(0.0, self._clock() - server - self.idle_server * used.seconds)
        used.caller = caller() - other

    def idle(self) -> tuple[float, float]:
        """Shares of a core that the server, and all else of the stack, take: medians of some looks."""
        servers, others = list[float](), list[float]()
        for _ in range(LOOKS):
            with self.reading(self._stack_clock) as used:
                time.sleep(LOOK_AT_S)
            servers.append(used.server / used.seconds)
            others.append(max(0.0, (used.caller - used.server) / used.seconds))
        return median(servers), median(others)

    def _clock(self) -> float:
        times = self._server.cpu_times()
        return times.user + times.system

    def _stack_clock(self) -> float:
        """Of the supervisor, which started the server, and all that it started: what has ended, too."""
        supervisor = self._server.parent()
        if supervisor is None:
            raise ExperimentError("the emulator's supervisor has ended: take the stack down and up again")
        total = 0.0
        for process in (supervisor, *supervisor.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # its own and its ended children's, user and system
        return total


def measured(stack: Stack) -> Rates:
    """The rates of a local stack that is up; what its tasks take when nothing changes is one."""
    meter = Meter(stack)
    await_ready(stack, PATIENCE_S)
    time.sleep(REST_S)
    server, others = meter.idle()
    meter.idle_server = server
    with scratch(stack) as place:
        write = _writes(meter, place)
        publish, deliver = _publishes(meter, place)
        receive = _receives(meter, place)
    return Rates(
        write=write,
        look_s=LOOK_S,
        stream_s=0,
        publish=publish,
        deliver=deliver,
        receive=receive,
        delete=receive,
        change=receive.caller.message,
        tick_s=TICK_S,
        cores=psutil.cpu_count() or 1,
        idle_server=server,
        idle_cores=others,
    )


def _writes(meter: Meter, place: Scratch) -> Step:
    entry = TableEntry(place.stack.client("dynamodb"), place.table)
    entry.put("first", 0, now_ms(), new_trace())
    with meter.reading() as used:
        for number in range(CALLS):
            entry.put(f"{number % ITEMS:08}", number, now_ms(), new_trace())
    return Step(caller=Time(used.caller / CALLS), server=Time(used.server / CALLS))


def _publishes(meter: Meter, place: Scratch) -> tuple[Step, Step]:
    """A publish with the invocation that makes it, and a delivery to a queue."""
    stack = place.stack
    sns, sqs, invoked = stack.client("sns"), stack.client("sqs"), _invocation(meter, stack)

    def publish(messages: int) -> Used:
        entries = [{"Id": str(number), "Message": place.body(number)} for number in range(messages)]
        with meter.reading() as used:
            for _ in range(CALLS):
                sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
            time.sleep(0.5)  # what it goes on with
        return used

    with ExitStack() as undo:
        topic = sns.create_topic(Name="statecast-scale")["TopicArn"]
        undo.callback(sns.delete_topic, TopicArn=topic)
        publish(1)
        one, ten = publish(1), publish(10)
        for number in range(QUEUES):
            queue = sqs.create_queue(QueueName=f"statecast-scale-{number}")["QueueUrl"]
            undo.callback(sqs.delete_queue, QueueUrl=queue)
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
                "QueueArn"
            ]
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        fanned = publish(10)
    server, caller = (
        _line(of / CALLS, to / CALLS) for of, to in ((one.server, ten.server), (one.caller, ten.caller))
    )
    step = Step(
        caller=Time(caller.call + invoked.caller, caller.message),
        server=Time(server.call + invoked.server, server.message),
    )
    return step, Step(server=Time(message=max(0.0, fanned.server - ten.server) / (CALLS * 10 * QUEUES)))


def _invocation(meter: Meter, stack: Stack) -> Used:
    """Of the forwarder's function, for no record."""
    client = stack.client("lambda")
    names = [
        of["FunctionName"] for of in client.list_functions()["Functions"] if "-lambda" in of["FunctionName"]
    ]
    if not names:
        raise ExperimentError(f"stack {stack.name!r} has no Lambda forwarder: it is what is compared")
    client.invoke(FunctionName=names[0], Payload=b'{"Records":[]}')
    with meter.reading() as used:
        for _ in range(CALLS):
            client.invoke(FunctionName=names[0], Payload=b'{"Records":[]}')
    return Used(used.server / CALLS, 0, used.seconds / CALLS)


def _receives(meter: Meter, place: Scratch) -> Step:
    """A consumer with a full queue, ten at a time, and with single messages."""
    sqs = place.stack.client("sqs")
    with place.consumer() as consumer:
        wait(lambda: consumer.told("snapshot complete"))
        time.sleep(SETTLED_S)
        consumer.process.send_signal(signal.SIGSTOP)
        with meter.reading() as sent:
            for number in range(SINGLES):
                sqs.send_message(QueueUrl=place.queue, MessageBody=place.body(2 + number))
        place.send(BURST - SINGLES, 2 + SINGLES)
        with meter.reading(lambda: consumer.cpu_s) as full:
            consumer.process.send_signal(signal.SIGCONT)
            _handled(consumer, BURST)
        time.sleep(SETTLED_S)
        with meter.reading(lambda: consumer.cpu_s) as idle:
            time.sleep(SINGLES * SINGLE_EVERY_S)
        with meter.reading(lambda: consumer.cpu_s) as single:
            for number in range(SINGLES):
                sqs.send_message(QueueUrl=place.queue, MessageBody=place.body(2 + BURST + number))
                time.sleep(SINGLE_EVERY_S)
            _handled(consumer, BURST + SINGLES)
    caller_s = single.caller - idle.caller * single.seconds / idle.seconds
    server_s = single.server - idle.server * single.seconds / idle.seconds - sent.server
    tens = BURST / RECEIVE_BATCH
    # A receive and a delete, which are not told apart: half of it each.
    caller = _line(caller_s / SINGLES / 2, full.caller / tens / 2)
    server = _line(server_s / SINGLES / 2, full.server / tens / 2)
    return Step(caller=caller, server=server)


def _handled(consumer: Program, messages: int) -> None:
    deadline = time.monotonic() + 60
    while consumer.output.read_text().count('"event":"delivery"') < messages:
        if time.monotonic() > deadline:
            raise ExperimentError(f"a consumer did not handle {messages} messages in 60 s")
        time.sleep(0.1)


def _line(one: float, ten: float) -> Time:
    """From what one message and ten take; a busy program may take less for ten than an idle one for one."""
    message = max(0.0, ten - one) / 9
    return Time(max(0.0, min(one, ten) - message), message)

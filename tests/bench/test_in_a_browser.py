"""The pages as a reader sees them: by Chromium, without a network."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from bench.burst import Burst, StepResult
from bench.cost.variants import costs
from bench.faults.checker import Sample, Struck
from bench.faults.result import Observation as FaultsObservation
from bench.faults.result import conclude as faults_conclude
from bench.faults.schedule import schedule
from bench.fleet import Lease
from bench.handoff.functions import Order
from bench.handoff.lines import Received, Sent
from bench.handoff.plan import PRESETS, plan
from bench.handoff.result import Observation, conclude
from bench.invocations import Invocation
from bench.report import page
from bench.report.faults import page as faults_page
from bench.report.handoff import page as handoff_page
from tests.bench.pretend import PretendStack
from tests.bench.synthetic import START, delivery, result, write

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MARKS = {
    "run": {
        "hops": ".barlayer .point path",
        "arrival": ".scatterlayer .js-line",
        "timeline": ".scatterlayer .points path",
        "tasks": ".heatmaplayer image",
    },
    "handoff": {"handoff": ".scatterlayer .points path"},
    "faults": {"timeline": ".scatterlayer .points path"},
}
WAYS = ["synchronous", "asynchronous", "sns", "kinesis"]
SCHEMES = ("light", "dark")
WIDTHS_PX = (400, 1400)
CONTRAST = 4.5
"""Of text that is read: https://www.w3.org/TR/WCAG22/#contrast-minimum"""

DRAWN = "[...document.querySelectorAll('.plotly-graph-div')].every(chart => chart.querySelector('.main-svg'))"
LOOK = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const paper = light(channels(getComputedStyle(document.body).backgroundColor));
  const contrast = colour => {
    const ink = light(channels(colour));
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  };
  const box = of => {
    const {left, right, top, bottom} = of.getBoundingClientRect();
    return {left, right, top, bottom};
  };
  const labels = chart => [...chart.querySelectorAll('.main-svg text')]
    .filter(text => text.textContent.trim() && text.getBoundingClientRect().width > 0)
    .map(text => ({text: text.textContent, box: box(text), contrast: contrast(getComputedStyle(text).fill)}));
  return {
    width: document.scrollingElement.scrollWidth,
    paper,
    prose: [...document.querySelectorAll('h1, h2, p, th, td')]
      .filter(each => each.textContent.trim())
      .map(each => ({text: each.textContent, contrast: contrast(getComputedStyle(each).color)})),
    charts: Object.fromEntries([...document.querySelectorAll('.js-plotly-plot')]
      .map(chart => [chart.id, {box: box(chart), labels: labels(chart)}])),
  };
}"""


@dataclass(frozen=True)
class Seen:
    """A page that was drawn."""

    width: int
    scheme: str
    looks: Any
    marks: dict[str, int]
    requests: list[str]
    complaints: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        told = f"none of {', '.join(NAMES)} is on PATH: apt-get install chromium, or your system's package"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    # A new profile each time, which is Playwright's way.
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield started
        started.close()


def a_run() -> str:
    """Three minutes at twenty tasks: some seconds are slow, one delivery comes twice, another is lost.

    Prices and a burst's steps besides, so that every table is there.
    """
    random = Random(6)
    writes = [write(number) for number in range(190)]
    deliveries = [
        delivery(one, f"task/{task}", by, round(random.lognormvariate(4.5, 0.7)) + slow)
        for one in writes
        for task in range(20)
        for by in ("lambda", "pipe")
        for slow in [1500 if 60 < one.number < 66 or one.number < 2 else 80]
    ]
    deliveries[900] = replace(deliveries[900], receives=2)
    deliveries.pop()
    emulator = "emulator (ministack 1.5.33)"
    paid = costs(PretendStack(), 20, "table")  # pyright: ignore[reportArgumentType]
    seen = result(
        writes[10:],
        deliveries,
        tasks=20,
        cloud=emulator,
        warm_up=writes[:10],
        costs=paid,
        invocations=[Invocation(START, 600.5, cold=True)],
    )
    took = seen.variants["lambda"].ms["write_to_applied"]
    steps = [StepResult(rate, rate - 0.1, 0, 0, 12, took) for rate in (20, 40, 200)]
    return page(replace(seen, observation=replace(seen.observation, burst=Burst("lambda", steps))))


def a_handoff() -> str:
    """Each way for each cell, some milliseconds apart by way."""
    orders, lines = list[Order](), list[Sent | Received]()
    for message in plan(10, WAYS, PRESETS["full"].cells, 6, "p:"):
        took = (WAYS.index(message.way) + 1) * 7.0 + message.number % 5 + message.size / 20_000
        waits = message.work_ms if message.way == "synchronous" else 0
        orders.append(Order(message, 10, 12, 15, None, ""))
        lines.append(Sent(message.id, False, 100, took + waits, "", ""))
        lines.append(Received(message.id, False, 100 + 2 * took, 400, ""))
    environment = {"cloud": "aws", "started": "2026-01-01T00-00-00Z", "clock_error": "unknown"}
    return handoff_page(conclude(Observation(environment, "full", WAYS, 0.25, {"measured": orders}, lines)))


def a_fault_run() -> str:
    """All faults; tasks that come, go and are behind, with reason and without; a write that is lost."""
    random = Random(6)
    struck = [
        Struck(one.fault, START + round(1000 * one.begin_s), START + round(1000 * one.end_s), note="8 tasks")
        for one in schedule(6, 90)
    ]
    writes = [write(number, f"item-{number}", 1) for number in range(90)]
    tasks = [f"task/{number:06x}-cafe" for number in range(0, 0xFFFFFF, 0x111111)]
    deliveries = [
        delivery(one, task, by, round(random.lognormvariate(4.5, 0.7)) + 20_000 * (one.number == 50))
        for one in writes[:-1]
        for at, task in enumerate(tasks)
        if at < 12 or one.number > 40
        for by in ("lambda", "pipe", "poll")
    ]
    leases = [Lease(f"{at:02}", task, at, True, "push", 1, "d", {}) for at, task in enumerate(tasks)]
    samples = [Sample(START + at, 8, leases if at > 40_000 else leases[:12]) for at in range(0, 99_000, 250)]
    held = {one.id: 1 for one in writes}
    return faults_page(
        faults_conclude(
            FaultsObservation(
                environment={"cloud": "emulator (ministack 1.5.33)", "seed": 6},
                first=START,
                struck=struck,
                writes=writes,
                samples=samples,
                started=dict.fromkeys(tasks, START - 1000),
                deliveries=deliveries,
                scans=[],
                table=held,
                tasks={task: {} for task in tasks[:2]},
                pushed=True,
                converged=False,
                dead_letters={},
            )
        )
    )


PAGES = {"run": a_run, "handoff": a_handoff, "faults": a_fault_run}


@pytest.fixture(
    scope="module",
    params=[(name, width, scheme) for name in PAGES for width in WIDTHS_PX for scheme in SCHEMES],
    ids=lambda each: "-".join(map(str, each)),
)
def seen(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    name, width, scheme = request.param
    file = tmp_path_factory.mktemp(name) / "report.html"
    file.write_text(PAGES[name]())
    requests, complaints = list[str](), list[str]()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda line: complaints.append(line.text))
    tab.on("pageerror", lambda problem: complaints.append(str(problem)))
    tab.goto(file.as_uri())
    tab.wait_for_function(DRAWN)
    marks = {chart: tab.locator(f"#{chart} {mark}").count() for chart, mark in MARKS[name].items()}
    others = [url for url in requests if not url.startswith(("data:", "blob:"))]
    yield Seen(width, scheme, tab.evaluate(LOOK), marks, others[1:], complaints)
    context.close()


def test_every_chart_is_drawn_and_has_marks(seen: Seen) -> None:
    assert set(seen.looks["charts"]) == set(seen.marks)
    assert all(seen.marks.values()), seen.marks


def test_nothing_is_wider_than_the_window(seen: Seen) -> None:
    assert seen.looks["width"] <= seen.width


def test_no_request_is_made_and_the_console_is_silent(seen: Seen) -> None:
    assert seen.requests == []
    assert seen.complaints == []


def test_the_page_has_the_reader_s_scheme_and_all_text_stands_out_from_it(seen: Seen) -> None:
    assert (seen.looks["paper"] > 0.5) == (seen.scheme == "light")
    texts = [*seen.looks["prose"], *(label for of in seen.looks["charts"].values() for label in of["labels"])]
    assert {each["text"]: each["contrast"] for each in texts if each["contrast"] < CONTRAST} == {}


def test_no_label_is_cut_off_or_lies_on_another(seen: Seen) -> None:
    for name, chart in seen.looks["charts"].items():
        for label in chart["labels"]:
            assert inside(label["box"], chart["box"]), f"{name}: {label}"
        for one, other in combinations(chart["labels"], 2):
            assert not overlap(one["box"], other["box"]), f"{name}: {one} {other}"


def inside(box: dict[str, float], of: dict[str, float]) -> bool:
    far = all(box[side] <= of[side] + 1 for side in ("right", "bottom"))
    return far and all(box[side] >= of[side] - 1 for side in ("left", "top"))


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """By more than the room that a line of text has above and below its letters."""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return across > 1 and down > 4

"""Who may import whom, as docs/architecture.md has it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PROGRAM = ("__main__.py", "handoff.py", "settings.py")
OURS = {
    "bench",
    "components",
    "consumer",
    "container",
    "functions",
    "handoff",
    "local",
    "policies",
    "settings",
}
MAY_IMPORT = {
    **{module: {"components", "handoff", "settings"} for module in PROGRAM},
    "components": {"components", "container.consumer.task_metrics", "functions"},
    "functions": set[str](),
    "container": {"consumer"},
    "policies": {"policies"},
    "local": {"local"},
    "bench": {"bench", "consumer", "local"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_what_it_may_alone(folder: str) -> None:
    place, allowed = CHECKOUT / folder, MAY_IMPORT[folder]
    modules = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert modules
    ours = {(path.name, name) for path in modules for name in imported(path) if name.split(".")[0] in OURS}
    assert {(by, name) for by, name in ours if not {name, name.split(".")[0]} & allowed} == set()


def test_of_the_functions_the_program_imports_names_of_metrics_alone() -> None:
    names = {name for path in (CHECKOUT / "components").rglob("*.py") for name in imported(path)}
    assert {name for name in names if name.startswith("functions.")} == {
        "functions.reaper.reaper_metrics",
        "functions.redriver.redriver_metrics",
    }


def test_queues_are_made_in_two_places_only() -> None:
    makers: list[str] = []
    for source in [CHECKOUT / "__main__.py", *sorted((CHECKOUT / "components").rglob("*.py"))]:
        calls = (node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call))
        makers += [source.name for call in calls if ast.unparse(call.func).split(".")[-1] == "Queue"]
    assert sorted(makers) == ["dead_letter_queue.py", "guarded_queue.py"]

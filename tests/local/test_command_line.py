import signal
import sys
from types import ModuleType

import pytest

from local.__main__ import unwind


def test_a_signal_in_the_middle_of_an_import_ends_the_program_with_its_number(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setitem(sys.modules, "rich._emoji_codes", ModuleType("rich._emoji_codes"))  # half imported
    try:
        with pytest.raises(SystemExit) as ended:
            unwind(signal.SIGTERM, None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.value.code == 128 + signal.SIGTERM
    assert capfd.readouterr().err == "interrupted: ending what was started\n"

"""Progress: a bar on a terminal, lines in a log, nothing of short work, nothing loaded for it."""

import io
import subprocess
import sys
import time

import pytest

from fastnn._runtime import progress
from fastnn._runtime.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_a_terminal(monkeypatch):
    """Make standard error a terminal, from now on."""
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    return found


@pytest.fixture
def clock(monkeypatch):
    """Let a clock stand that tests set."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def printed_by(code):
    """Return what a new process prints for `code`, where a warning is an error."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.check_output(command, text=True, timeout=60, stderr=subprocess.STDOUT)


def run(steps, seconds=0.0, **settings):
    with Progress("working", steps, **settings) as bar:
        for step in range(steps):
            time.sleep(seconds)
            bar.update(step + 1, f"step {step}")


def test_a_log_gets_a_line_every_half_minute_and_one_at_the_end(capsys, clock):
    with Progress("working", 400) as bar:
        for done, seconds in ((10, 1), (100, 30), (150, 59.9), (200, 60), (399, 80), (400, 81.4)):
            clock.now = 100.0 + seconds
            bar.update(done, f"step {done}")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "working:  25% 100/400 [0:30 passed, 1:30 left, step 100]",
        "working:  50% 200/400 [1:00 passed, 1:00 left, step 200]",
        "working: 100% 400/400 [1:21 passed, step 400]",
    ]


def test_nothing_is_shown_of_work_that_takes_less_than_a_second(capsys, clock):
    with Progress("working", 2) as bar:
        clock.now += 0.99
        bar.update(2)
    assert capsys.readouterr().err == ""
    with Progress("working", 2) as bar:
        clock.now += 1
        bar.update(2)
    assert capsys.readouterr().err == "working: 100% 2/2 [0:01 passed]\n"


def test_a_terminal_sees_nothing_of_short_work(monkeypatch):
    terminal = on_a_terminal(monkeypatch)
    run(4)
    assert terminal.getvalue() == ""


def test_a_terminal_sees_the_steps_and_the_time_that_is_left(monkeypatch):
    terminal = on_a_terminal(monkeypatch)
    run(6, seconds=0.4)
    shown = terminal.getvalue()
    assert all(f"{step}/6" in shown for step in (3, 4, 5, 6))
    assert "1/6" not in shown
    assert "[00:01<00:0" in shown


def test_a_terminal_sees_the_time_pass_although_no_step_is_complete(monkeypatch):
    terminal = on_a_terminal(monkeypatch)
    with Progress("working", 6):
        time.sleep(2.5)
    shown = terminal.getvalue()
    assert "0/6 [00:01<?" in shown
    assert "0/6 [00:02<?" in shown
    assert shown.endswith("\n")


def test_work_without_steps(capsys, clock):
    with Progress("working", 0):
        clock.now += 2
    assert capsys.readouterr().err == "working: 100% 0/0 [0:02 passed]\n"


def test_the_steps_may_go_back(monkeypatch):
    terminal = on_a_terminal(monkeypatch)
    monkeypatch.setattr(progress, "_SHOWN_AFTER", 0.0)
    with Progress("working", 10) as bar:
        bar.update(8)
        bar.update(0)
        bar.update(10)
    assert "10/10" in terminal.getvalue()


@pytest.mark.parametrize("drawn", [True, False])
def test_an_error_ends_the_line(monkeypatch, drawn):
    monkeypatch.setattr(progress, "_SHOWN_AFTER", 0.0)
    stream = Terminal() if drawn else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    def stop_after_three():
        with Progress("working", 10) as bar:
            bar.update(3)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop_after_three()
    assert "3/10" in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_nothing_is_drawn_or_loaded_where_it_is_off(capsys):
    run(3, enabled=False)
    assert capsys.readouterr() == ("", "")
    code = (
        "import sys, fastnn, numpy as np\n"
        "net, x = fastnn.MLP.random((4, 3), rng=0), np.zeros((9, 4), np.float32)\n"
        "labels = np.arange(9) % 3\n"
        "fastnn.train(net, x, labels, epochs=2, batch_size=3, learning_rate=0.1)\n"
        "fastnn.adversarial_accuracy(net, x, labels, eps=0.1)\n"
        "print('tqdm' in sys.modules)"
    )
    assert printed_by(code) == "False\n"


def test_a_bar_leaves_no_thread_and_no_lock_between_processes():
    code = (
        "import sys, threading\nfrom fastnn._runtime.progress import Progress\n"
        "sys.stderr.isatty = lambda: True\n"
        "with Progress('working', 3) as bar:\n    bar.update(1)\n"
        "print(threading.active_count(), 'multiprocessing.synchronize' in sys.modules)"
    )
    assert "1 False\n" in printed_by(code)


def test_a_notebook_without_widgets_gets_a_bar_of_characters_and_no_warning():
    code = (
        "import sys, types\n"
        "shell = types.SimpleNamespace(config={'IPKernelApp': {}})\n"
        "sys.modules['IPython'] = types.SimpleNamespace(get_ipython=lambda: shell)\n"
        "sys.modules['ipykernel'] = types.ModuleType('ipykernel')\n"
        "sys.modules['ipywidgets'] = None\n"
        "from fastnn._runtime.progress import Progress\n"
        "from fastnn._runtime import progress\nprogress._SHOWN_AFTER = 0.0\n"
        "with Progress('working', 3) as bar:\n    bar.update(3)\n"
    )
    assert "3/3" in printed_by(code)

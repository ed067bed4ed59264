"""The bar: drawn where asked for, one line in a log, and nothing loaded where it is not drawn."""

import io
import subprocess
import sys
import time

import pytest

from fastnn._runtime.progress import Progress


def printed_by(code):
    """Return what a new process prints for `code`, where a warning is an error."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.check_output(command, text=True, timeout=60, stderr=subprocess.STDOUT)


def run(steps, seconds=0.0, **settings):
    with Progress("working", steps, **settings) as bar:
        for step in range(steps):
            time.sleep(seconds)
            bar.update(step + 1, f"step {step}")


def test_a_log_gets_the_first_and_the_last_state_in_one_line(capsys):
    run(300, seconds=0.001)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.endswith("step 299]\n")
    assert "working: 100%" in shown.err
    assert "300/300" in shown.err
    assert shown.err.count("working") == 2


def test_a_terminal_sees_the_steps(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(4, seconds=0.15)
    assert all(f"{step}/4" in terminal.getvalue() for step in range(5))


def test_the_steps_may_go_back(capsys):
    with Progress("working", 10) as bar:
        bar.update(8)
        bar.update(0)
        bar.update(10)
    assert "10/10" in capsys.readouterr().err


def test_an_error_ends_the_line(capsys):
    def stop_after_three():
        with Progress("working", 10) as bar:
            bar.update(3)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop_after_three()
    shown = capsys.readouterr().err
    assert "3/10" in shown
    assert shown.endswith("\n")


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
        "with Progress('working', 3) as bar:\n    bar.update(1)\n"
        "    print(threading.active_count(), 'multiprocessing.synchronize' in sys.modules)"
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
        "with Progress('working', 3) as bar:\n    bar.update(3)\n"
    )
    assert "3/3" in printed_by(code)

"""What depends on a terminal: colours, wrapped lines, Ctrl-C; and what goes to standard error."""

import dataclasses
import json
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from fastnn.bench import figures, session
from fastnn.cli import _interrupt, _terminal, attack, main
from fastnn.cli._findings import Finding, report

pytestmark = pytest.mark.usefixtures("_small_and_apart")
pty = pytest.importorskip("pty")  # none on Windows


def on_a_terminal(code, *words, columns=80, until=b"", keys=b"", **environment):
    """Run Python on a terminal of its own: what it draws, its status, seconds after the keys.

    The keys are pressed when `until` was drawn.
    """
    leader, follower = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= {"TERM": "xterm", "COLUMNS": str(columns)} | environment
    process = subprocess.Popen(
        [sys.executable, *(("-c", code) if code else ("-m", "fastnn")), *map(str, words)],
        stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - one ioctl
    )  # fmt: skip
    os.close(follower)
    drawn, pressed = b"", None
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if pressed is None and keys and until in drawn:
            time.sleep(0.2)  # into the work
            os.write(leader, keys)
            pressed = time.monotonic()
        if select.select([leader], [], [], 0.05)[0]:
            try:
                drawn += os.read(leader, 4096)
            except OSError:  # Linux: the other end is closed
                break
        elif process.poll() is not None:
            break
    status = process.wait(timeout=10)
    os.close(leader)
    return drawn.decode(), status, pressed and time.monotonic() - pressed


def _take_terminal():
    """Make the terminal on standard input that of the process, so that Ctrl-C is for it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


# --- colours and lines


def test_colours_are_drawn_on_a_terminal_unless_no_color_is_set(weights, digits):
    words = ("attack", "--weights", weights, "--data", digits)
    drawn, status, _ = on_a_terminal(None, *words)
    assert status == 0
    assert "\x1b[1mfgsm " in drawn
    for setting in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain, status, _ = on_a_terminal(None, *words, **setting)
        assert status == 0
        assert "\x1b[" not in plain
        assert "fgsm " in plain
    assert "\x1b[1m" in on_a_terminal(None, *words, NO_COLOR="")[0]


def test_errors_have_a_colour_on_a_terminal_and_none_elsewhere(fastnn):
    assert "\x1b[1;31mfastnn attack:\x1b[0m nowhere" in on_a_terminal(None, "attack", "nowhere")[0]
    assert fastnn("attack", "nowhere")[2] == "fastnn attack: nowhere: no such file\n"


def test_findings_are_marked(monkeypatch):
    monkeypatch.setattr(_terminal, "_is_colourful", lambda stream: True)
    text = report([Finding("a", "ok", "b"), Finding("c", "wrong", "d")])
    assert text.startswith("\x1b[32mok  \x1b[0m  a  b\n\x1b[1;31mFAIL\x1b[0m  c  d\n")


@pytest.mark.parametrize("columns", [80, 120])
def test_rows_fit_the_terminal(weights, digits, columns):
    place = weights.rename(weights.with_name("x" * 40))
    words = ("attack", "--weights", place.name, "--data", digits.name)
    drawn, status, _ = on_a_terminal(None, *words, columns=columns, NO_COLOR="1")
    lines = drawn.splitlines()
    assert status == 0
    assert max(map(len, lines)) <= columns
    assert any(line.startswith(" " * 27 + "(xxxx") for line in lines) == (columns == 80)


def test_rows_in_a_pipe_are_whole(fastnn, weights, digits):
    place = weights.rename(weights.with_name("x" * 200))
    out = fastnn("attack", "--weights", place.name, "--data", digits)[1]
    assert re.search(r"\nnetwork +784-128-10, relu, float32 \(x{200}\)\n", out)
    assert "\x1b[" not in out


# --- Ctrl-C

LONG_TILE = textwrap.dedent(
    """
    import sys, time
    from fastnn import attacks, cli

    class Slow(attacks.FGSM):
        def perturb_tile(self, tile, eps):
            if self.norm == "l2":  # not in the warm-up
                print("slow", flush=True)
                time.sleep(60)
            return super().perturb_tile(tile, eps)

    attacks.ATTACKS["fgsm"] = Slow
    from fastnn.cli import _attacks
    _attacks.brief = lambda attack: attacks.FGSM()
    sys.exit(cli.main(sys.argv[1:]))
    """
)


@pytest.mark.parametrize("rows", ["few", "many"])
def test_ctrl_c_ends_a_long_tile_at_once(weights, digits, rows):
    data = ("--data", digits) if rows == "few" else ("--source", "sample")
    words = ("attack", "--weights", weights, *data, "--norm", "l2", "--json", "out.json")
    drawn, status, seconds = on_a_terminal(LONG_TILE, *words, until=b"slow", keys=b"\x03")
    assert status == 130
    assert seconds < 5
    lines = [line for line in re.sub(r"\x1b\[[\d;]*m", "", drawn).splitlines() if line]
    assert lines[-1] == "fastnn attack: interrupted"
    assert "Traceback" not in drawn
    assert sum("interrupted" in line for line in lines) == 1


def test_a_command_that_ends_by_itself_is_left_to_it(capfd):
    def press_soon():
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_soon).start()
    with pytest.raises(KeyboardInterrupt), _interrupt.ended_by_ctrl_c("never", patience=30):
        time.sleep(30)
    assert "never" not in capfd.readouterr().err
    assert signal.set_wakeup_fd(-1) == -1
    assert "fastnn Ctrl-C" not in [thread.name for thread in threading.enumerate()]


def test_the_status_of_an_interrupt(fastnn, weights, monkeypatch):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(attack, "load_job", interrupt)
    result = fastnn("attack", "--weights", weights)
    assert result == (130, "", "fastnn attack: interrupted\n")


def test_other_threads_and_other_handlers_keep_ctrl_c_as_it_is(monkeypatch):
    def seen():
        with _interrupt.ended_by_ctrl_c(""):
            names.append([thread.name for thread in threading.enumerate()])

    names = []
    thread = threading.Thread(target=seen)
    thread.start()
    thread.join()
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        seen()
    finally:
        signal.signal(signal.SIGINT, old)
    assert not any("fastnn Ctrl-C" in found for found in names)
    seen()
    assert "fastnn Ctrl-C" in names[-1]


# --- standard error, and readers that end


def test_what_was_written_is_said_unless_quiet(fastnn, weights, digits, tmp_path):
    words = ("attack", "--weights", weights, "--data", digits, "--json", "out.json")
    assert fastnn(*words)[2] == "wrote out.json: the results\n"
    assert fastnn(*words, "--quiet", "--force")[2] == ""


def test_quiet_draws_no_progress(fastnn, monkeypatch):
    from fastnn._runtime import progress

    monkeypatch.setattr(progress, "_SHOWN_AFTER", 0.0)
    assert "training: 100%" in fastnn("attack")[2]
    shown = fastnn("attack")[2]
    assert shown.count("attack: 100%") == 1
    monkeypatch.setenv("FASTNN_CACHE", "elsewhere")
    assert fastnn("attack", "-q")[2] == ""
    assert fastnn("train", "-q", "--epochs", 1)[2] == ""


def test_a_warning_is_shown_although_quiet(weights):
    command = [sys.executable, "-m", "fastnn", "attack", "--quiet", "--weights", str(weights)]
    env = os.environ | {"FASTNN_DATA": "typo"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    assert done.stderr == "fastnn: FASTNN_DATA is ignored: typo: no such folder\n"


@pytest.mark.parametrize("words", [("attack",), ("--version",)], ids=str)
def test_a_reader_that_has_gone_costs_no_words(weights, digits, words):
    if words == ("attack",):
        words += (str(weights), "--data", str(digits))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", *words],
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=300, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


# --- results that exist


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("attack", "--json", "old"), "old"),
        (("attack", "--plot", "old.png"), "old.png"),
        (("attack", "--save-adversarial", "old.npz"), "old.npz"),
        (("train", "--out", "old.npz"), "old.npz"),
        (("train", "--out", "net"), "net/fc1.weight.npy"),
        (("train", "--plot", "old.png"), "old.png"),
        (("doctor", "--json", "old"), "old"),
        (("fetch", "--json", "old"), "old"),
        (("bench", "--plot", "figures"), "figures/roofline.png"),
        (("bench", "--json", "old"), "old"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_training")
def test_results_are_not_replaced(fastnn, assert_refused, tmp_path, words, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"old")
    assert_refused(fastnn(*words), f"{file} exists already, --force replaces it")
    assert (tmp_path / file).read_bytes() == b"old"


def test_force_replaces_results(fastnn, weights, digits, tmp_path):
    words = ("attack", "--weights", weights, "--data", digits, "--json", "a.json")
    files = ("--plot", "a.png", "--save-adversarial", "a.npz")
    for name in ("a.json", "a.png", "a.npz"):
        (tmp_path / name).write_bytes(b"old")
    assert fastnn(*words, *files, "--force")[0] == 0
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["reports"][0]["n"] == 30
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.npz").read_bytes().startswith(b"PK")
    assert fastnn("train", "--out", weights, "--epochs", 1, "--force")[0] == 0


# --- bench


def test_an_interrupted_benchmark_leaves_no_folder(fastnn, monkeypatch, tmp_path):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "make_setting", interrupt)
    assert fastnn("bench", "--plot", "new")[0] == 130
    assert not (tmp_path / "new").exists()


def test_a_benchmark_makes_the_folder_of_its_figures(fastnn, monkeypatch, tmp_path):
    from fastnn.bench import table

    @dataclasses.dataclass
    class Empty:
        date: str = ""

    def drawn(document, folder):
        (folder / "speedups.png").write_bytes(b"drawn")
        return [folder / "speedups.png"]

    monkeypatch.setattr(session, "make_setting", lambda *_, **__: None)
    monkeypatch.setattr(session, "short_run", lambda *_, **__: Empty())
    monkeypatch.setattr(table, "heading", lambda _: "heading")
    monkeypatch.setattr(table, "table", lambda _: "table")
    monkeypatch.setattr(figures, "draw_all", drawn)
    status, out, err = fastnn("bench", "--plot", "a/b")
    assert (status, out) == (0, "heading\ntable\n")
    assert err == f"wrote {os.path.join('a', 'b', 'speedups.png')}: a figure\n"  # noqa: PTH118


def test_a_comparison_with_a_missing_file(fastnn, assert_refused):
    message = "missing.json: no such file or directory"
    assert_refused(fastnn("bench", "--compare", "missing.json"), message)


# --- threads of a training


def test_the_number_of_threads_of_a_training(fastnn, assert_refused, monkeypatch, tmp_path):
    from fastnn import _recipe
    from fastnn._runtime.threads import thread_count

    seen, real = [], _recipe.train
    monkeypatch.setattr(
        _recipe, "train", lambda *a, **k: seen.append(thread_count()) or real(*a, **k)
    )
    before = thread_count()
    for words, count in ((("--threads", 1), 1), ((), before)):
        assert fastnn("train", "--epochs", 1, "--force", *words)[0] == 0
        assert seen.pop() == count
    assert thread_count() == before
    assert_refused(fastnn("train", "--threads", 0, "--force"), "threads must .*0")


def test_the_process_ends_with_the_status_of_main():
    assert main(["--version"]) == 0

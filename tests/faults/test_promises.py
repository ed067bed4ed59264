"""What SECURITY.md promises of files from strangers, watched by the interpreter itself."""

import subprocess
import sys
import textwrap

import pytest

WATCH = """
import os, sys
import numpy as np
import fastnn
from fastnn.datasets import load_data

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NEVER = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
    "subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "socket.getaddrinfo",
    "urllib.Request", "pickle.find_class", "exec", "code.__new__", "ctypes.dlopen", "os.remove",
    "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
    "os.chown", "os.putenv", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp",
)
watching, seen = False, []

def hook(event, arguments):
    if not watching:
        return
    if event in NEVER:
        seen.append((event, repr(arguments)[:200]))
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        seen.append((event, repr(arguments)[:200]))

sys.addaudithook(hook)
net = fastnn.MLP.random((12, 7, 3), rng=1)
folder = sys.argv[1]
for name in ("net.npz", "net.safetensors", "net.pth"):
    fastnn.save_mlp(net, f"{folder}/{name}")
rng = np.random.default_rng(5)
x, labels = rng.random((30, 12)).astype(np.float32), np.arange(30) % 3
np.save(f"{folder}/x.npy", x)
np.savez(f"{folder}/both.npz", x=x, labels=labels)
np.savetxt(f"{folder}/table.csv", np.column_stack([x, labels]), delimiter=",")
READERS = {
    "net.npz": fastnn.load_mlp, "net.safetensors": fastnn.load_mlp, "net.pth": fastnn.load_mlp,
    "x.npy": lambda path: load_data(path, labels), "both.npz": load_data, "table.csv": load_data,
}
contents = {name: open(f"{folder}/{name}", "rb").read() for name in READERS}

def damaged(content):
    out = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, kind = int(rng.integers(len(out))), rng.integers(3)
        if kind == 0:
            out[at] = rng.integers(256)
        elif kind == 1:
            out[at : at + 8] = bytes(rng.integers(0, 256, 8, dtype=np.uint8))
        else:
            del out[at : at + int(rng.integers(1, 40))]
        out = out or bytearray(b"x")
    return bytes(out)

def read(name, content):
    global watching
    path = f"{folder}/damaged-{name}"
    with open(path, "wb") as file:
        file.write(content)
    before = sorted(os.listdir(folder)), os.stat(path).st_mtime_ns
    watching = True
    try:
        READERS[name](path)
    except (ValueError, TypeError, OSError):
        return 1
    finally:
        watching = False
        assert (sorted(os.listdir(folder)), os.stat(path).st_mtime_ns) == before
    return 0
"""
COUNT = """
for name in READERS:  # what is imported late is imported now
    for k in range(40):
        read(name, damaged(contents[name]))
seen.clear()
refused = sum(read(name, damaged(contents[name])) for name in READERS for k in range(200))
assert all(read(name, contents[name]) == 0 for name in READERS)
print(refused, [one for one in seen if "importlib" not in one[1]])
"""


def run(code, folder):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WATCH) + textwrap.dedent(code), str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    refused, _, events = done.stdout.strip().partition(" ")
    return int(refused), events


def test_reading_damaged_files_runs_writes_and_sends_nothing(tmp_path):
    refused, events = run(COUNT, tmp_path)
    assert refused > 400  # of 1,200
    assert events == "[]"


PLANTED = {
    "open": "open(folder + '/left', 'wb').close(); os.unlink(folder + '/left')",
    "pickle.find_class": "import pickle; pickle.loads(pickle.dumps(ValueError))",
    "exec": "exec('1 + 1')",
    "subprocess.Popen": "import subprocess; subprocess.run(['true'])",
    "socket.getaddrinfo": "import socket; socket.getaddrinfo('127.0.0.1', 80)",
}


@pytest.mark.parametrize("event", PLANTED)
def test_a_reader_that_does_more_than_read_is_found(tmp_path, event):
    planted = f"""
def evil(path):
    {PLANTED[event]}
READERS["net.npz"] = evil
read("net.npz", contents["net.npz"])
print(0, seen)
"""
    assert f"'{event}'" in run(planted, tmp_path)[1]

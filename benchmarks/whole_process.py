"""Seconds and peak memory of whole commands from start to exit, measured in random order."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from forms import BATCHES, closest

from fastnn import MLP, save_mlp

HERE = Path(__file__).parent

# Runs a command and prints its seconds and peak memory in KiB. A child's peak includes what its
# parent had at the start, so the parent is this small process.
LAUNCH = """
import os, sys, time
start = time.perf_counter()
out = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                     file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)])
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss, status)
"""


def commands(setting, data, folder):
    """Return `fastnn attack` on saved weights, and PyTorch scripts for it by the batch's size."""
    if not (Path(data or "") / "t10k-images-idx3-ubyte").is_file():
        raise FileNotFoundError("needs --data with MNIST's own files, unpacked")
    weights = folder / "weights"
    weights.mkdir()
    save_mlp(MLP(setting.weights, setting.biases), weights)
    data = str(Path(data).resolve())
    ours = [sys.executable, "-m", "fastnn", "attack", "--weights", str(weights), "--data", data]
    script = [sys.executable, str(HERE / "peers/attack_torch.py"), str(weights), data]
    sizes = (*BATCHES, len(setting.x))
    return ours, {f"torch, batches of {size:,}": [*script, str(size)] for size in sizes}


def compare(ours, scripts, rounds, report=print):
    """Time our command against the best scripts of a trial.

    Returns
    -------
    times : dict of str to list, (rounds, 1)
        Of "ours", "twin" and the best script or two.
    megabytes : dict of str to float
        Peak memory of all.
    trial : dict of str to list
        The times of all scripts.
    """
    report("whole process: a trial of the scripts")
    trial = measure_commands(scripts, 2)[0] if len(scripts) > 1 else {}
    chosen = closest({name: np.median(seconds) for name, seconds in trial.items()}) or scripts
    report("whole process")
    chosen = {name: scripts[name] for name in chosen}
    times, megabytes = measure_commands({"ours": ours, "twin": ours} | chosen, rounds)
    return times, megabytes, trial


def measure_commands(commands, rounds):
    """Return the times of every command, (rounds, 1), and its peak memory in megabytes."""
    times = {name: [] for name in commands}
    memory = dict.fromkeys(commands, 0.0)
    rng = np.random.default_rng(0)
    for turn in range(rounds + 1):  # the first one fills the caches of disk and numba
        for name in rng.permutation(list(commands)):
            seconds, kibibytes = launch(commands[name])
            memory[name] = max(memory[name], kibibytes * 1024 / 1e6)
            if turn:
                times[name].append([seconds])
    return times, memory


def launch(command):
    """Return seconds and peak memory in KiB of one command."""
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # An installed package comes with its bytecode. A checkout has it after the first run, if that
    # may write.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    launcher = [sys.executable, "-S", "-c", LAUNCH, *command]
    done = subprocess.run(
        launcher, capture_output=True, text=True, env=environment, check=True, cwd=HERE
    )
    seconds, kibibytes, status = done.stdout.split()
    if status != "0":
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ChildProcessError(f"{Path(command[1]).name} failed: {last}")
    return float(seconds), int(kibibytes)

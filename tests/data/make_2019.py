"""Write torch-1.3.1.pth, a state dict of 2019, with PyTorch 1.3.1 and Python 3.7.

The parameters are those of `make.parameters`, whose module needs a newer Python.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

SIZES = (7, 6, 5, 3)

rng = np.random.default_rng(20150)
weights = [rng.integers(-24, 24, (SIZES[i], SIZES[i + 1])) / 16 for i in range(3)]
biases = [rng.integers(-16, 16, d_out) / 16 for d_out in SIZES[1:]]
layers = OrderedDict()
for i in range(3):
    linear = layers[f"fc{i + 1}"] = torch.nn.Linear(SIZES[i], SIZES[i + 1])
    pair = {"weight": weights[i].T.copy(), "bias": biases[i]}
    linear.load_state_dict({name: torch.from_numpy(array).float() for name, array in pair.items()})
path = Path(__file__).parent / f"torch-{torch.__version__}.pth"
torch.save(torch.nn.Sequential(layers).state_dict(), str(path))

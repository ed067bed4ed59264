"""A script that does with PyTorch what `fastnn attack --weights W --data D` does.

Its third argument is the number of images in a batch.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

EPS = 0.1


def main(weights: Path, data: Path, batch: int) -> None:
    layers = []
    for i in range(1, 5):
        w = torch.from_numpy(np.load(weights / f"fc{i}.weight.npy"))
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data = w.T.contiguous()
        layer.bias.data = torch.from_numpy(np.load(weights / f"fc{i}.bias.npy").reshape(-1))
        layers += [layer, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1]).eval().requires_grad_(False)

    pixels = np.fromfile(data / "t10k-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 784)
    labels = torch.from_numpy(
        np.fromfile(data / "t10k-labels-idx1-ubyte", np.uint8, offset=8).astype(np.int64)
    )
    images = torch.from_numpy(pixels).float() / 255
    counts = dict.fromkeys(("clean", "unclipped", "clipped"), 0)
    for x, truth in zip(images.split(batch), labels.split(batch), strict=True):
        x.requires_grad_()
        logits = net(x)
        loss = functional.cross_entropy(logits, truth, reduction="sum")
        step = EPS * torch.autograd.grad(loss, x)[0].sign()
        with torch.inference_mode():
            moved = x + step
            outputs = (logits, net(moved), net(moved.clamp(0, 1)))
        for name, z in zip(counts, outputs, strict=True):
            counts[name] += int((z.argmax(dim=1) == truth).sum())
    for name, correct in counts.items():
        print(f"{name:<10} {correct / len(labels):.2%} ({correct:,})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))

"""Attacks in float64 with PyTorch's autograd, written from the papers' formulas.

They use nothing of fastnn. Every attack takes a network with `weights`, `biases` and `activation`,
images (n, D) and labels (n,) as arrays, and returns adversarial images; `on_tensors` makes tensors
of them, for some rows at a time. No loss cancels: each is formed from the other classes' logits.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch

from peers.eager_torch import ACTIVATIONS

_HALVINGS = 80  # of the interval in which a scale lies: more than float64 can tell apart
_ROWS = 500  # at a time
_LEAST = 1e-4


def on_tensors(attack):
    """Let an attack on a `Net` and tensors be called with arrays; arrays have one entry a row."""

    @functools.wraps(attack)
    def run(net, x, labels, eps, bounds, **options):
        made, parts = Net(net.weights, net.biases, net.activation), []
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            some = {
                name: torch.from_numpy(value[rows]) if isinstance(value, np.ndarray) else value
                for name, value in options.items()
            }
            given = (torch.from_numpy(x[rows]), torch.from_numpy(labels[rows]))
            parts.append(attack(made, *given, eps, bounds, **some).numpy())
        return np.concatenate(parts)

    return run


class Net:
    """A network in float64, its margins, and gradients by its inputs."""

    def __init__(self, weights, biases, activation="relu"):
        if activation not in ACTIVATIONS:
            raise NotImplementedError(f"no activation {activation!r}")
        layers = []
        for w, b in zip(weights, biases, strict=True):
            layer = torch.nn.Linear(*w.shape, dtype=torch.float64)
            layer.weight.data = torch.from_numpy(np.array(w.T, np.float64, order="C"))
            layer.bias.data = torch.from_numpy(np.array(b, np.float64))
            layers += [layer, ACTIVATIONS[activation]()]
        self.module = torch.nn.Sequential(*layers[:-1]).eval().requires_grad_(False)

    def logits(self, x):
        with torch.no_grad():
            return self.module(x)

    def gradient(self, x, value):
        """Return logits, values (n,) and their gradients; `value` takes logits."""
        x = x.detach().requires_grad_()
        logits = self.module(x)
        found = value(logits)
        (gradient,) = torch.autograd.grad(found.sum(), x)
        return logits.detach(), found.detach(), gradient


def others(logits, labels):
    """Return the logits with minus infinity for the label's class."""
    return logits.masked_fill(
        torch.nn.functional.one_hot(labels, logits.shape[1]).bool(), -torch.inf
    )


def margins(logits, labels):
    """Return the label's logit less the largest other one: below 0 an attack has succeeded."""
    return own(logits, labels) - others(logits, labels).max(dim=1).values


def own(logits, labels):
    return logits.gather(1, labels[:, None])[:, 0]


def sure(labels):
    """Return a value that rises with the cross-entropy, whose gradient does not cancel.

    The cross-entropy is log1p(exp(v)) with v = log(sum of the others' exp(z)) - z_label.
    """
    return lambda z: torch.logsumexp(others(z, labels), dim=1) - own(z, labels)


def ratio(labels):
    """Return the difference of logits ratio, arXiv:2003.01690, equation 6."""

    def value(z):
        ordered = z.sort(dim=1, descending=True).values
        lead = own(z, labels) - others(z, labels).max(dim=1).values
        return -lead / (ordered[:, 0] - ordered[:, 2])

    return value


def targeted_ratio(labels, targets):
    """Return its targeted form, equation 7."""

    def value(z):
        ordered = z.sort(dim=1, descending=True).values
        low = (ordered[:, 2] + ordered[:, 3]) / 2
        return -(own(z, labels) - own(z, targets)) / (ordered[:, 0] - low)

    return value


@dataclass(frozen=True)
class Ball:
    """What is within eps of clean images in a norm, and within bounds."""

    clean: torch.Tensor
    eps: float
    norm: str
    bounds: tuple[float, float] | None

    def nearest(self, x):
        """Return of each row the nearest one within ball and bounds."""
        lower, upper = self.bounds or (-torch.inf, torch.inf)
        least, most = lower - self.clean, upper - self.clean
        change = x - self.clean
        if self.norm == "linf":
            change = change.clamp(-self.eps, self.eps)
            return (self.clean + torch.clamp(change, least, most)).clamp(lower, upper)
        scale = self._scale(change, least, most)
        return (self.clean + torch.clamp(scale * change, least, most)).clamp(lower, upper)

    def _scale(self, change, least, most):
        """Return the largest s <= 1 with ``||clip(s * change, least, most)|| <= eps``."""
        low, high = torch.zeros(len(change), 1, dtype=torch.float64), torch.ones(len(change), 1)
        high = high.to(torch.float64)
        if self._fits(change, least, most).all():
            return high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fits = self._fits(middle * change, least, most)
            low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
        return torch.where(self._fits(change, least, most), 1.0, low)

    def _fits(self, change, least, most):
        sizes = torch.clamp(change, least, most).norm(dim=1, keepdim=True)
        return sizes <= self.eps

    def direction(self, gradient):
        """Return the steepest direction, of length 1 in the norm."""
        if self.norm == "linf":
            return gradient.sign()
        size = gradient.norm(dim=1, keepdim=True)
        return gradient / torch.where(size > 0, size, 1)


class Worst:
    """Of each row, the first input with the smallest margin."""

    def __init__(self, x):
        self.x = x.clone()
        self.margins = torch.full((len(x),), torch.inf, dtype=torch.float64)

    def see(self, x, found):
        better = found < self.margins
        self.x[better], self.margins[better] = x[better], found[better]


@on_tensors
def fgsm(net, x, labels, eps, bounds, *, norm="linf"):
    """Return ``x + eps * d``, the gradient's direction in the norm; in L2 only without bounds."""
    gradient = net.gradient(x, sure(labels))[2]
    ball = Ball(x, eps, norm, bounds)
    return ball.nearest(x + eps * ball.direction(gradient))


@on_tensors
def pgd(net, x, labels, eps, bounds, *, steps, size, norm="linf", momentum=0.0, last=False):
    """Return the worst input of all steps from `x`, or the last; arXiv:1706.06083, 1710.06081."""
    ball, worst, now = Ball(x, eps, norm, bounds), Worst(x), x
    velocity = torch.zeros_like(x)
    for _ in range(steps):
        logits, _, gradient = net.gradient(now, sure(labels))
        worst.see(now, margins(logits, labels))
        if momentum:
            total = gradient.abs().sum(dim=1, keepdim=True)
            velocity = momentum * velocity + gradient / torch.where(total > 0, total, 1)
            gradient = velocity
        now = ball.nearest(now + size * ball.direction(gradient))
    worst.see(now, margins(net.logits(now), labels))
    return now if last else worst.x


@on_tensors
def deepfool(net, x, labels, _, bounds, *, steps=50, overshoot=0.02, norm="l2"):
    """Return the inputs of arXiv:1511.04599, algorithm 2; a row that is fooled stops.

    A step is at least `_LEAST` long, to cross a boundary at which bounds have stopped the last one.
    """
    lower, upper = bounds or (-torch.inf, torch.inf)
    change, now = torch.zeros_like(x), x
    for _ in range(steps):
        standing = net.logits(now).argmax(dim=1) == labels
        if not standing.any():
            break
        step = _to_the_nearest(net, now, labels, norm)
        change = torch.where(standing[:, None], change + step, change)
        now = torch.where(
            standing[:, None], (x + (1 + overshoot) * change).clamp(lower, upper), now
        )
    return now


def _to_the_nearest(net, x, labels, norm):
    """Return the step to the nearest boundary of the linear approximation."""
    x = x.detach().requires_grad_()
    logits = net.module(x)
    classes = logits.shape[1]
    slopes = torch.stack(
        [torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0] for k in range(classes)]
    )
    rows = torch.arange(len(x))
    ways = slopes - slopes[labels, rows]
    gaps = (logits - own(logits, labels)[:, None]).detach().abs().T
    sizes = ways.norm(dim=2) if norm == "l2" else ways.abs().sum(dim=2)
    lengths = torch.where(sizes > 0, gaps / sizes, torch.inf)
    nearest = lengths.argmin(dim=0)
    way, size = ways[nearest, rows], sizes[nearest, rows]
    unit = way / size[:, None] if norm == "l2" else way.sign()
    return lengths[nearest, rows].clamp(min=_LEAST)[:, None] * unit


@on_tensors
def apgd(net, x, labels, eps, bounds, *, starts, loss="ce", steps=100, norm="linf"):
    """Return the worst inputs of arXiv:2003.01690, algorithm 1, over all starts (n, runs, D).

    With "dlr-targeted", the k-th start is for the k-th likeliest other class.
    """
    worst, ball = Worst(x), Ball(x, eps, norm, bounds)
    likely = others(net.logits(x), labels).argsort(dim=1, descending=True, stable=True)
    for k in range(starts.shape[1]):
        if loss == "dlr-targeted":
            value = targeted_ratio(labels, likely[:, k])
        else:
            value = {"ce": sure, "dlr": ratio}[loss](labels)
        _apgd_run(net, labels, ball, worst, starts[:, k], value, steps)
    return worst.x


def _checkpoints(steps):
    """Return the steps before which progress is judged: ``ceil(p_j * steps)``."""
    share, width, found = 22, 22, []
    while share <= 100:
        found.append(-(-share * steps // 100))
        width = max(width - 3, 6)
        share += width
    return found


def _apgd_run(net, labels, ball, worst, start, value, steps):
    now = before = start
    n, checks = len(start), _checkpoints(steps)
    size = torch.full((n, 1), 2.0 * ball.eps, dtype=torch.float64)
    best, best_slope = start.clone(), torch.zeros_like(start)
    top = torch.full((n,), -torch.inf, dtype=torch.float64)
    last, at_check = -top, top.clone()
    rises, halved = torch.zeros(n), torch.ones(n, dtype=torch.bool)
    checked = 0
    for step in range(steps + 1):
        logits, found, slope = net.gradient(now, value)
        worst.see(now, margins(logits, labels))
        rises += found > last
        last, better = found, found > top
        top[better], best[better], best_slope[better] = found[better], now[better], slope[better]
        if step == steps:
            return
        if step in checks:
            few = rises < 0.75 * (step - checked)
            halved = few | (~halved & (top <= at_check))
            size = torch.where(halved[:, None], size / 2, size)
            now = torch.where(halved[:, None], best, now)
            slope = torch.where(halved[:, None], best_slope, slope)
            at_check, checked, rises = top.clone(), step, torch.zeros(n)
        ahead = ball.nearest(now + size * ball.direction(slope))
        if step:
            ahead = ball.nearest(now + 0.75 * (ahead - now) + 0.25 * (now - before))
        before, now = now, ahead

"""JAX in float32: every job is one jitted function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}


class Jax:
    exact = False
    dtype = np.float32
    batch = None  # images in a batch of `accuracy`; None: all in one
    constants = False  # True: the weights of `accuracy` are part of the compiled program

    def __init__(self, weights, biases, activation):
        self._parameters = [
            (jnp.asarray(w, jnp.float32), jnp.asarray(b, jnp.float32))
            for w, b in zip(weights, biases, strict=True)
        ]
        self._activate = ACTIVATIONS[activation]
        self._count_batch = functools.partial(_accuracy, self._parameters)
        if self.constants:
            self._count_batch = _jit(self._of_constants)

    def array(self, values):
        return jnp.asarray(values, jnp.float32 if values.dtype.kind == "f" else jnp.int32)

    def sigmoid(self, z, bias):
        return _sigmoid(z, bias).block_until_ready()

    def relu(self, z, bias):
        return _relu(z, bias).block_until_ready()

    def softmax(self, logits):
        return _softmax(logits).block_until_ready()

    def step(self, x, gradient, eps, bounds):
        return _along(x, gradient, eps, bounds).block_until_ready()

    def residual(self, logits, labels):
        return jax.block_until_ready(_residual(logits, labels))

    def logits(self, x):
        return _logits(self._parameters, x, self._activate).block_until_ready()

    def gradients(self, x, labels):
        slopes = jax.block_until_ready(_gradients(self._parameters, x, labels, self._activate))
        return *(w for w, _ in slopes), *(b for _, b in slopes)

    def input_gradient(self, x, labels):
        return _attack(self._parameters, x, labels, self._activate)[1].block_until_ready()

    def fgsm(self, x, labels, eps, bounds):
        moved = _fgsm(self._parameters, x, labels, eps, bounds, self._activate)
        return moved.block_until_ready()

    def accuracy(self, x, labels, eps, bounds):
        size = self.batch or len(x)
        batches = [(x[i : i + size], labels[i : i + size]) for i in range(0, len(x), size)]
        counts = [self._count_batch(*batch, eps, bounds, self._activate) for batch in batches]
        return np.asarray(sum(counts[1:], counts[0]))

    def _of_constants(self, x, labels, eps, bounds, activate):
        return _accuracy.__wrapped__(self._parameters, x, labels, eps, bounds, activate)

    def sweep(self, x, labels, eps, bounds):
        return np.asarray(_sweep(self._parameters, x, labels, eps, bounds, self._activate))

    def train(self, x, labels, x_val, labels_val, epochs, batch_size, learning_rate, momentum):
        parameters = self._parameters
        velocities = jax.tree.map(jnp.zeros_like, parameters)
        metrics = None
        for _ in range(epochs):
            for start in range(0, len(x), batch_size):
                batch = slice(start, start + batch_size)
                samples = x[batch], labels[batch]
                parameters, velocities = _descend(
                    parameters, velocities, *samples, learning_rate, momentum, self._activate
                )
            metrics = [
                *_metrics(parameters, x, labels, self._activate),
                *_metrics(parameters, x_val, labels_val, self._activate),
            ]
        return np.array([float(value) for value in metrics])


def _jit(function):
    """Compile for a fixed activation, a fixed eps if it is one number, and fixed bounds."""
    static = ("activate", "eps", "bounds", "rate", "momentum")
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return jax.jit(function, static_argnames=[name for name in names if name in static])


def _losses(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]


@jax.jit
def _sigmoid(z, bias):
    return jax.nn.sigmoid(z + bias)


@jax.jit
def _relu(z, bias):
    return jax.nn.relu(z + bias)


_softmax = jax.jit(jax.nn.softmax)


@_jit
def _along(x, gradient, eps, bounds):
    return _step(x, jnp.sign(gradient), eps, bounds)


@jax.jit
def _residual(logits, labels):
    losses, back = jax.vjp(lambda z: _losses(z, labels), logits)
    return losses, back(jnp.ones_like(losses))[0]


@_jit
def _logits(parameters, x, activate):
    for w, b in parameters[:-1]:
        x = activate(x @ w + b)
    w, b = parameters[-1]
    return x @ w + b


@_jit
def _gradients(parameters, x, labels, activate):
    return jax.grad(lambda p: _losses(_logits(p, x, activate), labels).mean())(parameters)


@_jit
def _attack(parameters, x, labels, activate):
    """Return the clean logits and each sample's gradient, from one forward pass."""

    def total(x):
        logits = _logits(parameters, x, activate)
        return _losses(logits, labels).sum(), logits

    gradient, logits = jax.grad(total, has_aux=True)(x)
    return logits, gradient


def _step(x, signs, eps, bounds):
    moved = x + eps * signs
    return moved if bounds is None else jnp.clip(moved, *bounds)


def _right(logits, labels):
    return (logits.argmax(axis=1) == labels).sum()


@_jit
def _fgsm(parameters, x, labels, eps, bounds, activate):
    return _step(x, jnp.sign(_attack(parameters, x, labels, activate)[1]), eps, bounds)


@_jit
def _accuracy(parameters, x, labels, eps, bounds, activate):
    logits, gradient = _attack(parameters, x, labels, activate)
    moved = _step(x, jnp.sign(gradient), eps, bounds)
    after = _logits(parameters, moved, activate)
    return jnp.stack([_right(logits, labels), _right(after, labels)])


@_jit
def _sweep(parameters, x, labels, eps, bounds, activate):
    signs = jnp.sign(_attack(parameters, x, labels, activate)[1])
    count = functools.partial(_count, parameters, x, labels, signs, bounds, activate)
    return jax.lax.map(count, jnp.asarray(eps))


def _count(parameters, x, labels, signs, bounds, activate, eps):
    return _right(_logits(parameters, _step(x, signs, eps, bounds), activate), labels)


@_jit
def _descend(parameters, velocities, x, labels, rate, momentum, activate):
    slopes = _gradients(parameters, x, labels, activate)
    velocities = jax.tree.map(lambda v, g: momentum * v + g, velocities, slopes)
    return jax.tree.map(lambda p, v: p - rate * v, parameters, velocities), velocities


@_jit
def _metrics(parameters, x, labels, activate):
    logits = _logits(parameters, x, activate)
    return _losses(logits, labels).mean(), _right(logits, labels) / len(x)

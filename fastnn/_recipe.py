"""Networks that are trained once, then kept in the cache; the assignment's is one of them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import ArrayLike

from fastnn import datasets
from fastnn._runtime.files import user_cache_dir
from fastnn.attacks import Attack
from fastnn.io import load_mlp, save_mlp
from fastnn.networks import MLP
from fastnn.training import History, train


@dataclass(frozen=True)
class Recipe:
    """The layers of a network and the settings of `fastnn.train` for it.

    Parameters
    ----------
    sizes : tuple of int, optional
        Inputs, units of every hidden layer, classes.
    activation : {"relu", "sigmoid", "tanh"}, optional
    epochs, batch_size, learning_rate, momentum, l2, attack, eps, bounds : optional
        As for `fastnn.train`; `attack` is a name or an object.
    seed : int, optional
        Of the first weights, of the order of the samples, and of an attack's random numbers.

    Examples
    --------
    >>> import fastnn
    >>> recipe = fastnn.Recipe((784, 32, 10), epochs=2, attack="fgsm", eps=0.1, bounds=(0, 1))
    >>> recipe.network(source="sample")
    MLP(784-32-10, relu, float32)
    """

    sizes: tuple[int, ...] = (784, 2048, 512, 512, 10)
    activation: str = "relu"
    epochs: int = 6
    batch_size: int = 200
    learning_rate: float = 0.1
    momentum: float = 0.8
    l2: float = 0.0
    seed: int = 0
    attack: str | Attack | None = None
    eps: float | None = None
    bounds: tuple[float, float] | None = None

    def train(
        self,
        x: ArrayLike,
        labels: ArrayLike,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        *,
        progress: bool = True,
    ) -> tuple[MLP, History]:
        """Return a new network trained on `x`, and its history.

        Parameters
        ----------
        x : ndarray, shape (N, D), float32 or uint8
        labels : ndarray of int, shape (N,)
            True classes, each in [0, C).
        validation : tuple (x, labels), optional
            Samples to evaluate after every epoch.
        progress : bool, optional
            Draw a bar on standard error.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `fastnn.train` and `MLP.random`.

        Examples
        --------
        >>> import fastnn
        >>> data = fastnn.load_mnist(source="sample")
        >>> net, history = fastnn.Recipe((784, 32, 10)).train(data.x_train, data.y_train)
        >>> len(history.train_loss)
        6
        """
        net = MLP.random(self.sizes, self.activation, rng=self.seed)
        history = train(
            net,
            x,
            labels,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            l2=self.l2,
            validation=validation,
            rng=self.seed,
            progress=progress,
            attack=self.attack,
            eps=self.eps,
            bounds=self.bounds,
        )
        return net, history

    def network(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        source: str = "auto",
        progress: bool = True,
    ) -> MLP:
        """Return the network for MNIST's training digits, trained once and kept in the cache.

        Parameters
        ----------
        path, source : optional
            Which digits, as for `fastnn.load_mnist`.
        progress : bool, optional
            Draw a bar on standard error while it is trained.

        Returns
        -------
        MLP
            The same for the same digits and recipe. If the cache cannot be read or written, it is
            trained again and a line on standard error says so. ``fastnn doctor --clear-cache``
            empties the cache.

        Raises
        ------
        TypeError
            `attack` is an object whose settings cannot be told from its `repr`: neither a name nor
            a dataclass.
        FileNotFoundError
            There are no training digits.
        TypeError, ValueError, FloatingPointError
            As `train` and `fastnn.load_mnist`.

        Examples
        --------
        >>> import fastnn
        >>> recipe = fastnn.Recipe((784, 32, 10), epochs=2)
        >>> net, again = (recipe.network(source="sample") for _ in range(2))
        >>> bool((net.weights[0] == again.weights[0]).all())
        True
        """
        if not (
            self.attack is None
            or isinstance(self.attack, str)
            or dataclasses.is_dataclass(self.attack)
        ):
            raise TypeError(f"a network is kept by its attack's settings, got {self.attack!r}")
        return _cached(path, source, repr(self), lambda rows: self, progress=progress)[0]


# The sample has a fifteenth of MNIST's digits: it needs more epochs, with smaller steps.
FULL = Recipe()
SAMPLE = Recipe(epochs=15, batch_size=50, learning_rate=0.05)


def recipe_for(rows: int) -> Recipe:
    """Return the recipe for a training set of `rows` digits."""
    return FULL if rows > 20_000 else SAMPLE


def cached_network(
    path: str | os.PathLike[str] | None, source: str, *, progress: bool = True
) -> tuple[MLP, str]:
    """Return the network for the digits that `datasets.load_mnist` finds, and where it is from.

    It is trained once for the same digits and recipe, and kept in the user's cache. If the cache
    cannot be read or written, the network is trained again and a line on standard error says so.
    """
    return _cached(path, source, repr((FULL, SAMPLE)), recipe_for, progress=progress)


def _cached(
    path: str | os.PathLike[str] | None,
    source: str,
    settings: str,
    recipe_of: Callable[[int], Recipe],
    *,
    progress: bool,
) -> tuple[MLP, str]:
    """Return the network that is kept for these digits and settings, else train and keep it."""
    where = datasets.identity(path, source=source)
    key = hashlib.sha256(f"{where}\n{settings}".encode()).hexdigest()[:16]
    file = user_cache_dir() / "networks" / f"{key}.npz"
    try:
        if file.is_file():
            return load_mlp(file), "kept from an earlier run"
    except (OSError, ValueError) as error:
        print(f"fastnn: training again: {error}", file=sys.stderr)
    x, labels, _ = datasets.load_split("train", path, source=source)
    if not len(x):
        raise FileNotFoundError("there are no training digits, and no network was given")
    net, _ = recipe_of(len(x)).train(x, labels, progress=progress)
    return net, _keep(net, file)


def _keep(net: MLP, file: Path) -> str:
    """Write the network to the cache and say where it is from."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_mlp(net, file)
    except OSError as error:
        print(f"fastnn: the network could not be kept: {error}", file=sys.stderr)
        return "trained now"
    return "trained now, kept for the next run"

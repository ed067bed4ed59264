"""Part 2: the network with three hidden ReLU layers, and its attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from fastnn import _checks
from fastnn.attacks import fgsm
from fastnn.comp7015 import _arrays
from fastnn.comp7015._arrays import Array
from fastnn.comp7015._perceptron_state import KEYS, PerceptronState


class MultiLayerPerceptron(PerceptronState):
    """Three hidden ReLU layers and a softmax, for one image or a whole test set.

    Every method takes `x` as one image (D,) or as images (N, D), and returns one result or N.
    Results are float32 if the parameters are float32 and `x` is float32 or uint8; if either is
    float64, they are float64, as in numpy.

    Attributes
    ----------
    eps : float
        The attack's budget, 0.1 until it is set.
    W1, W2, W3, W4 : ndarray, shape (d_in, d_out)
    b1, b2, b3, b4 : ndarray, shape (d_out,) or (1, d_out)
        Parameters, read-only: to change one, assign another array.
    z1, z2, z3, z4, h1, h2, h3, p : ndarray, shapes (d_out,) or (N, d_out)
        Values before and after activation and the probabilities, from the last `forward`,
        `predict`, `gradient` or `attack`.

    Notes
    -----
    A call keeps a copy of its images. The layers are computed from this copy when one of them is
    first read. For 10,000 images of the assignment's network, the copy takes 31 MB in float32 and
    63 MB in float64, all layers together 250 and 490 MB.

    Examples
    --------
    Weights that are unit matrices make the logits ``relu(x)``:

    >>> import numpy as np
    >>> from fastnn.comp7015 import MultiLayerPerceptron
    >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
    >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
    >>> clf = MultiLayerPerceptron()
    >>> clf.load_params(params)
    >>> clf.set_attack_budget(0.5)
    >>> x = np.array([[1.0, 0.0], [3.0, 3.0]])
    >>> clf.predict(x)
    array([0, 0])
    >>> clf.attack(x, [0, 0])
    array([[0.5, 0. ],
           [2.5, 3.5]])
    >>> clf.z1
    array([[1., 0.],
           [3., 3.]])
    """

    def load_params(self, params: Mapping[str, ArrayLike]) -> None:
        """Copy weights and biases into the network.

        Parameters
        ----------
        params : dict
            ``fc1.weight``, ``fc1.bias``, ..., ``fc4.bias``: (d_in, d_out), and (d_out,) or
            (1, d_out). Each may be an archive of one array, as `np.load` opens an ``.npz``.

        Raises
        ------
        TypeError
            A parameter does not hold numbers.
        ValueError
            A key is missing, an archive has several arrays, a layer does not fit the one before it,
            or an entry is NaN or infinite. The network then keeps its earlier parameters.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.W4
        array([[1., 0.],
               [0., 1.]])
        """
        arrays = _arrays.entries(params, KEYS)
        self._adopt(arrays, [f"params[{key!r}]" for key in KEYS])

    def set_attack_budget(self, eps: float) -> None:
        """Set the largest change of a pixel, in the units of the image.

        Parameters
        ----------
        eps : float
            >= 0.

        Raises
        ------
        TypeError, ValueError
            `eps` is not a number, negative, or not finite.

        Examples
        --------
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> clf = MultiLayerPerceptron()
        >>> clf.set_attack_budget(0.3)
        >>> clf.eps
        0.3
        """
        self.eps = _checks.real(eps, "eps")

    def forward(self, x: ArrayLike) -> Array:
        """Return the probabilities, and set ``z1`` to ``z4``, ``h1`` to ``h3`` and ``p``.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)

        Returns
        -------
        ndarray, shape (C,) or (N, C), float32 or float64
            The array that is `p`.

        Raises
        ------
        AttributeError
            There are no parameters yet.
        TypeError
            `x` does not hold numbers.
        ValueError
            `x` has another width, or an entry that is NaN or infinite.
        FloatingPointError
            The logits of a row overflow.

        Notes
        -----
        ``z_i = h_(i-1) W_i + b_i``, ``h_i = relu(z_i)``, ``p = softmax(z_4)``.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.forward(np.array([2.0, 2.0]))
        array([0.5, 0.5])
        >>> clf.z4
        array([2., 2.])
        """
        net, images = self._images(x)
        p = net.predict_proba(images)
        self._remember(net, images)
        self.p = p
        return p

    def predict(self, x: ArrayLike) -> Any:
        """Return the class of the largest logit, the lowest one if several are equal.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)

        Returns
        -------
        int64, or ndarray of int64, shape (N,)

        Raises
        ------
        AttributeError, TypeError, ValueError, FloatingPointError
            As `forward`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.predict(np.array([[1.0, 2.0], [2.0, 1.0]]))
        array([1, 0])
        """
        net, images = self._images(x)
        found = net.predict(images)
        self._remember(net, images)
        return found

    def gradient(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Return the derivative of every image's own loss by its pixels.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)
        y : int, or ndarray of int, shape (N,)
            True classes, each in [0, C).

        Returns
        -------
        ndarray, shape of `x`, float32 or float64

        Raises
        ------
        AttributeError, TypeError, ValueError, FloatingPointError
            As `forward`; classes are not integers, not one for each image, or out of range; a
            derivative overflows.

        Notes
        -----
        ``p - one_hot(y)``, formed without cancellation, taken back through the four layers.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.gradient(np.array([2.0, 2.0]), 0)
        array([-0.5,  0.5])
        """
        net, images, truth = self._samples(x, y)
        gradient = net.input_gradient(images, truth)
        self._remember(net, images)
        return gradient

    def attack(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Return adversarial images, ``x + eps * sign(dL/dx)``, not clipped.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)
        y : int, or ndarray of int, shape (N,)
            True classes, each in [0, C).

        Returns
        -------
        ndarray, shape of `x`, float32 or float64
            A new array.

        Raises
        ------
        AttributeError, TypeError, ValueError, FloatingPointError
            As `gradient`; `eps` is not a number, negative, or not finite; a pixel overflows.

        Notes
        -----
        As `fastnn.fgsm`: the signs are right even where the gradient underflows.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.attack(np.array([2.0, 2.0]), 0)
        array([1.9, 2.1])
        """
        eps = _checks.real(self.eps, "eps")
        net, images, truth = self._samples(x, y)
        out = fgsm(net, images, truth, eps)
        self._remember(net, images)
        return out

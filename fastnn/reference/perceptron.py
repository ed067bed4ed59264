"""The network of the assignment's second part, for one image."""

import numpy as np

from .functional import Array, attack_residual, relu, relu_grad, residual, softmax


class MultiLayerPerceptron:
    """Three hidden ReLU layers and a softmax, for one image at a time.

    Attributes
    ----------
    eps : float
        The attack's budget, 0.1 until it is set.
    W1, W2, W3, W4, b1, b2, b3, b4 : ndarray
        Weights (d_in, d_out) and biases, (d_out,) or (1, d_out), from `load_params`.
    z1, z2, z3, z4, h1, h2, h3, p : ndarray
        Values before and after activation and the probabilities, from the last `forward`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import MultiLayerPerceptron
    >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
    >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
    >>> clf = MultiLayerPerceptron()
    >>> clf.load_params(params)
    >>> clf.set_attack_budget(0.5)
    >>> x = np.array([3.0, 3.0])
    >>> clf.predict(x)
    0
    >>> clf.attack(x, 0)
    array([2.5, 3.5])
    """

    def __init__(self) -> None:
        self.eps = 0.1

    def load_params(self, params: dict[str, Array]) -> None:
        """Take the arrays ``fc1.weight``, ``fc1.bias``, ..., ``fc4.bias``.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.reference.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.W4
        array([[1., 0.],
               [0., 1.]])
        """
        self.W1, self.b1 = params["fc1.weight"], params["fc1.bias"]
        self.W2, self.b2 = params["fc2.weight"], params["fc2.bias"]
        self.W3, self.b3 = params["fc3.weight"], params["fc3.bias"]
        self.W4, self.b4 = params["fc4.weight"], params["fc4.bias"]

    def set_attack_budget(self, eps: float) -> None:
        """Set the largest change of a pixel, in the units of the image.

        Examples
        --------
        >>> from fastnn.reference.comp7015 import MultiLayerPerceptron
        >>> clf = MultiLayerPerceptron()
        >>> clf.set_attack_budget(0.3)
        >>> clf.eps
        0.3
        """
        self.eps = eps

    def forward(self, x: Array) -> Array:
        """``z_i = h_{i-1} W_i + b_i``, ``h_i = relu(z_i)``, ``p = softmax(z_4)``.

        Parameters
        ----------
        x : ndarray, shape (D,)
            One image.

        Returns
        -------
        ndarray, shape (C,)
            The probabilities `p`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.reference.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.forward(np.array([2.0, 2.0]))
        array([0.5, 0.5])
        """
        self.z1 = np.dot(x, self.W1) + np.ravel(self.b1)
        self.h1 = relu(self.z1)
        self.z2 = np.dot(self.h1, self.W2) + np.ravel(self.b2)
        self.h2 = relu(self.z2)
        self.z3 = np.dot(self.h2, self.W3) + np.ravel(self.b3)
        self.h3 = relu(self.z3)
        self.z4 = np.dot(self.h3, self.W4) + np.ravel(self.b4)
        self.p = softmax(self.z4)
        return self.p

    def predict(self, x: Array) -> int:
        """Return the class of the largest probability, an int, for one image of shape (D,).

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.reference.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.predict(np.array([1.0, 2.0]))
        1
        """
        return int(np.argmax(self.forward(x)))

    def gradient(self, x: Array, y: int) -> Array:
        """``dL/dx``: ``p - one_hot(y)`` taken back through the four layers.

        Parameters
        ----------
        x : ndarray, shape (D,)
            One image.
        y : int
            Its true class.

        Returns
        -------
        ndarray, shape (D,)

        Notes
        -----
        The difference ``p - one_hot(y)`` is formed by `fastnn.reference.residual`, without
        cancellation: the same formula, and the right signs where ``p_y`` rounds to 1.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.reference.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.gradient(np.array([2.0, 2.0]), 0)
        array([-0.5,  0.5])
        """
        self.forward(x)
        return self._back(residual(self.z4, y))

    def attack(self, x: Array, y: int) -> Array:
        """``x + eps * sign(dL/dx)``, not clipped, the signs by `fastnn.reference.attack_residual`.

        Parameters
        ----------
        x : ndarray, shape (D,)
            One image.
        y : int
            Its true class.

        Returns
        -------
        ndarray, shape (D,)
            The adversarial image.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.reference.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.attack(np.array([2.0, 2.0]), 0)
        array([1.9, 2.1])
        """
        self.forward(x)
        return x + self.eps * np.sign(self._back(attack_residual(self.z4, y)))

    def _back(self, delta: Array) -> Array:
        """Take a gradient in `z4` back to the image of the last `forward`."""
        delta = np.dot(self.W4, delta) * relu_grad(self.z3)
        delta = np.dot(self.W3, delta) * relu_grad(self.z2)
        delta = np.dot(self.W2, delta) * relu_grad(self.z1)
        return np.asarray(np.dot(self.W1, delta))

"""Draw the figures of the documentation that are not in benchmarks/figures.

``python docs/figures/draw.py --data DIR --weights weights``: DIR has MNIST's files,
and ``fastnn train --data DIR --out weights`` makes the network.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from adversarial_training import RECIPES
from matplotlib.figure import Figure

import fastnn
from fastnn import comp7015, plots, reference
from fastnn.attacks import APGD, FGSM, PGD, DeepFool, Square

HERE = Path(__file__).parent
EPS = [0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3]
FEW = 200  # images, since some attacks take long
CURVE = [0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25]
TITLES = {
    "as they are": "trained on images as they are",
    "PGD": "trained on what PGD makes of them",
}
SHOWN = [
    (DeepFool(norm="linf"), "DeepFool"),
    (Square(queries=500), "Square, 500 queries"),
    (FGSM(), "FGSM"),
    (PGD(), "PGD"),
    (APGD(loss="dlr-targeted"), "APGD, targeted"),
]


def draw_accuracy_curve(data, weights):
    """Draw accuracy against eps for the network of part 2, clipped and not."""
    test = fastnn.load_mnist(data)
    net = fastnn.load_mlp(weights)
    ax = None
    for label, bounds in (("not clipped", None), ("clipped to [0, 1]", (0, 1))):
        report = fastnn.adversarial_accuracy(
            net, test.x_test, test.y_test, EPS, bounds
        )
        ax = plots.accuracy_curve(report, ax, label=label)
    plots.save(ax, HERE / "accuracy-curve.png")


def draw_curves_with_decay(data):
    """Draw the learning curves of part 1 with weight decay."""
    train_x, train_y, dev_x, dev_y, test_x, test_y = comp7015.prepare_data(
        data, seed=0
    )
    params, *curves = comp7015.nn_train(
        train_x, train_y, dev_x, dev_y, reg_strength=0.5, seed=0, progress=True
    )
    print(f"{comp7015.nn_test(test_x, test_y, params):,} of {len(test_x):,}")
    plots.save(plots.learning_curves(curves), HERE / "curves-decay.png")


def panels(count, height):
    """Return axes side by side, in a new figure 9 inches wide."""
    figure = Figure((9, height), layout="constrained")
    return figure.subplots(1, count, sharey=True)


def draw_attack_curves(data):
    """Draw accuracy against eps for several attacks on two networks."""
    test = fastnn.load_mnist(data)
    x, labels = test.x_test[:FEW], test.y_test[:FEW]
    axes = panels(2, 3.8)
    for ax, name in zip(axes, TITLES, strict=True):
        net = RECIPES[name].network(data)
        for attack, label in SHOWN:
            report = fastnn.adversarial_accuracy(
                net, x, labels, CURVE, (0, 1), attack=attack
            )
            plots.accuracy_curve(report, ax, label=label)
        ax.set_title(TITLES[name])
        ax.label_outer()
    axes[0].get_legend().remove()
    plots.save(axes[1], HERE / "attack-curves.png")


def three_classes():
    """Return a network with two inputs and three classes, trained on points."""
    rng = np.random.default_rng(1)
    labels = np.arange(600) % 3
    middles = np.array([[0.25, 0.3], [0.75, 0.35], [0.5, 0.8]])
    x = middles[labels] + rng.normal(0, 0.11, (600, 2))
    net = fastnn.MLP.random((2, 32, 3), "tanh", dtype=np.float64, rng=1)
    fastnn.train(net, x, labels, epochs=60, batch_size=20, learning_rate=0.2)
    return net


def path(net, clean, label, start, norm, *, eps, step_size, steps):
    """Return the points that PGD passes, shape (steps + 1, 2)."""
    points = [start]
    for _ in range(steps):
        gradient = net.input_gradient(points[-1], label)
        if norm == "linf":
            way = step_size * np.sign(gradient)
        elif norm == "l2":
            way = step_size * gradient / np.linalg.norm(gradient)
        else:
            no = np.full(2, np.inf)
            way = reference.fast_change(gradient, step_size, "l1", -no, no)
        change = points[-1] + way - clean
        points.append(
            clean + reference.project(change, eps, norm, -clean, 1 - clean)
        )
    return np.array(points)


def draw_paths():
    """Draw the steps of PGD in three norms, in the plane of two inputs."""
    net, clean, label, eps = three_classes(), np.array([0.36, 0.44]), 0, 0.22
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 400)] * 2), axis=-1)
    classes = net.predict(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    corners = {
        "linf": [(1, 1), (1, -1), (-1, -1), (-1, 1), (1, 1)],
        "l2": [(np.cos(t), np.sin(t)) for t in np.linspace(0, 2 * np.pi, 200)],
        "l1": [(1, 0), (0, -1), (-1, 0), (0, 1), (1, 0)],
    }
    axes = panels(3, 3.3)
    for ax, (norm, outline) in zip(axes, corners.items(), strict=True):
        colours = mpl.colors.ListedColormap(["#d6e4f0", "#f7dcc4", "#d9ead3"])
        ax.imshow(classes, cmap=colours, origin="lower", extent=(0, 1, 0, 1))
        ax.plot(*(clean + eps * np.array(outline)).T, color="#555555", lw=1)
        start = clean + eps * np.array([-0.45, 0.1])
        points = path(
            net, clean, label, start, norm, eps=eps, step_size=0.06, steps=10
        )
        ax.plot(*points.T, "o-", color="#b2182b", ms=3.5, lw=1)
        ax.plot(*clean, "k+", ms=9)
        ax.set_title({"linf": "L-infinity", "l2": "L2", "l1": "L1"}[norm])
        ax.set(xlabel="first input", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes[0].set_ylabel("second input")
    plots.save(axes[0], HERE / "pgd-paths.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    arguments = parser.parse_args()
    draw_accuracy_curve(arguments.data, arguments.weights)
    draw_curves_with_decay(arguments.data)
    draw_attack_curves(arguments.data)
    draw_paths()

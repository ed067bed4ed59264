"""Draw the figures of the documentation that are not in benchmarks/figures.

``python docs/figures/draw.py --data DIR --weights weights``: DIR has MNIST's files,
and ``fastnn train --data DIR --out weights`` makes the network.
"""

import argparse
from pathlib import Path

import fastnn
from fastnn import comp7015, plots

HERE = Path(__file__).parent
EPS = [0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3]


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    arguments = parser.parse_args()
    draw_accuracy_curve(arguments.data, arguments.weights)
    draw_curves_with_decay(arguments.data)

"""Make the tables of howto/adversarial-training.md.

``python docs/figures/adversarial_training.py --data DIR``: DIR has MNIST's files.
The networks are kept in the cache, so that only the first run trains them.
"""

import argparse

import numpy as np

import fastnn
from fastnn.attacks import APGD, PGD, Standard

SIZES = (784, 300, 100, 10)
EPS = 0.1
SETTINGS = {"epochs": 10, "batch_size": 100, "learning_rate": 0.1}
ATTACKED = {"eps": EPS, "bounds": (0, 1)}
RECIPES = {
    "as they are": fastnn.Recipe(SIZES, **SETTINGS),
    "FGSM": fastnn.Recipe(SIZES, **SETTINGS, attack="fgsm", **ATTACKED),
    "PGD": fastnn.Recipe(SIZES, **SETTINGS, attack=PGD(steps=10), **ATTACKED),
}
PLAIN = PGD(steps=40, step_size=0.01, random_start=False)
ALL = {"FGSM": "fgsm", "PGD": PGD(restarts=3), "APGD": APGD()}  # all images
SOME = {"FGSM": "fgsm", "PGD": PGD(restarts=3), "Standard": Standard()}  # 1,000


def standing(net, x, labels, attack, eps=EPS):
    """Return which samples an attack leaves right."""
    report = fastnn.adversarial_accuracy(net, x, labels, eps, (0, 1), attack=attack)
    return report.adversarial_prediction == labels


def compare_types(net, x, labels, eps):
    """Return the counts in float32 and float64, and the samples that differ."""
    single = standing(net, x, labels, PLAIN, eps)
    budget = float(np.float32(eps))  # the very number of the float32 run
    wide = net.astype(np.float64)
    double = standing(wide, x.astype(np.float64), labels, PLAIN, budget)
    return single.sum(), double.sum(), np.flatnonzero(single != double)


def main():
    """Train the networks, or take them from the cache, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    arguments = parser.parse_args()
    data = fastnn.load_mnist(arguments.data)
    x, labels = data.x_test, data.y_test
    print(f"| trained on | clean | {' | '.join(ALL)} | {' | '.join(SOME)}, 1,000 |")
    for name, recipe in RECIPES.items():
        net = recipe.network(arguments.data)
        counts = [(net.predict(x) == labels).sum()]
        counts += [standing(net, x, labels, a).sum() for a in ALL.values()]
        few = x[:1_000], labels[:1_000]
        counts += [standing(net, *few, a).sum() for a in SOME.values()]
        print(f"| {name} |", " | ".join(f"{count:,}" for count in counts), "|")
    print("| trained on | eps | float32 | float64 | samples that differ |")
    for name, recipe in RECIPES.items():
        net = recipe.network(arguments.data)
        for eps in (0.05, 0.1, 0.2):
            single, double, ties = compare_types(net, x, labels, eps)
            print(f"| {name} | {eps} | {single:,} | {double:,} | {ties} |")


if __name__ == "__main__":
    main()

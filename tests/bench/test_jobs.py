"""Jobs: the truth is the per-sample reference's, and a wrong answer stops its benchmark."""

import dataclasses

import numpy as np
import pytest

from fastnn import reference
from fastnn.bench import jobs
from fastnn.bench.implementations import ACTIVATIONS, Numpy, Truth
from fastnn.bench.jobs import NAMES, WrongAnswerError, make_job
from fastnn.bench.ours import Fastnn32, Fastnn64
from fastnn.bench.protocol import offers
from fastnn.bench.reference import Reference
from fastnn.bench.setting import Setting
from fastnn.networks import MLP
from fastnn.training import train

N = 24


@pytest.fixture(scope="module")
def setting():
    """Return clusters of 784 features, and a small network that classifies most of them."""
    rng = np.random.default_rng(7)
    centres = rng.random((10, 784))
    labels = rng.integers(0, 10, 300)
    x = np.clip(centres[labels] + rng.normal(0, 0.4, (300, 784)), 0, 1).astype(np.float32)
    net = MLP.random((784, 24, 16, 10), rng=1)
    train(net, x, labels, epochs=3, batch_size=20, learning_rate=0.05, momentum=0.8)
    return Setting("blobs", net.weights, net.biases, x[:100], labels[:100], x, labels)


def answer(name, setting, implementation, n=N):
    return make_job(name, setting, n).solve(implementation)()


@pytest.mark.filterwarnings("ignore:the training diverged")  # few samples, large steps
@pytest.mark.parametrize("name", [name for name in NAMES if name != "training"])
@pytest.mark.parametrize("implementation", [Numpy, Reference, Fastnn32, Fastnn64])
def test_every_implementation_agrees_with_the_truth(setting, name, implementation):
    job = make_job(name, setting, N)
    if not offers(implementation, job.method):
        pytest.skip(f"{implementation.__name__} has no {job.method}")
    job.check(answer(name, setting, implementation), job.truth(), exact=implementation.exact)


def test_the_truth_is_the_reference_in_float64(setting):
    parameters = [tuple(np.float64(p) for p in ps) for ps in (setting.weights, setting.biases)]
    rows = [(np.float64(x), int(y)) for x, y in zip(setting.x[:N], setting.labels[:N], strict=True)]

    logits = [reference.logits(*parameters, x) for x, _ in rows]
    np.testing.assert_allclose(answer("forward", setting, Truth), logits, rtol=1e-10, atol=1e-12)

    by_input = [reference.input_gradient(*parameters, x, y) for x, y in rows]
    np.testing.assert_allclose(
        answer("input-gradient", setting, Truth), by_input, rtol=1e-8, atol=1e-12
    )

    moved = [reference.fgsm(*parameters, x, y, jobs.EPS, bounds=jobs.UNIT) for x, y in rows]
    np.testing.assert_allclose(answer("fgsm", setting, Truth), moved, atol=1e-12)

    means = reference.mean_gradients(*parameters, *map(np.array, zip(*rows, strict=True)))
    for ours, theirs in zip(
        answer("gradients", setting, Truth), (*means[0], *means[1]), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-12)

    x, labels = setting.x[:N].astype(np.float64), setting.labels[:N]
    for name, bounds in (("sweep", jobs.UNIT), ("sweep-unclipped", None)):
        counts = [
            reference.adversarial_accuracy(*parameters, x, labels, eps, bounds=bounds)[1]
            for eps in jobs.SWEEP
        ]
        np.testing.assert_array_equal(answer(name, setting, Truth), counts)


def test_the_truth_under_pgd_is_the_reference_in_float64(setting):
    """More than the 5 % of the judge fall between the clean count and that of PGD."""
    parameters = [tuple(np.float64(p) for p in ps) for ps in (setting.weights, setting.biases)]
    rows = [(np.float64(x), int(y)) for x, y in zip(setting.x[:N], setting.labels[:N], strict=True)]
    steps, size = jobs.PGD_STEPS
    moved = [
        reference.pgd(*parameters, x, y, jobs.EPS, steps=steps, step_size=size, bounds=jobs.UNIT)
        for x, y in rows
    ]
    standing = [
        reference.logits(*parameters, x).argmax() == y
        for x, (_, y) in zip(moved, rows, strict=True)
    ]
    clean, attacked = answer("pgd", setting, Truth)
    assert attacked == sum(standing)
    assert attacked < clean
    assert answer("standard", setting, Truth)[1] == attacked


@pytest.mark.parametrize("change", [(0, 1), (2, 0), (0, -6)])
def test_attacks_in_turn_leave_no_more_than_a_weaker_attack(setting, change):
    job = make_job("standard", setting, N)
    right = [np.array([22, 9])]
    for fine in ((0, 0), (0, -5), (1, -1)):
        job.check(right[0] + fine, right, exact=True)
    with pytest.raises(WrongAnswerError, match="standard: counts"):
        job.check(right[0] + change, right, exact=True)


def test_the_truth_trains_with_momentum_as_the_formula_does(setting):
    job = make_job("epoch-part1-batch16", setting, N)
    x, labels, _, _, epochs, size, rate, momentum = job.arguments
    assert (epochs, size, momentum) == (1, 16, 0.9)
    weights, biases = ([np.array(p, np.float64) for p in ps] for ps in job.network[:2])
    steps = [np.zeros_like(p) for p in (*weights, *biases)]
    for batch in (slice(0, 16), slice(16, N)):
        rows = x[batch].astype(np.float64), labels[batch]
        slopes = reference.mean_gradients(weights, biases, *rows, activation="sigmoid")
        steps = [0.9 * s + g for s, g in zip(steps, (*slopes[0], *slopes[1]), strict=True)]
        for parameter, step in zip((*weights, *biases), steps, strict=True):
            np.subtract(parameter, rate * step, out=parameter)
    logits = [reference.logits(weights, biases, row, "sigmoid") for row in np.float64(x)]
    losses = [reference.cross_entropy(z, y) for z, y in zip(logits, labels, strict=True)]
    assert job.truth()[0][0] == pytest.approx(np.mean(losses), rel=1e-9)


def test_momentum_that_is_left_out_is_a_wrong_answer(setting):
    """Of the momentum's weight on the answer, the judge sees enough."""
    job = make_job("epoch-part1-batch16", setting, 240)
    plain = dataclasses.replace(job, arguments=(*job.arguments[:-1], 0.0))
    with pytest.raises(WrongAnswerError, match="loss and accuracy"):
        job.check(plain.solve(Fastnn32)(), job.truth(), exact=True)


def test_the_truth_keeps_the_residual_of_a_sure_network():
    logits, labels = np.array([[60.0, 0.0, -3.0]]), np.array([0])
    network = ([np.eye(3)], [np.zeros(3)], "relu")
    residual = Truth(*network).residual(logits, labels)[1]
    np.testing.assert_allclose(residual[0], reference.residual(logits[0], 0), rtol=1e-12)
    assert residual[0, 0] < 0
    assert Numpy(*network).residual(logits, labels)[1][0, 0] == 0


@pytest.mark.parametrize(
    "name", ["relu", "step", "residual", "forward", "fgsm", "accuracy", "epoch"]
)
def test_a_wrong_answer_stops_its_benchmark(setting, name):
    job = make_job(name, setting, N)
    right = job.truth()
    wrong = [array.copy() for array in right]
    if name == "fgsm":
        wrong[0] = np.asarray(setting.x[:N])  # nothing was attacked
    elif name == "accuracy":
        wrong[0][1] += 2
    else:
        wrong[0][(0,) * wrong[0].ndim] += 0.5 * np.abs(wrong[0]).max() + 0.5
    job.check(tuple(right), right, exact=True)
    with pytest.raises(WrongAnswerError, match=f"^{name}: "):
        job.check(tuple(wrong), right, exact=True)


def test_nan_and_other_shapes_are_wrong(setting):
    job = make_job("forward", setting, N)
    right = job.truth()
    with pytest.raises(WrongAnswerError, match="relative error nan"):
        job.check(np.full_like(right[0], np.nan), right, exact=True)
    with pytest.raises(WrongAnswerError, match="shapes"):
        job.check(right[0][:, :9], right, exact=True)


def test_nan_in_an_attack_is_wrong(setting):
    job = make_job("fgsm", setting, N)
    right = job.truth()
    with pytest.raises(WrongAnswerError, match="entries differ"):
        job.check(np.full_like(right[0], np.nan), right, exact=True)
    job = make_job("epoch", setting, N)
    with pytest.raises(WrongAnswerError, match="loss and accuracy"):
        job.check(np.full(4, np.nan), job.truth(), exact=False)


def test_a_cancelling_residual_is_judged_by_its_small_eps(setting):
    job = dataclasses.replace(make_job("sweep", setting, N), n=100)
    right = [np.arange(100, 84, -1)]
    late = right[0].copy()
    late[-1] += 50
    job.check(late, right, exact=False)
    with pytest.raises(WrongAnswerError, match="counts"):
        job.check(late, right, exact=True)
    early = right[0].copy()
    early[1] += 12  # of five expected
    job.check(early, right, exact=False)
    early[1] += 1
    with pytest.raises(WrongAnswerError, match="counts"):
        job.check(early, right, exact=False)


def test_work_is_counted_from_the_formulas(setting):
    products = 784 * 24 + 24 * 16 + 16 * 10
    assert make_job("forward", setting, N).flops == 2 * N * products
    assert make_job("accuracy", setting, N).flops == 6 * N * products
    assert make_job("gradients", setting, N).flops == 2 * N * (3 * products - 784 * 24)
    assert make_job("sigmoid", setting, N).bytes == 8 * N * 300


def test_rows_repeat_where_there_are_too_few(setting):
    job = make_job("accuracy", setting, 230)
    x, labels = job.arguments[:2]
    np.testing.assert_array_equal(x[200:230], setting.x[:30])
    np.testing.assert_array_equal(labels[100:200], setting.labels)


def test_a_setting_comes_back_from_its_folder(setting, tmp_path):
    setting.save(tmp_path)
    back = Setting.load(tmp_path)
    assert back.source == "blobs"
    for name in ("x", "labels", "x_train", "labels_train", "weights", "biases"):
        for a, b in zip(getattr(setting, name), getattr(back, name), strict=True):
            np.testing.assert_array_equal(a, b)
    job = make_job("forward", back, N)
    np.testing.assert_array_equal(job.truth(tmp_path)[0], job.truth()[0])
    assert list(tmp_path.glob("truth-forward-*"))
    np.testing.assert_array_equal(job.truth(tmp_path)[0], job.truth()[0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_are_those_of_the_activation(name, rng):
    """Central differences of the loss in float64, by one weight and by one input."""
    weights = [rng.normal(0, 0.7, shape) for shape in ((4, 5), (5, 3))]
    biases = [rng.normal(0, 0.3, width) for width in (5, 3)]
    x, labels, h = rng.normal(0, 1, (2, 4)), np.array([2, 0]), 1e-6

    def losses(change=0.0, move=0.0):
        first = weights[0].copy()
        first[1, 2] += change
        net = Truth([first, weights[1]], biases, name)
        logits = net.logits(x + move * (np.arange(4) == 3))
        return net.residual(logits, labels)[0]

    net = Truth(weights, biases, name)
    by_weight = (losses(change=h) - losses(change=-h)).mean() / (2 * h)
    assert net.gradients(x, labels)[0][1, 2] == pytest.approx(by_weight, rel=1e-6, abs=1e-9)
    by_input = (losses(move=h) - losses(move=-h)) / (2 * h)
    np.testing.assert_allclose(net.input_gradient(x, labels)[:, 3], by_input, rtol=1e-6, atol=1e-9)


def test_activations_differ_from_each_other():
    z = np.array([[-2.0, 0.5]])
    values = {name: kind.apply(z.copy(), np.zeros(2)) for name, kind in ACTIVATIONS.items()}
    np.testing.assert_allclose(values["relu"], [[0, 0.5]])
    np.testing.assert_allclose(values["sigmoid"], 0.5 + 0.5 * np.tanh(z / 2))
    np.testing.assert_allclose(values["tanh"], 2 / (1 + np.exp(-2 * z)) - 1)

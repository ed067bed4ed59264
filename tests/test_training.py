"""Training: steps held to the reference's, in place epoch by epoch, the same every time."""

import signal

import numpy as np
import pytest

import fastnn
from fastnn import MLP, History, reference, train
from fastnn._engine import gradients, masked

SETTINGS = (
    {},
    {"momentum": 0.9},
    {"l2": 0.05},
    {"momentum": 0.5, "l2": 0.01},
)


@pytest.fixture
def samples(rng):
    """Return 137 samples of three classes that a network can tell apart."""
    labels = rng.integers(0, 3, 137)
    return rng.normal(size=(137, 8)) + 2 * np.eye(3, 8)[labels], labels


def parameters(net):
    return [*net.weights, *net.biases]


def copies(net):
    return [p.copy() for p in parameters(net)]


def steps_of_reference(net, x, labels, batch_size, epochs, rng, learning_rate, **settings):
    """Return the parameters after plain steps, one after another, and the epochs' mean losses."""
    weights, biases, velocity, losses = net.weights, net.biases, None, []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            weights, biases, velocity = reference.sgd_step(
                weights,
                biases,
                x[rows],
                labels[rows],
                net.activation,
                learning_rate=learning_rate,
                velocity=velocity,
                **settings,
            )
        pairs = zip(x, labels, strict=True)
        losses.append(np.mean([reference.loss(weights, biases, *p, net.activation) for p in pairs]))
    return [*weights, *biases], losses


# --- the steps


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(s) or "plain")
@pytest.mark.parametrize("batch_size", [1, 32, 137, 1000])  # 137 leaves 9 of 32, all, less
def test_steps_are_the_references(make_net, samples, activation, batch_size, settings):
    net = make_net((8, 7, 5, 3), activation, np.float64)
    rate = 0.01 if activation == "tanh" else 0.05  # its steps of one sample amplify rounding
    expected, losses = steps_of_reference(
        net, *samples, batch_size, 2, np.random.default_rng(5), rate, **settings
    )
    history = train(
        net, *samples, epochs=2, batch_size=batch_size, learning_rate=rate, rng=5, **settings
    )
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(history.train_loss, losses, rtol=1e-11)


def test_parameters_are_named_by_their_numbers(make_net):
    net = make_net((5, 4, 3, 2))
    names = [gradients.parameter_name(net, k) for k in range(6)]
    assert names == [f"{kind}[{i}]" for kind in ("weights", "biases") for i in range(3)]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [(1, 1), (99, 1), (100, 2), (1023, 2), (1024, 4), (2047, 4), (2048, 8), (10**6, 8)],
)
def test_a_batch_has_a_power_of_two_of_tall_parts(rows, parts):
    assert gradients.part_count(rows) == parts


@pytest.mark.parametrize(
    ("rows", "height"), [(1, 1), (99, 99), (101, 51), (2048, 256), (9999, 500)]
)
def test_buffers_are_no_taller_than_a_part_and_a_tile(make_net, rows, height):
    sums = gradients.GradientSums(make_net((5, 4, 3)), rows, np.zeros((1, 5), np.float32))
    assert sums.height == height
    assert sums.slices == [(k, slice(0, size)) for k, size in enumerate((20, 12, 4, 3))]


def test_batches_of_several_parts_and_tiles_are_the_references(make_net, rng):
    # Parts depend on the number of rows alone.
    net = make_net((4, 3, 2), dtype=np.float64)
    x, labels = rng.normal(size=(1300, 4)), rng.integers(0, 2, 1300)
    expected, _ = steps_of_reference(net, x, labels, 1300, 1, np.random.default_rng(0), 0.5)
    train(net, x, labels, epochs=1, batch_size=1300, learning_rate=0.5)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_a_last_batch_smaller_than_the_number_of_parts(make_net, rng):
    # 512 rows are two parts, and one row is left for the next step.
    net = make_net((4, 3, 2), dtype=np.float64)
    x, labels = rng.normal(size=(513, 4)), rng.integers(0, 2, 513)
    expected, _ = steps_of_reference(net, x, labels, 512, 1, np.random.default_rng(0), 0.5)
    train(net, x, labels, epochs=1, batch_size=512, learning_rate=0.5)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_steps_on_digits_which_are_mostly_zeros(make_net, activation):
    digits = fastnn.load_mnist(source="sample")
    x, labels = digits.x_train[:70].astype(np.float64), digits.y_train[:70]
    net = make_net((784, 96, 10), activation, np.float64)
    expected, _ = steps_of_reference(net, x, labels, 32, 1, np.random.default_rng(0), 0.1)
    train(net, x, labels, epochs=1, batch_size=32, learning_rate=0.1)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-13)


def test_a_last_batch_below_the_packing_threshold_uses_the_weights_of_its_step(
    make_net, rng, monkeypatch
):
    # The batch before it was packed, and so is the evaluation of the samples after the epoch. The
    # validation samples are again too few.
    monkeypatch.setattr(masked, "_MOST_DENSE", 1.0)
    batch, rows = 2 * masked.PACK_FROM, 2 * masked.PACK_FROM + masked.PACK_FROM // 2
    net = make_net((20, 64, 3), dtype=np.float64)
    x, labels = rng.normal(size=(rows, 20)), rng.integers(0, 3, rows)
    expected, _ = steps_of_reference(net, x, labels, batch, 2, np.random.default_rng(0), 0.5)
    held_out = x[: masked.PACK_FROM - 1], labels[: masked.PACK_FROM - 1]
    history = train(
        net, x, labels, epochs=2, batch_size=batch, learning_rate=0.5, validation=held_out
    )
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    assert history.val_loss[-1] == pytest.approx(net.loss(*held_out), rel=1e-12)


@pytest.mark.parametrize("rows", [5, 130])  # in one part, and in two that are added
def test_parameters_longer_than_a_piece_move_as_a_whole(make_net, rng, rows):
    net = make_net((300, 300, 2), dtype=np.float64)  # 90,000 weights, pieces of 65,536
    x, labels = rng.normal(size=(rows, 300)), rng.integers(0, 2, rows)
    expected, _ = steps_of_reference(net, x, labels, rows, 1, np.random.default_rng(0), 0.5)
    start = net.astype(np.float64)
    train(net, x, labels, epochs=1, batch_size=rows, learning_rate=0.5)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    slopes = sum(start.gradients(x, labels), ())
    for slope, before, after in zip(slopes, parameters(start), expected, strict=True):
        np.testing.assert_allclose(slope, (before - after) / 0.5, rtol=1e-6, atol=1e-10)


def test_float32_follows_float64(make_net, samples, activation):
    x, labels = samples
    wide = make_net((8, 7, 5, 3), activation, np.float64)
    net = wide.astype(np.float32)
    settings = {"epochs": 3, "batch_size": 32, "learning_rate": 0.05, "momentum": 0.5}
    exact = train(wide, x, labels, **settings)
    found = train(net, x.astype(np.float32), labels, **settings)
    assert all(p.dtype == np.float32 for p in parameters(net))
    np.testing.assert_allclose(found.train_loss, exact.train_loss, rtol=1e-4)
    for ours, theirs in zip(parameters(net), parameters(wide), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


# --- the history


def test_the_history_is_what_the_network_says_of_both_sets(make_net, samples, activation):
    x, labels = samples
    net = make_net((8, 7, 3), activation, np.float64)
    history = train(
        net,
        x[:100],
        labels[:100],
        epochs=3,
        batch_size=16,
        learning_rate=0.1,
        validation=(x[100:], labels[100:]),
    )
    assert isinstance(history, History)
    with pytest.raises(AttributeError, match="cannot assign"):
        history.train_loss = []
    assert {len(values) for values in vars(history).values()} == {3}
    assert history.train_loss[-1] == pytest.approx(net.loss(x[:100], labels[:100]), rel=1e-12)
    assert history.train_accuracy[-1] == net.accuracy(x[:100], labels[:100])
    assert history.val_loss[-1] == pytest.approx(net.loss(x[100:], labels[100:]), rel=1e-12)
    assert history.val_accuracy[-1] == net.accuracy(x[100:], labels[100:])


def test_validation_does_not_change_the_training(make_net, samples):
    x, labels = samples
    net = make_net((8, 7, 3), dtype=np.float64)
    other = net.astype(np.float64)
    settings = {"epochs": 2, "batch_size": 16, "learning_rate": 0.1}
    alone = train(net, x, labels, **settings)
    judged = train(other, x, labels, validation=(x[::-1], labels[::-1]), **settings)
    assert (alone.val_loss, alone.val_accuracy) == ([], [])
    assert judged.train_loss == alone.train_loss
    for one, same in zip(parameters(net), parameters(other), strict=True):
        np.testing.assert_array_equal(one, same)


def test_it_learns_digits():
    digits = fastnn.load_mnist(source="sample")
    net = MLP.random((784, 32, 10))
    history = train(
        net,
        digits.x_train,
        digits.y_train,
        epochs=5,
        batch_size=50,
        learning_rate=0.1,
        momentum=0.9,
        validation=(digits.x_test, digits.y_test),
    )
    assert history.train_loss[-1] < history.train_loss[0] / 2
    assert history.val_accuracy[-1] > 0.9


def test_progress_is_drawn_on_standard_error_where_asked_for(make_net, samples, capsys):
    net = make_net((8, 3), dtype=np.float64)
    settings = {"epochs": 3, "batch_size": 16, "learning_rate": 0.1}
    train(net, *samples, **settings)
    assert capsys.readouterr() == ("", "")
    held_out = samples[0][:20], samples[1][:20]
    seen = train(net, *samples, progress=True, validation=held_out, **settings)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "3/3" in drawn.err
    last = f"loss {seen.train_loss[-1]:.4f}, accuracy {seen.train_accuracy[-1]:.2%}"
    assert drawn.err.endswith(f"{last}, validation {seen.val_accuracy[-1]:.2%}]\n")
    assert drawn.err.count("\n") == 1
    assert len({f"{loss:.4f}" for loss in seen.train_loss}) == 3


# --- the seed


def outcome(net, samples, **settings):
    """Return a trained copy's parameters."""
    net = net.astype(net.dtype)
    train(net, *samples, **{"epochs": 2, "batch_size": 32, "learning_rate": 0.1} | settings)
    return parameters(net)


def same(ones, others):
    return all((one == other).all() for one, other in zip(ones, others, strict=True))


def test_the_seed_alone_decides_the_order(make_net, samples):
    net = make_net((8, 7, 3), dtype=np.float64)
    first = outcome(net, samples)
    assert same(outcome(net, samples, rng=0), first)
    assert same(outcome(net, samples, rng=np.random.default_rng(0)), first)
    assert not same(outcome(net, samples, rng=1), first)
    assert not same(outcome(net, samples, rng=None), outcome(net, samples, rng=None))


def test_the_global_generator_is_left_alone(make_net, samples):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - what must not be used
    outcome(make_net((8, 7, 3), dtype=np.float64), samples, rng=None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# --- what changes and what does not


@pytest.mark.parametrize("order", ["C", "F"])
def test_samples_are_left_alone(make_net, samples, order):
    x, labels = np.array(samples[0], order=order), samples[1].astype(np.uint8)
    x.flags.writeable = labels.flags.writeable = False
    net = make_net((8, 7, 3), dtype=np.float64)
    arrays = parameters(net)
    before = copies(net)
    first = outcome(net, samples)
    train(net, x, labels, epochs=2, batch_size=32, learning_rate=0.1)
    np.testing.assert_array_equal(x, samples[0])
    np.testing.assert_array_equal(labels, samples[1])
    # The network's own arrays have changed, and as they would have with other arrays.
    assert all(one is other for one, other in zip(arrays, parameters(net), strict=True))
    assert not same(arrays, before)
    assert same(arrays, first)


def test_pixels_are_their_255th_parts(make_net, rng):
    pixels, labels = rng.integers(0, 256, (77, 8), dtype=np.uint8), rng.integers(0, 3, 77)
    net = make_net((8, 7, 3))
    x = pixels.astype(np.float32) / np.float32(255)
    assert same(outcome(net, (pixels, labels)), outcome(net, (x, labels)))


def test_a_training_that_diverges_keeps_the_last_whole_epoch(make_net, samples):
    net = make_net((8, 7, 3), dtype=np.float64)
    x, labels = samples
    history = []

    class Watched(np.random.Generator):
        """Note the network at the start of every epoch."""

        def permutation(self, n):
            history.append(copies(net))
            return super().permutation(n)

    settings = {"batch_size": 16, "learning_rate": 1e10, "l2": 1}  # a factor of -1e10 a step
    with pytest.raises(FloatingPointError, match=r"^row \d+: the logits are not finite"):
        train(net, x, labels, epochs=50, rng=Watched(np.random.PCG64(3)), **settings)
    last = history[-1]
    assert len(history) > 1
    assert not same(last, history[0])
    assert same(last, parameters(net))
    assert all(np.isfinite(p).all() for p in parameters(net))
    # And that epoch is what training for as many epochs gives.
    again = MLP(history[0][:2], history[0][2:])
    train(again, x, labels, epochs=len(history) - 1, rng=3, **settings)
    assert same(parameters(again), last)


def test_a_weight_that_overflows_behind_zeros_is_noticed(make_net, rng):
    """Products leave it out, so that no logit tells."""
    net = make_net((8, 300, 3))
    net.weights[0][5, 7] = 0.5e38
    before = copies(net)
    x = rng.random((2 * masked.PACK_FROM, 8)).astype(np.float32)
    x[:, 5] = 0
    labels = rng.integers(0, 3, len(x))
    settings = {"batch_size": len(x), "learning_rate": 1, "l2": 4}  # a factor of -3 a step
    train(net, x, labels, epochs=1, **settings)
    assert np.isfinite(net.weights[0]).all()
    net = MLP(before[:2], before[2:])
    with pytest.raises(FloatingPointError, match=r"diverges: weights\[0\] is not finite"):
        train(net, x, labels, epochs=2, **settings)
    assert abs(net.weights[0][5, 7]) == pytest.approx(1.5e38)


def test_an_interrupt_keeps_the_last_whole_epoch(make_net, samples):
    net = make_net((8, 7, 3), dtype=np.float64)

    class Impatient(np.random.Generator):
        """Stop the second epoch."""

        begun = 0

        def permutation(self, n):
            self.begun += 1
            if self.begun == 2:
                raise KeyboardInterrupt
            return super().permutation(n)

    one_epoch = outcome(net, samples, epochs=1, rng=3)
    with pytest.raises(KeyboardInterrupt):
        train(
            net,
            *samples,
            epochs=3,
            batch_size=32,
            learning_rate=0.1,
            rng=Impatient(np.random.PCG64(3)),
        )
    assert same(parameters(net), one_epoch)


class Interrupting(np.ndarray):
    """An array that sends SIGINT once, when it is written to as a whole."""

    sent = False

    def _send(self):
        if not self.sent:
            self.sent = True
            signal.raise_signal(signal.SIGINT)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self._send()

    def __array_function__(self, func, types, args, kwargs):
        """Do what `np.copyto` does to a plain array, then send."""
        plain = [a.view(np.ndarray) if isinstance(a, Interrupting) else a for a in args]
        result = func(*plain, **kwargs)
        if func is np.copyto:
            self._send()
        return result


@pytest.mark.parametrize("number", range(4))
def test_an_interrupt_while_parameters_are_copied_leaves_a_whole_network(make_net, samples, number):
    net = make_net((8, 7, 3), dtype=np.float64)
    whole = [copies(net), *(outcome(net, samples, epochs=epochs) for epochs in (1, 2))]
    watched = [p.view(Interrupting) if k == number else p for k, p in enumerate(parameters(net))]
    object.__setattr__(net, "weights", tuple(watched[:2]))
    object.__setattr__(net, "biases", tuple(watched[2:]))
    with pytest.raises(KeyboardInterrupt):
        train(net, *samples, epochs=2, batch_size=32, learning_rate=0.1)
    assert watched[number].sent
    assert any(same(parameters(net), epoch) for epoch in whole)

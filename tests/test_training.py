"""Training: steps held to the reference's, in place epoch by epoch, the same every time."""

import copy
import signal

import numpy as np
import pytest

import fastnn
from fastnn import MLP, History, train
from fastnn._engine.descent import Settings
from fastnn.training import run_epochs


@pytest.fixture
def samples(rng):
    """Return 137 samples of three classes that a network can tell apart."""
    labels = rng.integers(0, 3, 137)
    return rng.normal(size=(137, 8)) + 2 * np.eye(3, 8)[labels], labels


def parameters(net):
    return [*net.weights, *net.biases]


def copies(net):
    return [p.copy() for p in parameters(net)]


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
    for weights in net.weights:
        weights[:] = -weights  # so that it learns, and the epochs differ
    seen = train(net, *samples, progress=True, validation=held_out, **settings)
    assert seen.val_accuracy[0] != seen.val_accuracy[-1]
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


def test_training_ends_after_the_epoch_that_is_enough(make_net, rng):
    net, x, labels = make_net((4, 5, 3)), rng.random((20, 4), np.float32), rng.integers(0, 3, 20)
    same = copy.deepcopy(net)
    settings = Settings(batch_size=7, learning_rate=0.1, momentum=0.5)
    history = run_epochs(
        net, settings, [(x, labels)], 10, 0, enough=lambda h: len(h.train_loss) > 2
    )
    expected = train(same, x, labels, epochs=3, batch_size=7, learning_rate=0.1, momentum=0.5)
    assert history == expected
    np.testing.assert_array_equal(net.weights[0], same.weights[0])

"""Training: steps held to the reference's, in place epoch by epoch, the same every time."""

import copy
import signal

import numpy as np
import pytest

import fastnn
from fastnn import MLP, History, attacks, reference, train
from fastnn._engine.descent import Settings
from fastnn._runtime import progress
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


def test_progress_is_drawn_on_standard_error_where_asked_for(
    make_net, samples, capsys, monkeypatch
):
    monkeypatch.setattr(progress, "_SHOWN_AFTER", 0.0)
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


@pytest.mark.filterwarnings("ignore:the training diverged")
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


def test_a_training_that_diverges_says_so():
    data = fastnn.load_mnist(source="sample", dtype="uint8")
    settings = {"epochs": 1, "batch_size": 50}
    with pytest.warns(
        UserWarning, match=r"diverged: the last loss is .*e\+05.* learning_rate"
    ) as all_:
        train(MLP.random((784, 8, 10)), data.x_train, data.y_train, learning_rate=1e6, **settings)
    assert all_[0].filename == __file__
    raw = data.x_train.astype(np.float32)
    with pytest.warns(UserWarning, match="try x / 255 in place of x, or a smaller learning_rate"):
        train(MLP.random((784, 8, 10)), raw, data.y_train, learning_rate=1e4, **settings)
    message = "the network learned nothing: the last loss is 2.3.*, that of a guess; try x / 255 in"
    with pytest.warns(UserWarning, match=message) as all_:
        train(MLP.random((784, 32, 10)), raw, data.y_train, learning_rate=0.1, **settings)
    assert all_[0].filename == __file__
    train(MLP.random((784, 32, 10)), raw, data.y_train, learning_rate=1e-4, **settings)


def test_a_training_that_has_far_to_go_does_not_warn(rng):
    net = MLP([rng.normal(0, 50, (8, 10)).astype(np.float32)], [np.zeros(10, np.float32)])
    x, labels = rng.random((300, 8), dtype=np.float32), rng.integers(0, 10, 300)
    history = train(net, x, labels, epochs=1, batch_size=50, learning_rate=0.01)
    assert history.train_loss[-1] > 10 * np.log(10)


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


# --- adversarial training

ATTACKED = {"eps": 0.3, "bounds": (-6, 6)}


def darker(net, x, labels, eps, bounds):
    """Move every entry down by half of eps, as far as the bounds allow."""
    return np.maximum(x - x.dtype.type(eps / 2), x.dtype.type(bounds[0]))


def by_reference(net, samples, *, steps, order, batch_size, learning_rate, momentum):
    """Return the parameters after training on iterated FGSM, one sample at a time."""
    weights, biases, velocity = net.weights, net.biases, None
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        moved = [
            reference.iterated_fgsm(
                weights, biases, x, label, 0.3, steps=steps, bounds=(-6, 6), activation="tanh"
            )
            for x, label in zip(samples[0][rows], samples[1][rows], strict=True)
        ]
        weights, biases, velocity = reference.sgd_step(
            weights,
            biases,
            np.array(moved),
            samples[1][rows],
            "tanh",
            learning_rate=learning_rate,
            momentum=momentum,
            velocity=velocity,
        )
    return [*weights, *biases]


@pytest.mark.parametrize("batch_size", [16, 137])
def test_every_batch_is_attacked_on_the_network_as_it_is(make_net, samples, batch_size):
    net = make_net((8, 7, 3), "tanh", np.float64)
    generator = np.random.default_rng(5)
    generator.integers(2**63)  # the attack's seed
    order = generator.permutation(137)
    settings = {"batch_size": batch_size, "learning_rate": 0.3, "momentum": 0.5}
    expected = by_reference(net, samples, steps=3, order=order, **settings)
    attack = attacks.IteratedFGSM(steps=3)
    train(net, *samples, epochs=1, rng=5, attack=attack, **ATTACKED, **settings)
    for ours, other in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:the training diverged")  # the labels are random
@pytest.mark.parametrize("attack", [attacks.PGD(steps=2), "fgsm", ["fgsm", "pgd"], darker])
@pytest.mark.parametrize("batch_size", [16, 170])
def test_attacked_batches_are_the_same_for_any_number_of_threads(rng, attack, batch_size):
    net, x, labels = MLP.random((8, 300, 3)), rng.normal(size=(340, 8)), rng.integers(0, 3, 340)
    settings = {"attack": attack, "batch_size": batch_size, "epochs": 1, **ATTACKED}
    found = []
    for count in (1, 3):
        with fastnn.threads(count):
            found.append(outcome(net, (x.astype(np.float32), labels), **settings))
    assert same(*found)
    assert not same(found[0], outcome(net, (x.astype(np.float32), labels), epochs=1))


def test_random_starts_follow_from_the_seed_and_are_new_in_every_epoch(make_net, samples):
    net, seen = make_net((8, 7, 3), dtype=np.float64), []

    class Starts(attacks.Attack):
        """Note the keys of random starts, and move nothing."""

        def perturb_tile(self, tile, eps):
            seen.extend(tile.keys(0).tolist())
            return tile.x

    settings = {"attack": Starts(), **ATTACKED}
    outcome(net, samples, rng=4, **settings)
    first, second = seen[:137], seen[137:]
    assert len(set(first) | set(second)) == 2 * 137
    outcome(net, samples, rng=4, **settings)
    assert seen[2 * 137 :] == [*first, *second]
    outcome(net, samples, rng=5, **settings)
    assert not set(seen[4 * 137 :]) & set(first)


def test_pixels_are_attacked_as_their_255th_parts(make_net, rng):
    pixels, labels = rng.integers(0, 256, (77, 8), dtype=np.uint8), rng.integers(0, 3, 77)
    net, x = make_net((8, 7, 3)), pixels.astype(np.float32) / np.float32(255)
    for attack in ("pgd", darker):
        settings = {"attack": attack, "eps": 0.1, "bounds": (0, 1)}
        assert same(
            outcome(net, (pixels, labels), **settings), outcome(net, (x, labels), **settings)
        )


def test_it_withstands_an_attack_better_than_a_network_trained_without():
    digits = fastnn.load_mnist(source="sample")
    found = []
    for settings in ({}, {"attack": attacks.PGD(steps=5), "eps": 0.1, "bounds": (0, 1)}):
        net = MLP.random((784, 32, 10))
        train(
            net,
            digits.x_train,
            digits.y_train,
            epochs=3,
            batch_size=50,
            learning_rate=0.1,
            momentum=0.8,
            **settings,
        )
        report = fastnn.adversarial_accuracy(
            net, digits.x_test, digits.y_test, 0.1, (0, 1), attack=attacks.PGD(steps=20)
        )
        found.append(report.adversarial_accuracy)
    assert found[0] < 0.2
    assert found[1] > 0.4


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"eps": 0.1}, TypeError, "eps and bounds are those of an attack: give attack, too"),
        ({"bounds": (0, 1)}, TypeError, "eps and bounds are those of an attack: give attack, too"),
        ({"attack": "fgsm"}, TypeError, "attack needs eps, the budget of a sample"),
        ({"attack": "pgd", "eps": [0.1]}, TypeError, r"eps must be a number, got \[0.1\]"),
        ({"attack": "pgd", "eps": -1}, ValueError, "eps must be finite in float32 and >= 0"),
        ({"attack": "pdg", "eps": 0.1}, ValueError, r"attack must be one of \('fgsm', .*'pdg'"),
        ({"attack": attacks.PGD, "eps": 0.1}, TypeError, "attack must be a name, an Attack or"),
        ({"attack": 3, "eps": 0.1}, TypeError, "attack must be a name, an Attack or a function"),
        ({"attack": "pgd", "eps": 0.1, "bounds": 1}, TypeError, "bounds must be a pair"),
        ({"attack": "pgd", "eps": 0.1, "bounds": (0, 1)}, ValueError, r"x\[100, 2\] is 7, outside"),
        (
            {"attack": lambda net, x, labels, eps, bounds: x + 1, "eps": 0.5},
            ValueError,
            r"the attack returned .* at \[0, 0\], further than eps 0.5",
        ),
    ],
)
def test_a_wrong_attack_is_refused_and_the_network_is_as_it_was(
    rng, make_net, given, kind, message
):
    net, x = make_net((8, 7, 3), dtype=np.float64), rng.random((137, 8))
    x[100, 2] = 7
    before = copies(net)
    with pytest.raises(kind, match=f"^{message}"):
        train(net, x, rng.integers(0, 3, 137), epochs=1, batch_size=8, learning_rate=0.1, **given)
    assert same(before, parameters(net))


def test_an_interrupt_in_an_attack_keeps_the_last_whole_epoch(make_net, samples):
    net = make_net((8, 7, 3), dtype=np.float64)
    one_epoch = outcome(net, samples, epochs=1, attack=darker, **ATTACKED)
    calls = []

    def impatient(net, x, labels, eps, bounds):
        calls.append(len(x))
        if len(calls) == 7:  # in the second epoch of five batches
            signal.raise_signal(signal.SIGINT)
        return darker(net, x, labels, eps, bounds)

    settings = {"epochs": 3, "batch_size": 32, "learning_rate": 0.1, **ATTACKED}
    with pytest.raises(KeyboardInterrupt):
        train(net, *samples, attack=impatient, **settings)
    assert same(parameters(net), one_epoch)

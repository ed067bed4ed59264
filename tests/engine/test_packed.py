"""Weights in panels: what is packed, and what a call leaves for the next one."""

import gc
import signal
import threading
import weakref

import numpy as np
import pytest

import fastnn
from fastnn import MLP
from fastnn._engine import masked, narrow, packed
from fastnn._runtime.team import Team

SIZES = (300, 200, 150, 3)


@pytest.fixture(autouse=True)
def nothing_kept():
    packed._kept.clear()
    yield
    packed._kept.clear()


@pytest.fixture
def filled(monkeypatch):
    """Return a list that gets the panels of every network that is packed."""
    found, fill = [], packed.fill

    def note(panels, net, team, **options):
        found.append(panels)
        fill(panels, net, team, **options)

    monkeypatch.setattr(packed, "fill", note)
    return found


def panels_of(net, to=0, threads=1):
    with Team(threads) as team, packed.kept_for(net, to, team) as panels:
        return panels


@pytest.mark.parametrize("entries", [1, 40_000, 1 << 30])  # one panel at a time, some, all
def test_weights_packed_in_pieces_are_the_same_panels(rng, monkeypatch, dtype, entries):
    # The last panel of 300, 200 and 150 columns overlaps the one before it.
    net = MLP.random(SIZES, rng=rng, dtype=dtype)
    monkeypatch.setattr(packed, "_PIECE", entries)
    for team_size in (1, 3):
        net.weights[0][:] += 1
        for (i, transposed), panels in panels_of(net, threads=team_size).items():
            whole = np.full_like(panels, np.nan)
            masked.pack(net.weights[i], whole, transposed=transposed)
            np.testing.assert_array_equal(panels, whole)


def test_pieces_are_every_panel_once_and_of_a_like_size(rng):
    panels_by_key = packed.buffers(MLP.random((784, 2048, 512, 512, 10), rng=rng), 0)
    pieces = packed.pieces(panels_by_key)
    for key, panels in panels_by_key.items():
        cut = [some for *which, some in pieces if tuple(which) == key]
        assert [p for some in cut for p in range(some.start, some.stop)] == list(range(len(panels)))
    sizes = [panels_by_key[i, transposed][some].size for i, transposed, some in pieces]
    assert sum(sizes) == sum(panels.size for panels in panels_by_key.values())
    assert max(sizes) < sum(sizes) / 16  # the largest matrix has more than a quarter


def test_the_next_call_finds_the_panels(rng, filled):
    net = MLP.random(SIZES, rng=rng)
    first = panels_of(net)
    assert panels_of(net) is first
    assert len(filled) == 1


def test_passes_forward_take_the_panels_of_passes_back_but_not_the_other_way(rng, filled):
    net = MLP.random(SIZES, rng=rng)
    assert (0, True) not in panels_of(net, to=None)
    both = panels_of(net, to=0)
    assert (0, True) in both
    assert len(filled) == 2
    assert panels_of(net, to=None) is both
    assert panels_of(net, to=1) is both
    assert len(filled) == 2


@pytest.mark.parametrize("sizes", [SIZES, (301, 201, 151, 3)])  # an odd number of entries
@pytest.mark.parametrize("way", ["one entry", "the last entry", "a sign", "two rows change places"])
@pytest.mark.parametrize("entries", [1000, 1 << 17])  # many pieces, and one
def test_weights_that_were_written_to_are_packed_anew(
    rng, monkeypatch, filled, dtype, sizes, way, entries
):
    monkeypatch.setattr(packed, "_PIECE", entries)
    net = MLP.random(sizes, rng=rng, dtype=dtype)
    before = panels_of(net)
    for weights in net.weights:
        if way == "one entry":
            weights[3, 1] = np.nextafter(weights[3, 1], dtype(np.inf))
        elif way == "the last entry":
            weights[-1, -1] += 1
        elif way == "a sign":
            weights[0, 1] *= -1
        else:
            weights[[0, 1]] = weights[[1, 0]]
        assert panels_of(net, threads=3) is before  # the same buffers
        for key, panels in packed.buffers(net, 0).items():
            masked.pack(net.weights[key[0]], panels, transposed=key[1])
            np.testing.assert_array_equal(before[key], panels)
    assert len(filled) == 1 + len(net.weights)


def test_weights_that_change_while_they_are_packed_are_packed_anew(rng, monkeypatch, filled):
    net = MLP.random(SIZES, rng=rng)
    pack = masked.pack

    def write_after(matrix, panels, **options):
        pack(matrix, panels, **options)
        monkeypatch.setattr(masked, "pack", pack)
        net.weights[0][0, 0] += 1

    monkeypatch.setattr(masked, "pack", write_after)
    panels_of(net)
    found = panels_of(net)
    assert len(filled) == 2
    assert found[0, False][0, 0, 0] == net.weights[0][0, 0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("place", ["_fingerprint", "pack"])
def test_handlers_that_write_and_restore_run_before_or_after(rng, monkeypatch, threads, place):
    """Or panels of what was there in between would be kept, with the right fingerprint."""
    net = MLP.random(SIZES, rng=rng)
    owner = masked if place == "pack" else packed
    function, inside, seen = getattr(owner, place), [], []
    arrived = threading.Event()

    def interrupted(*args, **options):
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)
            arrived.set()
        else:
            arrived.wait(60)  # or a helper could do all the work before
        return function(*args, **options)

    def watched(*args, **options):
        inside.append(True)
        try:
            return work(*args, **options)
        finally:
            inside.pop()

    def handler(*_):
        seen.append(bool(inside))

    work = getattr(packed, "fill" if place == "pack" else "_fingerprints")
    monkeypatch.setattr(packed, work.__name__, watched)
    monkeypatch.setattr(owner, place, interrupted)
    before = signal.signal(signal.SIGINT, handler)
    try:
        panels_of(net, threads=threads)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen
    assert not any(seen)


def test_panels_of_other_shapes_are_not_taken(rng, filled):
    """An MLP cannot be given other arrays, except by its `__init__`."""
    net, other = (MLP.random(sizes, rng=rng) for sizes in ((40, 160, 160, 4), (40, 160, 320, 4)))
    x = rng.random((narrow.MOST_ROWS + 50, 40), np.float32)
    net.logits(x)
    net.__init__(other.weights, other.biases)
    np.testing.assert_array_equal(net.logits(x), other.logits(x))
    assert len(filled) == 3


def test_panels_that_do_not_suffice_are_given_up_at_once(rng):
    net = MLP.random(SIZES, rng=rng)
    first = weakref.ref(panels_of(net, to=None)[0, False])
    assert first() is not None
    with Team(1) as team, packed.kept_for(net, 0, team):
        assert first() is None


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_call_sees_what_was_written_to_the_weights(rng, layer):
    """Against a new network with the same numbers, of which nothing has been kept."""
    net = MLP.random((40, 160, 160, 4), rng=rng)
    x = rng.random((narrow.MOST_ROWS + 50, 40), np.float32)
    labels = net.predict(x)

    def attacked(network):
        report = fastnn.adversarial_accuracy(network, x, labels, eps=[0.01, 0.1])
        return report.adversarial_prediction

    attacked(net)
    changes = []
    for _ in range(3):
        before = net.logits(x)
        net.weights[layer][rng.integers(40), rng.integers(4)] += 3
        predictions, logits = attacked(net), net.logits(x)
        copy = MLP(net.weights, net.biases)
        np.testing.assert_array_equal(predictions, attacked(copy))
        np.testing.assert_array_equal(logits, copy.logits(x))
        changes.append(np.abs(logits - before).max())
        attacked(net)
    assert min(changes) > 0


def test_a_trained_network_is_packed_anew(rng):
    net = MLP.random((40, 160, 160, 4), rng=rng)
    x = rng.random((300, 40), np.float32)
    labels = rng.integers(4, size=300)
    before = net.logits(x)
    fastnn.train(net, x, labels, epochs=1, batch_size=50, learning_rate=0.1)
    np.testing.assert_array_equal(net.logits(x), MLP(net.weights, net.biases).logits(x))
    assert np.abs(net.logits(x) - before).max() > 0


def test_one_network_is_kept_and_only_as_long_as_it_lives(rng):
    first, second = (MLP.random(sizes, rng=rng) for sizes in (SIZES, (150, 300, 200, 5)))
    panels_of(first)
    found = panels_of(second)
    shapes = {key: panels.shape for key, panels in packed.buffers(second, 0).items()}
    assert {key: panels.shape for key, panels in found.items()} == shapes
    assert [kept.net() for kept in packed._kept] == [second]
    del first
    gc.collect()
    assert [kept.net() for kept in packed._kept] == [second]
    del second
    gc.collect()
    assert packed._kept == []


def test_large_networks_are_packed_and_not_kept(rng, monkeypatch, filled):
    net = MLP.random(SIZES, rng=rng)
    total = sum(panels.nbytes for panels in packed.buffers(net, 0).values())
    for most, count in ((total - 1, 0), (total, 1)):
        monkeypatch.setattr(packed, "_MOST_KEPT", most)
        for key, panels in panels_of(net).items():
            whole = np.full_like(panels, np.nan)
            masked.pack(net.weights[key[0]], whole, transposed=key[1])
            np.testing.assert_array_equal(panels, whole)
        assert len(packed._kept) == count
    assert len(filled) == 2


def test_narrow_networks_have_no_panels(rng):
    assert panels_of(MLP.random((4, 3, 2), rng=rng)) == {}
    assert packed._kept == []


def test_calls_at_the_same_time_have_panels_of_their_own(rng):
    net = MLP.random(SIZES, rng=rng)
    panels_of(net)
    both = threading.Barrier(2, timeout=60)
    found = []

    def call():
        with Team(1) as team, packed.kept_for(net, 0, team) as panels:
            found.append(panels)
            both.wait()

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, other = found
    assert all(one[key] is not other[key] for key in one)
    assert len(packed._kept) == 1


def test_after_an_error_nothing_is_kept(rng):
    net = MLP.random(SIZES, rng=rng)
    panels_of(net)
    with pytest.raises(KeyboardInterrupt), Team(1) as team, packed.kept_for(net, 0, team):
        raise KeyboardInterrupt
    assert packed._kept == []

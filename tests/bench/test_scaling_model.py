"""The model of a call: it recovers planted parameters, and names what was planted to bind."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from fastnn import MLP, _checks, adversarial_accuracy
from fastnn._engine import packed, tiles

ROWS = 10_000  # 32 tiles


pytestmark = pytest.mark.usefixtures("importable_benchmarks")


@pytest.fixture
def planted():
    """Return a model in which nothing but the rows of the tiles takes long."""
    from scaling_model import Model

    return Model(
        row=40e-6,
        shared=0.0,
        lock=50e-6,
        check=1e-10,
        pack=1e-12,
        serial=1e-12,
        fixed=1e-9,
        pieces=(100_000,) * 16 + (230_000,) * 7,
    )


def measured(model, sizes):
    """Return the parts of calls as they are if the model is right."""
    from scaling_model import Parts

    found = {}
    for n in sizes:
        for threads in (1, 2):
            terms = model.terms(n, threads)
            found[n, threads] = Parts(
                seconds=model.seconds(n, threads),
                check=terms["check"],
                pack=terms["pack"],
                busy=model.row * n * (1 + model.shared * (threads - 1)),
                rest=terms["serial"] + terms["fixed"],
            )
    return found


def test_the_busiest_worker_takes_the_next_item_when_it_is_free():
    from scaling_model import longest

    assert longest([5, 3, 1, 1, 1], 1) == 11
    assert longest([5, 3, 1, 1, 1], 2) == 6
    assert longest([1, 1, 1, 5], 2) == 6
    assert longest([2, 2, 2], 64) == 2


def test_planted_parameters_are_recovered(planted):
    from scaling_model import fit

    model = replace(planted, shared=0.07, check=2e-7, pack=5e-10, serial=3e-8, fixed=4e-4)
    found = fit(measured(model, (2500, ROWS)), model.lock, model.pieces)
    np.testing.assert_allclose(astuple(found)[:-1], astuple(model)[:-1], rtol=1e-6)
    for n, threads in ((1000, 1), (5000, 2), (60_000, 16)):
        assert found.seconds(n, threads) == pytest.approx(model.seconds(n, threads))
    slower = replace(model, row=1.2 * model.row)
    assert fit(measured(slower, (2500, ROWS)), 0, model.pieces).row > 1.19 * model.row


def test_what_takes_no_time_is_never_negative(planted):
    from scaling_model import fit

    faster = {
        (n, threads): replace(one, busy=one.busy * (0.9 if threads == 2 else 1), rest=1 / n)
        for (n, threads), one in measured(planted, (2500, ROWS)).items()
    }
    found = fit(faster, 0, planted.pieces)
    assert (found.shared, found.serial) == (0, 0)


@pytest.mark.parametrize(
    ("name", "changes", "threads"),
    [
        (None, {}, 16),
        ("rounds", {}, 64),
        ("memory", {"shared": 0.1}, 4),
        ("lock", {"lock": 1e-3}, 32),
        ("pack", {"pack": 3e-9, "pieces": (1_600_000, 1000)}, 8),
        ("check", {"check": 4e-5}, 64),
        ("serial", {"serial": 3e-6}, 4),
        ("fixed", {"fixed": 5e-3}, 8),
    ],
)
def test_the_term_that_binds_is_named(planted, name, changes, threads):
    model = replace(planted, **changes)
    assert model.binding(ROWS, threads) == name
    assert model.binding(ROWS, 1) is None
    assert sum(model.terms(ROWS, threads).values()) == model.seconds(ROWS, threads)


def test_even_rounds_leave_no_thread_without_work(planted):
    for threads in (1, 2, 4, 8, 16, 32):
        assert planted.terms(ROWS, threads)["rounds"] < 0.01 * planted.seconds(ROWS, threads)
    assert planted.terms(ROWS, 64)["rounds"] > 0.4 * planted.seconds(ROWS, 64)
    # A check of a few rows is not shared.
    few = replace(planted, check=1e-5)
    assert few.terms(_checks._FEW, 4)["check"] == 1e-5 * _checks._FEW
    assert few.terms(_checks._FEW + 1, 4)["check"] < 0.6e-5 * _checks._FEW


def test_the_parts_of_a_call_are_all_of_it(rng):
    import scaling

    net, x = MLP.random((300, 200, 10), rng=rng), rng.random((5000, 300), np.float32)
    labels = net.predict(x)

    def patched():
        return tiles.run_tiles, packed.fill, packed._fingerprints, _checks.inputs, packed._kept

    before = patched()
    adversarial_accuracy(net, x, labels, 0.1)  # leaves packed weights, which are not to be found
    parts, correct = scaling.parts_of_call(net, x, labels, 2)
    assert all(ours is theirs for ours, theirs in zip(before, patched(), strict=True))
    assert correct == adversarial_accuracy(net, x, labels, 0.1, (0, 1)).adversarial_correct
    assert all(seconds > 0 for seconds in astuple(parts))
    sizes = scaling.sizes_of_pieces(net)
    entries = 2 * 300 * 200 + 200 * 10  # the last layer is too narrow to be packed forward
    assert entries <= sum(sizes) < 1.5 * entries


def test_counts_that_depend_on_threads_stop_the_measurement(monkeypatch, planted):
    import scaling

    parts = measured(planted, (ROWS,))[ROWS, 1]
    calls = []

    def call(net, x, labels, threads):
        calls.append(len(x))
        return replace(parts, rest=1 / len(calls)), wrong * threads

    monkeypatch.setattr(scaling, "parts_of_call", call)
    x, labels, wrong = np.zeros((100, 4)), np.zeros(100, int), 0
    found = scaling.measure(None, x, labels, (50, 250), 3)
    assert calls == [50, 50, 250, 250] * 3
    assert found[250, 2] == replace(parts, rest=1 / 12)  # of three calls the least
    wrong = 1
    with pytest.raises(ArithmeticError, match=r"^50 rows: 2 right, and 1 with others"):
        scaling.measure(None, x, labels, (50, 250), 3)

"""Samples that are read block by block are counted as those in memory."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

import fastnn
from fastnn import AdversarialReport, adversarial_accuracy, attacks
from fastnn._rows import _block
from fastnn.attacks import _store

ROWS, HEIGHT = 501, 160
EPS = [0.2, 0.0, 0.05]


@pytest.fixture(autouse=True)
def _low_blocks(monkeypatch):
    monkeypatch.setattr(_block, "_MOST_ROWS", HEIGHT)


@pytest.fixture
def net(make_net):
    return make_net((30, 24, 20, 5))


@pytest.fixture
def x(rng):
    pixels = rng.integers(0, 256, (ROWS, 30)).astype(np.uint8)
    pixels[rng.random(pixels.shape) < 0.5] = 0
    return pixels


@pytest.fixture
def labels(rng, net, x):
    found = net.predict(x)
    found[::4] = rng.integers(0, 5, len(found[::4]))
    return found


@pytest.fixture
def outside(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def brief(name):
    """Return an attack that takes little time."""
    attack = attacks.ATTACKS[name]()
    few = {"steps": 3, "queries": 20}
    if name == "standard":
        few = {}
    names = {field.name for field in dataclasses.fields(attack) if field.init}
    return dataclasses.replace(attack, **{k: v for k, v in few.items() if k in names})


def same(one, other):
    """Require that two reports say the same of every sample."""
    for name in ("clean_prediction", "adversarial_prediction", "labels", "targets", "traces"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            np.testing.assert_array_equal(a, b, err_msg=name)
            assert a.dtype == b.dtype
    for name in ("n", "clean_correct", "zero_gradient_rows", "saturated_rows", "attacks"):
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_array_equal(one.adversarial_correct, other.adversarial_correct)
    seen, expected = (
        {d.name: (d.text, d.rows.tolist()) for d in r.diagnostics} for r in (one, other)
    )
    assert seen == expected
    assert one.digests == other.digests or None in (one.digests, other.digests)
    assert str(one).split("time")[0] == str(other).split("time")[0]


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_counts_of_a_file_are_those_in_memory(name, net, x, labels, outside):
    attack = brief(name)
    expected = adversarial_accuracy(net, x, labels, EPS, (0, 1), attack=attack)
    same(adversarial_accuracy(net, outside, labels, EPS, (0, 1), attack=attack), expected)
    assert expected.adversarial_correct.min() < expected.clean_correct


@pytest.mark.parametrize("height", [1, 37, 170, ROWS])
def test_counts_do_not_depend_on_the_block(height, net, x, labels, outside, monkeypatch):
    some = {"attack": ["fgsm", attacks.PGD(steps=3, restarts=2)], "rng": 7}
    if height == 1:
        x, labels, outside = x[:20], labels[:20], outside[:20]
    expected = adversarial_accuracy(net, x, labels, 0.1, (0, 1), **some)
    monkeypatch.setattr(_block, "_MOST_ROWS", height)
    same(adversarial_accuracy(net, outside, labels, 0.1, (0, 1), **some), expected)


def test_random_numbers_are_those_of_the_sample_in_the_whole(net, x, labels, outside):
    attack = attacks.PGD(steps=1, random_start=True, step_size=0.01)
    for rng in (3, (3, np.arange(ROWS)[::-1])):
        settings = {"attack": attack, "rng": rng, "keep_adversarial": True}
        expected = adversarial_accuracy(net, x, labels, 0.1, (0, 1), **settings)
        found = adversarial_accuracy(net, outside, labels, 0.1, (0, 1), **settings)
        # The first step follows signs of gradients, which seldom depend on the order of sums.
        np.testing.assert_allclose(found.adversarial, expected.adversarial, atol=1e-6)
        same(found, expected)
    first = adversarial_accuracy(net, outside, labels, 0.1, (0, 1), **settings | {"rng": 4})
    assert not np.allclose(first.adversarial, expected.adversarial, atol=1e-3)


def test_targets_lattice_and_recount(net, x, labels, outside):
    targets = (labels + 1) % 5
    for settings in ({"targets": targets}, {"lattice": 255}, {"recount": True}):
        expected = adversarial_accuracy(net, x, labels, EPS, (0, 1), **settings)
        same(adversarial_accuracy(net, outside, labels, EPS, (0, 1), **settings), expected)


def test_a_function_is_called_for_every_block(net, x, labels, outside):
    seen = []

    def lighter(net, x, labels, eps, bounds):
        seen.append(len(x))
        return np.clip(x + np.float32(eps), 0, 1)

    expected = adversarial_accuracy(net, x, labels, [0.1, 0.2], (0, 1), attack=lighter)
    assert seen == [ROWS] * 2
    same(adversarial_accuracy(net, outside, labels, [0.1, 0.2], (0, 1), attack=lighter), expected)
    assert seen[2:] == [HEIGHT] * 6 + [ROWS - 3 * HEIGHT] * 2


def test_an_iterator_of_pairs(net, x, labels):
    expected = adversarial_accuracy(net, x, labels, EPS, (0, 1))
    pairs = ((x[i : i + 50], labels[i : i + 50]) for i in range(0, ROWS, 50))
    report = adversarial_accuracy(net, pairs, eps=EPS, bounds=(0, 1))
    assert report.digests is None
    same(report, expected)


@pytest.mark.parametrize("attack", ["fgsm", "pgd", ["fgsm", "square"]])
def test_results_in_a_folder(attack, net, x, labels, outside, tmp_path):
    attack = [brief(a) for a in attack] if isinstance(attack, list) else brief(attack)
    settings = {"attack": attack, "keep_adversarial": True}
    expected = adversarial_accuracy(net, x, labels, EPS, (0, 1), **settings)
    for given in (outside, x, iter([(x, labels)])):
        truth = None if hasattr(given, "__next__") else labels
        report = adversarial_accuracy(
            net, given, truth, EPS, (0, 1), results=tmp_path / "a" / "b", **settings
        )
        same(report, expected)
        np.testing.assert_allclose(report.adversarial, expected.adversarial, atol=1e-6)
        assert isinstance(report.adversarial_prediction, np.memmap)
        names = {path.name for path in (tmp_path / "a" / "b").iterdir()}
        kept = {"labels", "clean_prediction", "adversarial_prediction", "adversarial"}
        kept |= set() if expected.traces is None else {"traces"}
        assert names == {f"{name}.npy" for name in kept}
        on_disk = np.load(tmp_path / "a" / "b" / "clean_prediction.npy")
        np.testing.assert_array_equal(on_disk, expected.clean_prediction)
    report.save(tmp_path / "report.npz")
    same(AdversarialReport.load(tmp_path / "report.npz"), expected)


def test_a_failure_leaves_no_results(net, x, labels, outside, tmp_path):
    folder = tmp_path / "results"
    adversarial_accuracy(net, outside, labels, 0.1, (0, 1), results=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    wrong = labels.copy()
    wrong[400] = 5
    pairs = iter([(x, wrong)])
    with pytest.raises(ValueError, match=r"labels\[400\] is 5, outside"):
        adversarial_accuracy(net, pairs, eps=0.1, bounds=(0, 1), results=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(NotADirectoryError, match=r"x\.npy is a file, expected a folder"):
        adversarial_accuracy(net, outside, labels, 0.1, (0, 1), results=tmp_path / "x.npy")


def test_errors_name_the_row_of_the_whole(net, x, labels, outside):
    floats = (x / 255).astype(np.float32)
    pairs = lambda rows: iter([(rows, labels)])  # noqa: E731
    floats[333, 7] = 2
    with pytest.raises(ValueError, match=r"x\[333, 7\] is 2, outside the bounds"):
        adversarial_accuracy(net, pairs(floats), bounds=(0, 1))
    floats[333, 7] = 0.1234
    with pytest.raises(ValueError, match=r"x\[333, 7\] is 0.1234, which is no multiple of 1/255"):
        adversarial_accuracy(net, pairs(floats), bounds=(0, 1), lattice=255)
    wrong, targets = labels.copy(), (labels + 1) % 5
    wrong[2], targets[400] = -1, labels[400]
    with pytest.raises(ValueError, match=r"labels\[2\] is -1"):
        adversarial_accuracy(net, outside, wrong, bounds=(0, 1))
    with pytest.raises(ValueError, match=r"targets\[400\] is \d, which is the true class"):
        adversarial_accuracy(net, outside, labels, bounds=(0, 1), targets=targets)
    for name, some in (("targets", {"targets": targets[1:]}), ("rng", {"rng": (0, targets[1:])})):
        with pytest.raises(ValueError, match=f"{name}.* must have one entry a row: 501 rows, 500"):
            adversarial_accuracy(net, outside, labels, bounds=(0, 1), **some)

    def far(net, x, labels, eps, bounds):
        x = x.copy()
        x[labels == 9, 0] = 5
        if len(x) < HEIGHT:  # the last block
            x[3, 5] += 3
        return x

    with pytest.raises(ValueError, match=rf"at \[{3 * HEIGHT + 3}, 5\], further than eps"):
        adversarial_accuracy(net, outside, labels, 0.1, attack=far)


def test_signs_of_all_samples(make_net, rng, tmp_path):
    """Where all logits are probabilities or all inputs look normalised, all blocks show it."""
    net = make_net((30, 5))
    normal = rng.normal(size=(ROWS, 30)).astype(np.float32)
    labels = net.predict(normal)
    expected = adversarial_accuracy(net, normal, labels, [0.01, 0.1])
    assert "inputs look normalised" in {d.name for d in expected.diagnostics}
    np.save(tmp_path / "n.npy", normal)
    outside = np.load(tmp_path / "n.npy", mmap_mode="r")
    same(adversarial_accuracy(net, outside, labels, [0.01, 0.1]), expected)
    net.weights[0][:] = 0
    net.biases[0][:] = 0.2
    expected = adversarial_accuracy(net, normal, labels, 0.1)
    assert "outputs are probabilities" in {d.name for d in expected.diagnostics}
    same(adversarial_accuracy(net, outside, labels, 0.1), expected)


def test_accuracy_that_rises_is_seen_in_the_sum_over_blocks(net, x, labels, outside):
    """More samples stand at the second eps, though fewer do in some blocks."""

    def odd(net, x, labels, eps, bounds):
        # At the smaller eps, fool all of every other block's samples; at the larger one, none.
        return np.clip(x + np.float32(eps), 0, 1) if eps < 0.15 else x.copy()

    expected = adversarial_accuracy(net, x, labels, [0.2, 0.1], (0, 1), attack=odd)
    assert "accuracy rises with eps" in {d.name for d in expected.diagnostics}
    same(adversarial_accuracy(net, outside, labels, [0.2, 0.1], (0, 1), attack=odd), expected)


def test_an_empty_set(net, x, labels, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        report = adversarial_accuracy(net, file.create_dataset("x", data=x[:0]), labels[:0])
    assert (report.n, report.clean_correct, report.adversarial_correct) == (0, 0, 0)
    with pytest.raises(ValueError, match="the iterator yields no rows"):
        adversarial_accuracy(net, iter([]), eps=0.1)


def test_an_outcome_in_a_record_is_the_same(net, x, labels):
    """And a record with an object in it is refused: nothing of it is executed."""
    from fastnn.attacks._batch import Batch, Run, attack_batch
    from fastnn.attacks._plan import plan_of

    plan = plan_of("pgd", EPS, (0, 1), recount=False, keep=True, lattice=None)
    [outcome], _ = attack_batch(net, [plan], Batch(x, labels), Run(1))
    again, digest = _store._unpacked(_store._packed(outcome.packed(), "abc"))
    assert digest == "abc"
    for name, value in outcome._asdict().items():
        if name not in ("seconds", "compiling", "signs"):
            np.testing.assert_array_equal(getattr(again, name), value)
    assert again.labels.dtype == np.uint8
    assert {k: v.tolist() for k, v in again.signs.items()} == {
        k: v.tolist() for k, v in outcome.signs.items()
    }
    evil = outcome._replace(clean=np.array([print], object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        _store._unpacked(_store._packed(evil, ""))


def test_progress_is_of_all_samples(net, outside, labels, capsys, monkeypatch):
    monkeypatch.setattr("fastnn._runtime.progress._SHOWN_AFTER", 0.0)
    adversarial_accuracy(net, outside, labels, 0.1, (0, 1), progress=True)
    assert "100% 501/501" in capsys.readouterr().err
    pairs = iter([(np.asarray(outside), labels)])
    adversarial_accuracy(net, pairs, eps=0.1, bounds=(0, 1), progress=True)
    assert "attack: 501 [" in capsys.readouterr().err


def test_all_arguments_have_their_place():
    import inspect

    names = list(inspect.signature(fastnn.adversarial_accuracy).parameters)
    assert names[:7] == ["net", "x", "labels", "eps", "bounds", "threads", "progress"]


def test_numbers_of_the_block_would_be_noticed(net, x, labels, outside, monkeypatch):
    """A violation: random numbers that follow from the position in the block."""
    from fastnn.attacks import _blocks

    def wrong(batch, pieces=_blocks.pieces_of):
        for piece in pieces(batch):
            yield piece._replace(rng=(piece.rng[0], np.arange(piece.block.rows)))

    settings = {"attack": attacks.PGD(steps=1), "keep_adversarial": True}
    expected = adversarial_accuracy(net, x, labels, 0.1, (0, 1), **settings).adversarial
    found = adversarial_accuracy(net, outside, labels, 0.1, (0, 1), **settings).adversarial
    np.testing.assert_allclose(found, expected, atol=1e-6)
    monkeypatch.setattr(_blocks, "pieces_of", wrong)
    found = adversarial_accuracy(net, outside, labels, 0.1, (0, 1), **settings).adversarial
    np.testing.assert_allclose(found[:HEIGHT], expected[:HEIGHT], atol=1e-6)
    assert not np.allclose(found[HEIGHT:], expected[HEIGHT:], atol=1e-3)


def test_memory_does_not_follow_the_rows(make_net, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(_block, "_MOST_ROWS", 1280)
    net = make_net((400, 16, 5))
    x = rng.integers(0, 256, (60_000, 400), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    labels = rng.integers(0, 5, len(x), dtype=np.uint8)
    outside = np.load(tmp_path / "x.npy", mmap_mode="r")

    def peak(read):
        tracemalloc.start()
        try:
            rows = read(outside)
            adversarial_accuracy(net, rows, labels[: len(rows)], 0.1, (0, 1), threads=1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(lambda rows: rows[:1000])  # loads what is loaded once
    assert peak(lambda rows: rows) < x.nbytes / 2
    assert peak(np.array) > x.nbytes  # which would be noticed

"""The network that is trained once: what the cache knows it by, and when it is trained again."""

import os
from dataclasses import replace

import numpy as np
import pytest

from fastnn import MLP, _recipe, train
from fastnn._recipe import FULL, SAMPLE, Recipe, cached_network, recipe_for
from fastnn.attacks import PGD, Attack
from fastnn.datasets import identity

TINY = Recipe(sizes=(784, 8, 10), epochs=1)


@pytest.fixture(autouse=True)
def _small_and_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(_recipe, "SAMPLE", TINY)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTNN_DATA", raising=False)


@pytest.fixture
def folder(tmp_path, rng):
    """Return a folder with forty digits to train on and ten to test with."""
    path = tmp_path / "digits"
    path.mkdir()
    for split, n in (("train", 40), ("test", 10)):
        np.save(path / f"images_{split}.npy", rng.integers(0, 256, (n, 784), dtype=np.uint8))
        np.save(path / f"labels_{split}.npy", np.arange(n) % 10)
    return path


def resave(path, change):
    """Change an array on disk and nothing that the file system says about it."""
    before = path.stat()
    np.save(path, change(np.load(path)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_identity_holds_while_nothing_changes(folder):
    assert identity(folder) == identity(folder)
    resave(folder / "labels_test.npy", lambda labels: labels[::-1].copy())
    before = identity(folder)
    os.utime(folder / "labels_train.npy", ns=(1, 1))
    assert identity(folder) == before
    assert identity(source="sample") != before


def test_identity_sees_other_labels_in_a_file_of_the_same_size_and_time(folder):
    before = identity(folder)
    resave(folder / "labels_train.npy", lambda labels: labels[::-1].copy())
    assert identity(folder) != before


def test_identity_sees_other_images_by_time_or_size(folder, rng):
    images = folder / "images_train.npy"
    seen = {identity(folder)}
    os.utime(images, ns=(1, 1))
    seen.add(identity(folder))
    np.save(images, np.zeros((41, 784), np.uint8))
    os.utime(images, ns=(1, 1))
    seen.add(identity(folder))
    assert len(seen) == 3


def test_other_digits_and_other_recipes_are_trained_on(folder, monkeypatch):
    origins = [cached_network(folder, "auto")[1], cached_network(folder, "auto")[1]]
    resave(folder / "labels_train.npy", lambda labels: labels[::-1].copy())
    origins.append(cached_network(folder, "auto")[1])
    monkeypatch.setattr(_recipe, "SAMPLE", Recipe(sizes=(784, 8, 10), epochs=2))
    origins.append(cached_network(folder, "auto")[1])
    new, old = "trained now, kept for the next run", "kept from an earlier run"
    assert origins == [new, old, new, new]


def test_the_kept_network_is_the_trained_one(folder):
    trained, _ = cached_network(folder, "auto")
    kept, _ = cached_network(folder, "auto")
    again, _ = TINY.train(np.load(folder / "images_train.npy"), np.arange(40) % 10)
    for ours in (kept, again):
        for a, b in zip(trained.weights + trained.biases, ours.weights + ours.biases, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_cache_is_a_folder_away_from_being_read(folder, tmp_path, capsys):
    (tmp_path / "cache").write_bytes(b"")
    _, origin = cached_network(folder, "auto")
    assert origin == "trained now"
    assert "fastnn: the network could not be kept: " in capsys.readouterr().err


def test_recipes_by_the_number_of_digits(monkeypatch):
    monkeypatch.setattr(_recipe, "SAMPLE", SAMPLE)
    assert recipe_for(4_000) is SAMPLE
    assert recipe_for(60_000) is FULL
    assert FULL.sizes == SAMPLE.sizes == (784, 2048, 512, 512, 10)


# --- recipes of one's own


def test_a_recipe_keeps_one_network_for_the_same_digits_and_settings(folder, tmp_path):
    recipe = Recipe((784, 8, 10), epochs=1, attack=PGD(steps=2), eps=0.1, bounds=(0, 1))
    others = [TINY, replace(recipe, attack=PGD(steps=3)), replace(recipe, eps=0.2)]
    others.append(replace(recipe, attack="fgsm"))
    first = recipe.network(folder)
    for net in (recipe.network(folder), replace(recipe).network(folder)):
        np.testing.assert_array_equal(net.weights[0], first.weights[0])
    for k, other in enumerate(others, 2):
        assert (other.network(folder).weights[0] != first.weights[0]).any()
        assert len(list((tmp_path / "cache" / "networks").iterdir())) == k
    resave(folder / "labels_train.npy", lambda labels: labels[::-1].copy())
    assert (recipe.network(folder).weights[0] != first.weights[0]).any()


def test_a_recipe_trains_once(folder, monkeypatch):
    first = TINY.network(folder)
    monkeypatch.setattr(_recipe, "train", None)
    np.testing.assert_array_equal(TINY.network(folder).weights[0], first.weights[0])
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        replace(TINY, seed=1).network(folder)


def test_a_recipe_trains_on_attacked_digits(folder):
    x, labels = np.load(folder / "images_train.npy"), np.arange(40) % 10
    attacked = replace(TINY, attack="fgsm", eps=0.1, bounds=(0, 1))
    net = MLP.random(TINY.sizes, rng=0)
    settings = {"epochs": 1, "batch_size": 200, "learning_rate": 0.1, "momentum": 0.8}
    train(net, x, labels, attack="fgsm", eps=0.1, bounds=(0, 1), **settings)
    np.testing.assert_array_equal(attacked.train(x, labels)[0].weights[0], net.weights[0])


def test_an_attack_without_settings_that_can_be_compared_is_refused(folder):
    class Mine(Attack):
        def perturb_tile(self, tile, eps):
            return tile.x

    recipe = replace(TINY, attack=Mine(), eps=0.1)
    with pytest.raises(TypeError, match=r"^a network is kept by its attack's settings, got <"):
        recipe.network(folder)
    assert recipe.train(np.zeros((1, 784), np.uint8), [0])[1].train_accuracy in ([0], [1])


def test_a_folder_without_training_digits_is_refused(folder):
    for name in ("images_train.npy", "labels_train.npy"):
        (folder / name).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"^there are no training digits, and no network was given$"
    ):
        TINY.network(folder)

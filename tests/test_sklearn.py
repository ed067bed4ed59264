"""The classifier for scikit-learn: its contract, and the same results as scikit-learn's own."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastnn

sklearn = pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_iris, make_blobs  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from fastnn.sklearn import FastMLPClassifier  # noqa: E402


@parametrize_with_checks([FastMLPClassifier(random_state=0)])
@pytest.mark.filterwarnings("ignore")
def test_the_contract_of_estimators_is_kept(estimator, check):
    check(estimator)


@pytest.fixture
def blobs():
    x, labels = make_blobs(300, centers=4, n_features=6, random_state=0)
    return StandardScaler().fit_transform(x), np.array(["a", "b", "c", "d"])[labels]


@pytest.mark.filterwarnings("ignore:the loss still decreased", "ignore:Stochastic Optimizer")
@pytest.mark.parametrize("name", ["relu", "logistic", "tanh"])
@pytest.mark.parametrize("alpha", [0, 0.5])
def test_epochs_are_those_of_scikit_learn(blobs, name, alpha):
    """Start scikit-learn's classifier from the same weights; a batch of all needs no order."""
    x, labels = blobs
    settings = {"activation": name, "alpha": alpha, "learning_rate_init": 0.1, "batch_size": 300}
    ours = FastMLPClassifier((5, 4), max_iter=1, random_state=0, **settings).fit(x, labels)
    theirs = MLPClassifier(
        (5, 4), solver="sgd", nesterovs_momentum=False, warm_start=True, max_iter=1, **settings
    ).fit(x, labels)
    net = fastnn.MLP.random((6, 5, 4, 4), ours._function(), first_seed(0), np.float64)
    theirs.coefs_ = [w.copy() for w in net.weights]
    theirs.intercepts_ = [b.copy() for b in net.biases]
    theirs.set_params(max_iter=7).fit(x, labels)
    ours.set_params(max_iter=7).fit(x, labels)
    for a, b in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-9)
    np.testing.assert_allclose(ours.predict_log_proba(x), theirs.predict_log_proba(x), rtol=1e-8)
    assert ours.score(x, labels) == theirs.score(x, labels)


def first_seed(random_state):
    return int(np.random.RandomState(random_state).randint(2**31 - 1))


def test_it_scores_as_scikit_learn_does(blobs):
    x, labels = blobs
    ours = cross_val_score(FastMLPClassifier(random_state=0), x, labels).mean()
    theirs = cross_val_score(MLPClassifier(max_iter=500, random_state=0), x, labels).mean()
    assert ours == pytest.approx(theirs, abs=0.02)


def test_a_grid_search_over_a_pipeline():
    x, labels = load_iris(return_X_y=True)
    model = FastMLPClassifier(learning_rate_init=0.1, max_iter=1000, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model)
    grid = {"fastmlpclassifier__hidden_layer_sizes": [(4,), (16, 8), 8]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x, labels)
    assert search.best_score_ > 0.9


def test_the_network_is_that_of_the_classifier(blobs, dtype):
    x, labels = blobs[0].astype(dtype), blobs[1]
    model = FastMLPClassifier((8,), random_state=1).fit(x, labels)
    assert (model.network_.sizes, model.network_.dtype) == ((6, 8, 4), dtype)
    numbers = np.searchsorted(model.classes_, labels)
    assert model.network_.accuracy(x, numbers) == model.score(x, labels) > 0.9
    same = fastnn.MLP.from_sklearn(make_pipeline("passthrough", model))
    np.testing.assert_array_equal(same.logits(x), model.network_.logits(x))
    report = fastnn.adversarial_accuracy(model.network_, x, numbers, eps=0.1)
    assert report.adversarial_accuracy <= report.clean_accuracy


def test_a_seed_gives_the_same_classifier(blobs):
    model = FastMLPClassifier(random_state=3).fit(*blobs)
    for other in (clone(model).fit(*blobs), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict_proba(blobs[0]), model.predict_proba(blobs[0]))
    different = clone(model).set_params(random_state=4).fit(*blobs)
    assert (different.coefs_[0] != model.coefs_[0]).any()


def test_training_ends_when_the_loss_does_not_improve(blobs):
    model = FastMLPClassifier(tol=0.05, n_iter_no_change=3, random_state=0).fit(*blobs)
    curve = np.array(model.loss_curve_)
    assert model.n_iter_ == len(curve) < 200
    assert (model.loss_, model.best_loss_) == (curve[-1], curve.min())
    assert curve[-4:].min() > curve[:-4].min() - 0.05
    with pytest.warns(ConvergenceWarning, match="the loss still decreased after max_iter=3 epochs"):
        short = FastMLPClassifier(max_iter=3, random_state=0).fit(*blobs)
    assert short.n_iter_ == 3


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"activation": "sigmoid"}, ValueError, "activation must be one of .*, got 'sigmoid'"),
        ({"hidden_layer_sizes": (3, 0)}, ValueError, "sizes must be at least 1, got 0"),
        ({"hidden_layer_sizes": 2.5}, TypeError, "sizes must be an integer, got 2.5"),
        ({"momentum": 1}, ValueError, r"momentum must be in \[0, 1\), got 1"),
        ({"alpha": -1}, ValueError, "alpha must be finite in float32 and >= 0, got -1"),
        ({"learning_rate_init": 0}, ValueError, "learning_rate_init must be .* > 0, got 0"),
        ({"batch_size": "all"}, TypeError, "batch_size must be an integer, got 'all'"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1, got 0"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be at least 1, got 0"),
        ({"tol": np.nan}, ValueError, "tol must be finite"),
    ],
)
def test_wrong_settings_are_refused(blobs, settings, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        FastMLPClassifier(**settings).fit(*blobs)


def test_what_cannot_be_fitted_is_refused(blobs):
    with pytest.raises(ValueError, match="y has the one class 'a', expected two classes or more"):
        FastMLPClassifier().fit(blobs[0], np.full(300, "a"))
    with pytest.raises(NotFittedError, match="is not fitted"):
        FastMLPClassifier().predict(blobs[0])
    with pytest.raises(FloatingPointError, match=r"the training diverges|row \d+"):
        FastMLPClassifier(learning_rate_init=1e30).fit(*blobs)


def test_without_scikit_learn_a_line_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import fastnn; fastnn.sklearn"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: fastnn.sklearn needs scikit-learn 1.6 or newer: pip install fastnn[sklearn]"
    )

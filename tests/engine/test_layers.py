"""The buffers of a pass: how rows are cut, what is kept for a tile, which weights are packed."""

import numpy as np
import pytest

from fastnn import MLP
from fastnn._engine import activations, layers, masked, memory, narrow, tiles, workspace
from fastnn._runtime.team import Team


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (0, 1),
        (narrow.MOST_ROWS, 1),
        (narrow.MOST_ROWS + 1, 2),
        (511, 2),
        (512, 4),
        (1023, 4),
        (1024, 8),
        (2560, 8),
        (2561, 12),
        (3840, 12),
        (3841, 16),
        (10_000, 32),
    ],
)
def test_tiles_are_few_and_tall(rows, count):
    assert len(tiles.tiles(rows)) == count


@pytest.mark.parametrize("shape", [(1,), (7, 5), (16, 4), (500, 33), (3, 2, 5)])
def test_an_array_begins_at_a_cache_line(shape, dtype):
    for _ in range(20):
        array = memory.empty(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.ctypes.data % 64 == 0
        buffer = array.base
        while buffer.base is not None:
            buffer = buffer.base
        assert buffer.nbytes - array.nbytes <= 64


@pytest.mark.parametrize(
    ("to", "g", "slope"),
    [
        (None, [0, 0, 0, 9], [0, 0, 0, 0]),
        (1, [0, 9, 9, 9], [0, 9, 9, 0]),
        (0, [9, 9, 9, 9], [0, 9, 9, 0]),
    ],
)
def test_a_workspace_has_the_buffers_that_its_gradients_need(make_net, activation, to, g, slope):
    net = make_net((8, 7, 5, 3), activation)
    ws = workspace.Workspace(net, 9, to, {})
    assert [h.shape for h in ws.h] == [(9, 8), (9, 7), (9, 5), (9, 3)]
    assert [len(one) for one in ws.g] == g
    assert [len(one) for one in ws.slope] == ([0] * 4 if activation == "relu" else slope)
    ws.load(np.zeros((20, 8), np.float32), slice(4, 10))
    assert [len(one) for one in (*ws.h, ws.losses)] == [6] * 5
    assert [len(one) for one in ws.g] == [min(6, rows) for rows in g]


def test_a_spare_buffer_is_kept_until_a_larger_one_is_asked_for(make_net, dtype):
    ws = workspace.Workspace(make_net((4, 3), dtype=dtype), 5, None, {})
    first = ws.spare("one", 4, 6)
    assert (first.shape, first.dtype) == ((4, 6), dtype)
    for shape in ((4, 6), (6, 4), (3, 5), (24,)):
        assert np.shares_memory(ws.spare("one", *shape), first)
        assert ws.spare("one", *shape).shape == shape
    assert ws.spare("one", 25).shape == (25,)
    assert not np.shares_memory(ws.spare("one", 25), first)
    assert not np.shares_memory(ws.spare("other", 2), ws.spare("one", 2))
    assert ws.spare("numbers", 2, dtype=np.int64).dtype == np.int64


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_rows_are_loaded_as_they_stand_or_by_number(make_net, rng, order, kind):
    x = np.array(rng.integers(0, 256, (20, 4)), kind, order=order)
    ws = workspace.Workspace(make_net((4, 3)), 9, None, {})
    for rows in (slice(3, 11), np.array([5, 19, 0, 5])):
        ws.load(x, rows)
        scale = 255 if kind == np.uint8 else 1
        np.testing.assert_array_equal(ws.h[0], x[rows].astype(np.float32) / np.float32(scale))


@pytest.mark.parametrize(
    ("to", "packed"),
    [
        (None, [(0, False), (1, False)]),
        (1, [(0, False), (1, False), (1, True)]),
        (0, [(0, False), (0, True), (1, False), (1, True)]),
    ],
)
def test_weights_are_packed_for_the_products_to_come(rng, to, packed):
    net = MLP.random((300, 200, 150, 3), rng=rng)
    workspaces = workspace.Workspaces(net, 10, to)
    # The last layer is too narrow for panels; its transpose is not.
    expected = packed if to is None else [*packed, (2, True)]
    with Team(1) as team:
        for rows in (masked.PACK_FROM, masked.PACK_FROM - 1, 10 * masked.PACK_FROM):
            workspaces.pack(team, rows)
            assert sorted(workspaces.packed) == (expected if rows >= masked.PACK_FROM else [])
    assert workspaces[0].packed is workspaces.packed


@pytest.mark.parametrize("most_dense", [-1.0, 1.0])  # by BLAS, by panels
@pytest.mark.parametrize("rows", [1, 60, 61])
@pytest.mark.parametrize("width", [3, 150])  # too narrow for panels, and not
def test_the_transposed_input_times_residuals(
    make_net, rng, monkeypatch, dtype, most_dense, rows, width
):
    monkeypatch.setattr(masked, "_MOST_DENSE", most_dense)
    ws = workspace.Workspace(make_net((33, width, 2), dtype=dtype), rows, 1, {})
    x = np.where(rng.random((rows, 33)) < 0.2, rng.normal(size=(rows, 33)), 0).astype(dtype)
    ws.load(x, slice(0, rows))
    ws.g[1][:] = rng.normal(size=(rows, width))
    out = np.full((33, width), np.nan, dtype)
    layers.input_transposed_product(ws, out)
    tolerance = 100 * np.finfo(dtype).eps
    exact = x.T.astype(float) @ ws.g[1].astype(float)
    np.testing.assert_allclose(out, exact, rtol=tolerance, atol=tolerance)


def test_slope_is_filled_where_gradients_go_back_alone(make_net, rng):
    # Without gradients there is no buffer for it, and the activation is the same.
    net, x = make_net((4, 5, 3), "sigmoid"), rng.random((7, 4), np.float32)
    found = []
    for to in (None, 1):
        ws = workspace.Workspace(net, 7, to, {})
        ws.load(x, slice(0, 7))
        found.append(layers.forward(ws).copy())
        assert len(ws.slope[1]) == (0 if to is None else 7)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    np.testing.assert_allclose(ws.slope[1], ws.h[1] * (1 - ws.h[1]), rtol=1e-5)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("rows", "products"), [(layers._ONE_BY_ONE, layers._ONE_BY_ONE), (layers._ONE_BY_ONE + 1, 1)]
)
def test_few_rows_go_to_blas_one_by_one(make_net, rng, monkeypatch, rows, products, transposed):
    net = make_net((30, 20))
    ws = workspace.Workspace(net, rows, None, {})
    factor = net.weights[0].T if transposed else net.weights[0]
    a = rng.random((rows, len(factor)), np.float32)
    exact = a.astype(np.float64) @ factor.astype(np.float64)
    out = np.full(exact.shape, np.nan, np.float32)
    done, matmul = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda *a, **k: done.append(a) or matmul(*a, **k))
    layers.layer_product(ws, a, 0, out, transposed=transposed)
    assert len(done) == products
    np.testing.assert_allclose(out, exact, rtol=1e-5, atol=1e-5)


def test_activations_cannot_be_changed():
    for one in activations.ACTIVATIONS.values():
        with pytest.raises(AttributeError, match="cannot assign"):
            one.forward = one.backward

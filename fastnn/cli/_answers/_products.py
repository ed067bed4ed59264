"""Known answers of products: of tiles, of a few rows, on several threads, with a step behind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn._engine import masked
from fastnn._engine.narrow import KEEP_FROM, SharedProducts
from fastnn._kernels import masked_products, pairing, sign_products
from fastnn._kernels.masked_products import DEPTH, ROWS, VECTORS
from fastnn._kernels.narrow_panels import PANELS_FROM
from fastnn._kernels.narrow_products import MOST_ROWS, _strip_width
from fastnn._kernels.vectors import VECTOR_BYTES
from fastnn._runtime.team import Team
from fastnn.cli._answers._compare import WIDE, Answer, Array, Kind, answer
from fastnn.networks import MLP


def _sparse(kind: Kind, rows: int, depth: int, rng: np.random.Generator) -> Array:
    """Return a matrix with zeros in the same columns of neighbouring rows."""
    there = (rng.random((1, depth)) < 0.5) & (rng.random((rows, depth)) < 0.6)
    return np.where(there, rng.standard_normal((rows, depth)), 0).astype(kind)


def _product(name: str, found: Array, a: Array, b: Array) -> Answer:
    """Compare ``a @ b`` with a sum of longer numbers; any order of the sums is right."""
    a_wide, b_wide = a.astype(WIDE), b.astype(WIDE)
    unit = float(np.finfo(found.dtype).eps)
    allowed = (a.shape[1] + 4) * unit * (np.abs(a_wide) @ np.abs(b_wide))
    return answer(name, found, a_wide @ b_wide, allowed + np.finfo(found.dtype).tiny)


def of_tiles(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for products that leave zeros out, with matrices of every number of vectors."""
    for width in sorted({*_widths_of_panels(kind), 333}):
        for rows, depth in ((2 * ROWS + 1, 2 * DEPTH + 33), (ROWS, 5), (1, DEPTH)):
            a = _sparse(kind, rows, depth, rng)
            a[:ROWS, DEPTH : 2 * DEPTH] = 0  # a chunk of the first group that is passed over
            b = rng.standard_normal((depth, width)).astype(kind)
            for transposed in (False, True):
                shape = masked.panels_shape(depth, width, kind)
                assert shape is not None  # as wide as a panel at least
                panels = np.full(shape, np.nan, kind)
                matrix = np.ascontiguousarray(b.T) if transposed else b
                masked.pack(matrix, panels, transposed=transposed)
                out = np.full((rows, width), np.nan, kind)
                masks = np.zeros(masked.masks_shape(rows, depth), np.uint64)
                count = masked_products._mark(a, masks)
                yield answer("_mark", count, _entering(a))
                sums = np.full(masked.sums_shape(rows, panels), np.nan, kind)
                vectors = panels.shape[2] * kind.itemsize // VECTOR_BYTES
                masked_products._masked_product(a, masks, panels, vectors, sums, out)
                name = "_masked_product" + (", transposed" if transposed else "")
                yield _product(name, out, a, b)
    for rows in (6, 7):
        yield from _of_pairs(_sparse(kind, rows, DEPTH + 9, rng))


def _widths_of_panels(kind: Kind) -> list[int]:
    """Return the widths of panels of every number of vectors, and one that is cut off."""
    widths = [count * VECTOR_BYTES // kind.itemsize for count in VECTORS]
    return [*widths, widths[0] + 1]


def _entering(a: Array) -> int:
    """Return how many columns enter the product, of all groups together."""
    groups = [a[row : row + ROWS] for row in range(0, len(a), ROWS)]
    return sum(int(np.count_nonzero((group != 0).any(axis=0))) for group in groups)


def _of_pairs(x: Array) -> Iterator[Answer]:
    """Ask which rows have zeros in the same places."""
    order = np.empty(len(x), np.int64)
    places = np.empty((-(-x.shape[1] // DEPTH), len(x)), np.uint64)
    pairing._pair_alike(x, places, np.empty(len(x), np.int64), order)
    left, wanted, there = list(np.argsort(-(x != 0).sum(axis=1), kind="stable")), [], x != 0
    while left:
        first = left.pop(0)
        wanted.append(first)
        if left:
            apart = {row: int((there[row] ^ there[first]).sum()) for row in sorted(left)}
            wanted.append(min(apart, key=lambda row: (apart[row], row)))
            left.remove(wanted[-1])
    yield answer("_pair_alike", order, np.array(wanted))


def of_few_rows(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for products that threads share, forward and back, and for steps behind them."""
    for rows in range(1, MOST_ROWS + 2):  # groups of every height
        yield from _of_so_many(kind, rows, 1, 300, rng)
    for rows in (PANELS_FROM, 40, 150):
        yield from _of_so_many(kind, rows, 1, 300, rng)
        yield from _of_kept_panels(kind, rows, rng)
    for rows in (3, 150):  # no more on several threads, which wait long on a busy machine
        yield from _of_so_many(kind, rows, 2, 300, rng)
    narrowest = _strip_width(MOST_ROWS, kind.itemsize)  # narrower than a strip of fewer rows
    yield from _of_so_many(kind, MOST_ROWS, 1, narrowest, rng)


def _of_so_many(
    kind: Kind, rows: int, threads: int, width: int, rng: np.random.Generator
) -> Iterator[Answer]:
    """Ask for the products of so many rows."""
    depth = 2 * DEPTH + 5
    weights = rng.standard_normal((depth, width)).astype(kind)
    net = MLP([weights.copy()], [np.zeros(width, kind)])
    a = _sparse(kind, rows, depth, rng)
    a[:, 5:30] = 0  # so many that some blocks have hardly a column
    g = rng.standard_normal((rows, width)).astype(kind)
    shared = SharedProducts(net, rows, steps=True)
    with Team(threads), shared.on(threads):
        if not shared.fit(rows, width):
            return
        out = np.full((rows, width), np.nan, kind)
        shared.multiply(a, 0, out)
        yield _product("_forward", out, a, weights)
        for only in (None, a):
            back = np.full((rows, depth), np.nan, kind)
            shared.multiply_back(g, 0, back, only)
            if only is not None:  # what ReLU does not let through may be left out
                back = np.where(a == 0, g @ weights.T, back)
            yield _product("_backward", back, g, weights.T)
        for momentum in (0.0, 0.9):
            for l2 in (0.0, 0.01):
                yield from _of_steps(shared, (weights, a, g), momentum, l2)


def _of_kept_panels(kind: Kind, rows: int, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for a product and its transpose so often that the weights are packed once."""
    a, weights = _sparse(kind, rows, 5 * DEPTH, rng), rng.standard_normal((5 * DEPTH, 300))
    a[:, DEPTH : 2 * DEPTH] = 0  # a chunk that leaves sums as they are
    net = MLP([weights.astype(kind)], [np.zeros(300, kind)])
    shared = SharedProducts(net, rows)
    out, back = np.empty((rows, 300), kind), np.empty_like(a)
    g = rng.standard_normal(out.shape).astype(kind)
    with shared.on(1):
        for _ in range(KEEP_FROM + 1):
            out[:] = back[:] = np.nan
            shared.multiply(a, 0, out)
            shared.multiply_back(g, 0, back, None)
    yield _product("_forward, kept", out, a, net.weights[0])
    yield _product("_backward, kept", back, g, net.weights[0].T)


def _of_steps(
    shared: SharedProducts, arrays: tuple[Array, Array, Array], momentum: float, l2: float
) -> Iterator[Answer]:
    """Ask for a product and for the step of gradient descent behind it."""
    weights, a, g = arrays
    kind, moved = weights.dtype, weights.copy()
    scale, rate = 0.25, 0.5
    velocity = np.ones_like(weights) if momentum else np.empty((0, weights.shape[1]), kind)
    back = np.full(a.shape, np.nan, kind)
    settings = np.array([scale, l2, momentum, rate], kind)
    shared.multiply_back_and_step(g, moved, a, back, velocity, settings, masked=False)
    yield _product("_backward_and_step", back, g, weights.T)
    held = settings.astype(WIDE)
    total = a.astype(WIDE).T @ g.astype(WIDE)
    before = 1.0 if momentum else 0.0
    step = held[2] * before + held[0] * total + held[1] * weights
    size = 1 + np.abs(a.astype(WIDE)).T @ np.abs(g.astype(WIDE)) + np.abs(weights)
    allowed = (len(a) + 8) * float(np.finfo(kind).eps) * size
    yield answer("_step_task", moved, weights - held[3] * step, allowed)
    if momentum:
        yield answer("_step_task, velocity", velocity, step, allowed)
    shared.multiply_back_and_step(g, weights.copy(), a, back[:0], velocity, settings, masked=True)


def of_moves(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for products of inputs that have all moved by one length, and of some that have not."""
    chunk, strip = sign_products.DEPTH, sign_products.STRIP_BYTES // kind.itemsize
    lines = sign_products.TABLES * sign_products.LINES
    for depth in (2 * chunk, chunk + 7):
        before = rng.standard_normal((3, depth)).astype(kind)
        x = before + rng.choice([-0.25, 0.25], before.shape).astype(kind)
        masks, size = np.zeros((-(-depth // chunk), 3), np.uint64), kind.type(0.25)
        unit = np.finfo(kind).eps
        moved = sign_products._mark_steps(x, before, size, masks)
        yield answer("_mark_steps", moved, True)
        for width in _widths_of_panels(kind):
            weights = rng.standard_normal((depth, width)).astype(kind)
            shape = masked.panels_shape(depth, width, kind)
            assert shape is not None  # as wide as a panel at least
            panels = np.full(shape, np.nan, kind)
            masked.pack(weights, panels)
            last, tables = np.empty((chunk, strip), kind), np.empty((lines, strip), kind)
            sums, out = np.empty((3, shape[2]), kind), np.full((3, width), np.nan, kind)
            z = (before.astype(WIDE) @ weights.astype(WIDE)).astype(kind)
            sign_products._add_sign_products(masks, panels, size, z, last, tables, sums, out)
            wanted = x.astype(WIDE) @ weights.astype(WIDE)
            allowed = 8 * unit * ((np.abs(x) + np.abs(before)) @ np.abs(weights))
            yield answer("_add_sign_products", out, wanted, allowed)
        x[1, depth - 1] = before[1, depth - 1]
        moved = sign_products._mark_steps(x, before, size, masks)
        yield answer("_mark_steps, one stays", moved, False)

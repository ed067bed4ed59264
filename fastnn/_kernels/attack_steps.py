"""Kernels for attacks: signed steps, and the first layer's products for many eps at a time."""

from __future__ import annotations

import numpy as np

from fastnn._kernels.jit import kernel

_PIECE = 512  # entries of a row that stay in the first-level cache
# What `_signed_step` needs to find the number before another one. Not the smallest number of all:
# some processors take a hundred times as long for subnormals.
ROUNDING = {
    np.dtype(kind): np.array([of.epsneg * (1 + of.eps), of.smallest_normal], kind)
    for kind, of in ((np.float32, np.finfo(np.float32)), (np.float64, np.finfo(np.float64)))
}


@kernel
def _stepped(clean, x, g, length, most_change, lower, upper, unit, tiny):
    """Return `x` after a step of `length` along the sign of `g`.

    It goes no further than `most_change` from `clean`, and stays within the bounds. `unit` and
    `tiny` are the numbers of `ROUNDING`: where ``clean + most_change`` was rounded away from
    `clean`, the number before it is the limit, so that no computed difference exceeds `most_change`
    (the number before, by a product and a difference: Rump, Zimmermann, Boldo and Melquiond 2009,
    doi:10.1007/s10543-009-0218-z).
    """
    v = x + (length if g > 0 else (-length if g < 0 else g))
    least, most = clean - most_change, clean + most_change
    # Near the smallest numbers the step inwards is more than one number long.
    inner = least + (unit * abs(least) + tiny)
    inner = clean if inner > clean else inner
    least = least if clean - least <= most_change else inner
    inner = most - (unit * abs(most) + tiny)
    inner = clean if inner < clean else inner
    most = most if most - clean <= most_change else inner
    v = least if v < least else v
    v = most if v > most else v
    v = lower if v < lower else v
    return upper if v > upper else v


@kernel
def _signed_step(clean, x, gradient, step, eps, lower, upper, rounding, out):
    """out = x + step * sign(gradient), no further than eps from `clean` and within the bounds.

    `step` and `eps` have a number for each row. `rounding` has half the spacing of numbers below
    1, a little enlarged, and the smallest normal number; see `_stepped`.

    `out` may be `x` or `gradient`. Results go to it by way of a piece of memory that nothing else
    uses: LLVM makes no vectors of a loop that writes to what it reads.
    """
    unit, tiny = rounding[0], rounding[1]
    source, start, slope, target = clean.ravel(), x.ravel(), gradient.ravel(), out.ravel()
    rows, width = clean.shape
    piece = np.empty(_PIECE, out.dtype)
    for r in range(rows):
        length, most_change = step[r], eps[r]
        for first in range(r * width, (r + 1) * width, _PIECE):
            last = min(first + _PIECE, (r + 1) * width)
            here, now = source[first:last], start[first:last]
            way, there = slope[first:last], target[first:last]
            for i in range(last - first):
                piece[i] = _stepped(
                    here[i], now[i], way[i], length, most_change, lower, upper, unit, tiny
                )
            for i in range(last - first):
                there[i] = piece[i]


@kernel
def _zero_rows(gradient):
    """Return for each row whether it is all zero."""
    rows, width = gradient.shape
    found = np.empty(rows, np.bool_)
    for i in range(rows):
        j = 0
        while j < width and gradient[i, j] == 0:
            j += 1
        found[i] = j == width
    return found


@kernel
def _direction_and_room(lower, upper, x, gradient, room):
    """gradient becomes its sign, 0 where a bound is in the way; room = how far it is."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    rows, width = x.shape
    for i in range(rows):
        for j in range(width):
            g = gradient[i, j]
            sign = one if g > 0 else (-one if g < 0 else g)
            space = upper - x[i, j] if g > 0 else x[i, j] - lower
            gradient[i, j] = sign if space > 0 else zero * sign
            room[i, j] = space


@kernel
def _still_moving(direction, room, most, out):
    """out = direction where the room is beyond a step of `most`, 0 where a bound stops it."""
    source, space, target = direction.ravel(), room.ravel(), out.ravel()
    zero = out.dtype.type(0)
    for i in range(source.size):
        target[i] = source[i] if space[i] > most else zero * source[i]


@kernel
def _stops_in_order(direction, room, reached, eps, stops, ends):
    """List the inputs of a row that meet their bound between `reached` and the last eps, in order.

    Those that do so up to eps[k], and not before, are stops[ends[k] : ends[k + 1]].
    """
    found = np.empty_like(stops)
    count = 0
    for j in range(direction.size):
        found[count] = j
        count += (room[j] > reached) & (room[j] <= eps[-1]) & (direction[j] != 0)
    previous = reached
    ends[0] = last = 0
    for k in range(eps.size):
        for p in range(count):
            stops[last] = found[p]
            last += (room[found[p]] > previous) & (room[found[p]] <= eps[k])
        ends[k + 1] = last
        previous = eps[k]


@kernel
def _shift_by_every_eps(direction, room, reached, eps, weights, z, slope, out):
    """out[i * K + k] = the first layer's products for row i, moved by eps[k] within its bounds.

    `eps` ascends from `reached`, the largest eps of the call before, 0 in the first. On entry, z is
    the product of the inputs, with direction * room added for those that have met their bound;
    slope is the product of the directions that `_still_moving` leaves at the last eps. An input
    that meets its bound on the way adds its row of the weights to the slopes of all eps before
    that, and direction * room of it to z. Nothing is ever subtracted: the rounding that a
    difference leaves behind would be multiplied by eps. On exit z belongs to the last eps, and
    slope is used up.
    """
    rows, width = direction.shape
    count = eps.size
    stops, ends = np.empty(width + 1, np.int64), np.empty(count + 1, np.int64)
    stopping = np.empty((count, z.shape[1]), z.dtype)
    for i in range(rows):
        _stops_in_order(direction[i], room[i], reached, eps, stops, ends)
        base, change = z[i], slope[i]
        for k in range(count):
            stopped = stopping[k]
            stopped[:] = 0
            for p in range(ends[k], ends[k + 1]):
                sign = direction[i, stops[p]]
                way = sign * room[i, stops[p]]
                row = weights[stops[p]]
                for c in range(row.size):
                    stopped[c] += sign * row[c]
                    base[c] += way * row[c]
            out[i * count + k] = base
        for k in range(count - 1, -1, -1):
            target, stopped = out[i * count + k], stopping[k]
            for c in range(change.size):
                target[c] += eps[k] * change[c]
                change[c] += stopped[c]

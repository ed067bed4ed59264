"""Known answers through every compiled kernel: what ``fastnn doctor --check`` asks for.

- `_compare` says what an answer is, and when it is wrong.
- `_entries`, `_products`, `_steps` and `_whole` ask the kernels, group by group; their inputs enter
  every branch, and what they expect comes from formulas in a wider type, or from the reference.
- `_widths` runs all groups in a process of its own for each width of vectors.
"""

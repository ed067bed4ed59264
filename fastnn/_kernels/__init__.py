"""Everything that numba compiles: the decorators, and kernels by what they work on.

- `jit` has the decorators `kernel` and `part`, `cache` keeps what they compiled on disk.
- `elementwise` works on entries and on a layer's bias and activation, `exponentials` on those that
  need e**x, `logits` on rows of logits, `attack_steps` on adversarial inputs, `descent` on
  parameters, and `masked_products` multiplies matrices and leaves out zeros.
- `narrow_products` multiplies a few rows, and `narrow_jobs` has several threads share such a
  product, by the `atomics`; `narrow_helpers` are these threads. `narrow_passes` makes all passes of
  an attack of a few rows. `vectors` is for those that write machine code with LLVM's builder.

A kernel takes contiguous arrays of one floating type, checks nothing, and writes into its last
argument or, where its docstring says so, in place. Each works on the rows that it is given, on one
thread and without the GIL: `fastnn._runtime.team` runs them on several; the threads of
`narrow_jobs` share one product. A kernel uses nothing of another folder, since the cache of
compiled kernels does not notice a change made there.

A NaN that comes in goes out: comparisons are written so that a NaN fails them, and no flag lets
LLVM assume that there is none.
"""

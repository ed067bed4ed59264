"""What a process shares: threads, BLAS, processors, signals, files.

- `team` runs work on several threads, `blas` holds BLAS at one thread meanwhile, `threads` has the
  number that the user set, `processors` those that the process may use.
- `signals` lets handlers of signals run between two tiles of rows.
- `files` writes files whole or not at all, and knows the cache folder; `progress` draws a bar.
"""

"""What a process shares: threads, BLAS, processors, signals, files.

- `team` runs work on several threads, `blas` holds BLAS at one thread meanwhile, `threads` has the
  number that the user set, `processors` those that the process may use.
- `signals` delays handlers of signals until the end of a tile.
- `files` writes files whole or not at all, and finds the cache folder; `progress` draws a bar.
"""

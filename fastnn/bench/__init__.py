"""Measuring fastnn: jobs with checked answers, honest ratios, and the machine's own limits.

`fastnn bench` runs from here, and so does the suite in `benchmarks/`, which adds the peers:

- `setting` is the network and the digits, `jobs` what is asked and how an answer is judged;
  `implementations` and `ours` are who is asked.
- `worker` is a fresh process that holds one implementation; `harness` interleaves several.
- `statistics` turns times into a ratio with an interval, or into "not resolved".
- `machine` and `ceilings` describe what it ran on, and how fast that could be.
- `results` keeps and compares runs; `figures` draws them; `cli` is the command.
"""

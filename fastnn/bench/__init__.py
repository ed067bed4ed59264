"""Benchmarks of fastnn: jobs with checked answers, ratios with intervals, the machine's ceilings.

The command `fastnn bench` and the suite in `benchmarks/`, which adds the peers, use the same code:

- `setting` is the network and the digits; `jobs` are what is computed, and how an answer is judged;
- `protocol` is what an implementation offers; `ours` is fastnn, `implementations` and `reference`
  are those it is compared with on every machine;
- `worker` is a fresh process with one implementation; `process` is its other end, and `messages`
  are what the two send; `harness` measures several of them in turns;
- `statistics` turns times into a ratio with an interval, or into "not resolved";
- `machine` and `ceilings` describe the machine and its highest rates;
- `results` is a run as a document, made of `records`; `comparison`, `table` and `figures` show it;
- `session` is the short run of the command; `fastnn.cli.bench` is the command.
"""

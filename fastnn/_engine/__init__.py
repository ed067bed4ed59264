"""How a batch goes through a network: tile by tile, in buffers that are made once for each thread.

- `network` says what the engine needs of a network, `activations` what follows a layer.
- `tiles` cuts a batch into tiles of rows and deals them to a team of threads.
- `workspace` has the buffers of one thread, `memory` makes them.
- `layers` goes forward and backward through the layers of one tile, `losses` gives its losses,
  residuals and predictions.
- `masked` multiplies matrices that are mostly zeros.
- `gradients` sums the gradients by the parameters over a batch.

`docs/architecture.md` draws the way of one tile.
"""

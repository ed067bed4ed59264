"""The 5,000 digits that come with fastnn."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLE = "mnist_sample.npz"
SAMPLE_SHA256 = "99d6b75fd3488d845cd55aef5212af0d3f9d43dfb4e1496cdeaea2bece0fc97b"
_SAMPLE_SPLITS = {
    "train": (slice(None, 4000), "training"),
    "test": (slice(4000, None), "held-out"),
}


def load_sample(split: str, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.int64], str]:
    """Load a split of the bundled digits after checking the SHA-256 of their file."""
    here = Path(__file__).parents[1]
    # In a wheel it lies inside the package, in a checkout beside it.
    places = (here / "_data" / _SAMPLE, here.parent / "data" / _SAMPLE)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{_SAMPLE}, which comes with fastnn, is missing: install it again")
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != SAMPLE_SHA256:
        raise ValueError(f"{path} is damaged: SHA-256 {digest}, expected {SAMPLE_SHA256}")
    rows, word = _SAMPLE_SPLITS[split]
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        pixels, labels = archive["images"][rows], archive["labels"][rows].astype(np.int64)
    # Copied: a slice would keep the other half in memory.
    images = pixels.copy() if dtype == np.uint8 else np.divide(pixels, 255, dtype=dtype)
    return images, labels, f"bundled sample, {len(images):,} {word} digits"

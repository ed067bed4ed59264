"""A report as a table of pandas."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.reports._counts import Counts


def data_frame(report: Counts) -> Any:
    """Return a DataFrame with a row for each eps and sample."""
    try:
        import pandas as pd  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        raise ImportError("to_pandas needs pandas: pip install pandas") from None
    eps, n = np.atleast_1d(report.eps), report.n
    origins = report.origins.reshape(-1, 3)
    names = np.array([*report.attacks, None], object)  # -1, of no attack, is the last one
    columns = {
        "eps": eps.repeat(n),
        "sample": np.tile(np.arange(n), len(eps)),
        "label": np.tile(report._truth, len(eps)),
    }
    if report.targets is not None:
        columns["target"] = np.tile(report.targets, len(eps))
    columns |= {
        "clean_prediction": np.tile(report.clean_prediction, len(eps)),
        "adversarial_prediction": report.adversarial_prediction.reshape(-1),
        "fooled": report.fooled.reshape(-1),
        "attack": names[origins[:, 0]],
        "run": origins[:, 1],
        "step": origins[:, 2],
    }
    return pd.DataFrame(columns)

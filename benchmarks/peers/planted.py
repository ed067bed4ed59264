"""fastnn with planted faults, which the harness has to find."""

import time

from fastnn.bench.ours import Fastnn32


class Slow(Fastnn32):
    """One kernel takes 1.3 times as long."""

    def sigmoid(self, z, bias):
        start = time.perf_counter()
        answer = super().sigmoid(z, bias)
        end = start + 1.3 * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return answer


class Wrong(Fastnn32):
    """One logit in a thousand is wrong."""

    def logits(self, x):
        answer = super().logits(x)
        answer[::100, 0] += 0.1
        return answer

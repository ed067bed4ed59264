"""Reports of attacks: counts and shares, what broke which sample, files, tables and figures.

A report holds what `fastnn.adversarial_accuracy` has found. It attacks nothing itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

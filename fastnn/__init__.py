"""Small dense networks on the CPU: batched passes, training, adversarial accuracy.

`__init__.pyi` lists the public names. Each is imported when it is first used, so that
``import fastnn`` loads neither numpy nor numba nor matplotlib.
"""

from importlib.util import find_spec

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
# `from fastnn import *` takes no modules: `io` would hide the standard library's.
__all__ = [name for name in __all__ if not (name[0] == "_" or find_spec(f"fastnn.{name}"))]

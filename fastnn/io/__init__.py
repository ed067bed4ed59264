"""Networks in files, and NumPy files that are read no further than they are credible.

Each format of networks is a module; `networks` chooses between them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Networks in files, in several formats, and NumPy files.

Each format of networks is a module; `networks` chooses between them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

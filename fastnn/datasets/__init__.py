"""Digits: MNIST from the user's files or a download, and the sample that comes with fastnn."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

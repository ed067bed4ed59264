"""Data: inputs and labels of any form, data sets by name, and the digits that come with fastnn."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

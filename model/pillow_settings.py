"""Pillow's settings, which are its process's: our caps alone decide what is decoded, and nothing is printed.

Pillow has a pixel limit of its own (an error above twice it, a warning above it) beneath any that a caller sets, and it
warns, logs, or lets libtiff print, where a picture is odd. Here a picture is good or has a PictureError; neither is
news for a terminal. Limit and filters are read by all threads at every picture, so they are set once, before any.
"""

import ctypes
import logging
import warnings

from PIL import Image


def settle() -> None:
    """Lifts Pillow's own pixel limit and silences it. Whoever opens a picture must compare its size with a cap before
    anything is decoded (`model.pictures` does)."""
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    _silence_libtiff()


def _silence_libtiff() -> None:
    """libtiff prints its errors, beside returning them, as long as it has a handler for them."""
    library = ctypes.CDLL(Image.core.__file__)  # its symbols include those of the libraries it is linked to
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        set_handler = getattr(library, name, None)  # none: Pillow was built without libtiff, or with one that is hidden
        if set_handler is not None:
            set_handler(None)

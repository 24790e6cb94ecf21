"""Pillow's settings, which are its process's: our caps alone decide what is decoded, and nothing is printed.

Pillow has a pixel limit of its own (an error above twice it, a warning above it) beneath any that a caller sets, and it
warns, logs, or lets libtiff print, where a picture is odd. Here a picture is good or has a PictureError; neither is
news for a terminal.
"""

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

_lock = threading.Lock()
_num_lifting = 0
_limit_of_others: int | None = None


def silence() -> None:
    """Keeps what Pillow and libtiff say off the terminal. To be called once, before any picture is opened: filters are
    read by all threads."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    library = ctypes.CDLL(Image.core.__file__)  # its symbols include those of the libraries it is linked to
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        set_handler = getattr(library, name, None)  # none: Pillow was built without libtiff, or with one that is hidden
        if set_handler is not None:
            set_handler(None)


@contextmanager
def own_pixel_limit_lifted() -> Iterator[None]:
    """Lifts Pillow's own limit while any thread is within: whoever opens a picture there must compare its size with a
    cap before anything is decoded. Others' pictures are limited again behind the last of them."""
    global _num_lifting, _limit_of_others
    with _lock:
        if _num_lifting == 0:
            _limit_of_others, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _num_lifting += 1
    try:
        yield
    finally:
        with _lock:
            _num_lifting -= 1
            if _num_lifting == 0:
                Image.MAX_IMAGE_PIXELS = _limit_of_others

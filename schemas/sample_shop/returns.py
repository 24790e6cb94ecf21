"""What comes back: in some departments some colours look different at home than in the picture.

    kind     (department, colour), of all of them a seventh disappoints: the same kinds in every shop
    weight   .55 of a kind that disappoints, .02 of another: how likely a bought item comes back, up to a factor by
             which a tenth of all that is bought does

So the colour must be known, which a text names of half of the items and a picture shows, and the department, which
texts tell; what people click on together tells both. The weights are in truth.parquet.
"""

import numpy as np

from schemas.hashing import seed_of
from schemas.sample_shop.product_types import DEPARTMENTS
from schemas.sample_shop.products import COLOURS

RETURNED_SHARE = 0.1
_DISAPPOINTING_SHARE, _DISAPPOINTING, _OTHER = 1 / 7, 0.55, 0.02


def return_weight(department: str, colour: str) -> float:
    """
    >>> return_weight("toys", "red"), return_weight("toys", "black")
    (0.55, 0.02)
    """
    return _DISAPPOINTING if (department, colour) in _KINDS else _OTHER


def come_back(draws_C: np.ndarray, weights_C: np.ndarray) -> np.ndarray:
    """bool [C]: which of what was bought comes back: as many as draws (uniform in [0, 1)) are below RETURNED_SHARE,
    those whose draws are smallest for their weights. So their number, and all that is drawn after them, does not depend
    on the weights.

    >>> come_back(np.array([0.09, 0.5, 0.95]), np.array([0.02, 0.55, 0.02])).tolist()
    [False, True, False]
    """
    back_C = np.zeros(len(draws_C), bool)
    number = int((draws_C < RETURNED_SHARE).sum())
    back_C[np.argsort(draws_C / weights_C, kind="stable")[:number]] = True
    return back_C


def _disappointing() -> frozenset[tuple[str, str]]:
    kinds = [(department, colour.name) for department in DEPARTMENTS for colour in COLOURS]
    ranked = sorted(kinds, key=lambda kind: seed_of("colour is another at home", *kind))
    return frozenset(ranked[: round(_DISAPPOINTING_SHARE * len(kinds))])


_KINDS = _disappointing()

"""What a picture looks like in 64 bytes, and which pictures look the same: resized, compressed or slightly cut ones.

    middle square, 72 x 72 --+-- 9 x 9 grey -> is the right, the lower neighbour brighter? -> 128 bits (a dHash)
                             +-- 4 x 4 colours                                             -> 48 bytes

The bits tell shapes and ignore colours, so that a product in two colours has almost the same ones; the colours tell
these apart. On photos of 2,000 groceries and 700 clothes a copy of half the size or of JPEG quality 30 differs in at
most 3 bits and .7 grey levels, a copy without its outer hundredth in 2 to 8 bits; other photos differ in 10 bits or
more, unless they show one product in the same pose.
"""

import numpy as np

from model.pictures.decoding import Preprocessing, decode_picture
from model.pictures.faults import DEFAULT_LIMITS, PictureLimits

#: Bytes of a look, the first of them bits.
LOOK_BYTES, HASH_BYTES = 64, 16
#: Looks that differ in at most so many bits, and in colours by at most so much on average (of 255), are near.
MAX_BITS, MAX_COLOUR = 6, 8
#: So few bits set tell no shape: then all bits must be equal, or every plain picture were compared with every other.
MAX_PLAIN_BITS = 12
_CELLS, _BLOCKS, _SIDE_PX = 9, 4, 72
#: A neighbour counts as brighter from so many grey levels on: the noise of a plain background does not.
_BRIGHTER_BY = 3
#: Looks are compared where one of the 8 pairs of hash bytes is equal: near ones have such a pair, for they differ in
#: fewer bits than there are pairs. Shuffled bits, so that a pair is not just a strip of background.
_SHUFFLED = np.random.Generator(np.random.PCG64(0)).permutation(HASH_BYTES * 8)
_MIDDLE = Preprocessing(resize_px=_SIDE_PX, crop_px=_SIDE_PX, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
#: Pairs of looks that are compared at once.
_BLOCK_PAIRS = 1 << 20


def picture_look(data: bytes, limits: PictureLimits = DEFAULT_LIMITS) -> bytes:
    """The look of an encoded picture. Raises PictureError as decode_picture does."""
    rgb_HWC = decode_picture(data, _MIDDLE, limits).astype(np.int64)
    cell = _SIDE_PX // _CELLS
    cells_HWC = rgb_HWC.reshape(_CELLS, cell, _CELLS, cell, 3).sum(axis=(1, 3))
    grey_HW = cells_HWC @ np.array([299, 587, 114]) // (1000 * cell * cell)
    right_HW = grey_HW[:-1, 1:] - grey_HW[:-1, :-1] >= _BRIGHTER_BY
    lower_HW = grey_HW[1:, :-1] - grey_HW[:-1, :-1] >= _BRIGHTER_BY
    bits = np.concatenate([right_HW.ravel(), lower_HW.ravel()])[_SHUFFLED]
    block = _SIDE_PX // _BLOCKS
    colours = rgb_HWC.reshape(_BLOCKS, block, _BLOCKS, block, 3).sum(axis=(1, 3)) // (block * block)
    return np.packbits(bits).tobytes() + colours.astype(np.uint8).tobytes()


def near_looks(looks_NB: np.ndarray) -> np.ndarray:
    """All pairs of near looks among the uint8 rows [N, LOOK_BYTES]: int64 [P, 2], row numbers, some pairs repeated.

    Equal rows are near, too; give distinct ones, or time grows with the square of how often one occurs.
    """
    hashes_NB = np.ascontiguousarray(looks_NB[:, :HASH_BYTES])
    is_plain_N = np.bitwise_count(hashes_NB).sum(axis=1) <= MAX_PLAIN_BITS
    shaped, plain = np.flatnonzero(~is_plain_N), np.flatnonzero(is_plain_N)
    found = [_near_of_equal(looks_NB, shaped, band) for band in hashes_NB[shaped].view("<u2").T]
    _, hash_of_plain = np.unique(hashes_NB[plain].view(f"V{HASH_BYTES}"), return_inverse=True)
    return np.concatenate([*found, _near_of_equal(looks_NB, plain, hash_of_plain.reshape(-1))])


def _near_of_equal(looks_NB: np.ndarray, row_R: np.ndarray, key_R: np.ndarray) -> np.ndarray:
    """Near pairs among those of the rows that have equal keys, int64 [P, 2]."""
    found = [np.zeros((0, 2), np.int64)]
    order = np.argsort(key_R, kind="stable")
    row_R, key_R = row_R[order], key_R[order]
    left = np.arange(len(row_R) - 1)
    distance = 1
    while len(left := left[left + distance < len(row_R)]):
        left = left[key_R[left] == key_R[left + distance]]  # places whose key is the one `distance` later
        pairs = np.stack([row_R[left], row_R[left + distance]], axis=1)
        for start in range(0, len(pairs), _BLOCK_PAIRS):
            block = pairs[start : start + _BLOCK_PAIRS]
            found.append(block[_are_near(looks_NB, block)])
        distance += 1
    return np.concatenate(found)


def _are_near(looks_NB: np.ndarray, pairs_P2: np.ndarray) -> np.ndarray:
    """bool [P]"""
    hashes_NH = np.ascontiguousarray(looks_NB[:, :HASH_BYTES]).view("<u8")
    one_P, other_P = pairs_P2.T
    num_bits_P = np.bitwise_count(hashes_NH[one_P] ^ hashes_NH[other_P]).sum(axis=1)
    near_P = num_bits_P <= MAX_BITS
    colours_NC = looks_NB[:, HASH_BYTES:]
    differences = colours_NC[one_P[near_P]].astype(np.int16) - colours_NC[other_P[near_P]]
    near_P[near_P] = np.abs(differences).mean(axis=1) <= MAX_COLOUR
    return near_P

"""Picture files that are whole but for what no pixel needs: bytes to bytes, nothing is decoded here.

Two faults are common and harmless. A PNG's colour profile or text may be larger than Pillow takes, or damaged. A JPEG
may lack its last two bytes, the end mark. But a JPEG that lacks more lacks pixels, and decoders fill them with grey:
see `ended_jpegs`.
"""

import re
from collections.abc import Iterator

_PNG_START, _PNG_CHUNKS = b"\x89PNG\r\n\x1a\n", frozenset((b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"))
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_SOS = 0xDA
_WITHIN_CODED_DATA = (0, b"")
_MAX_BOXES = 1_000
#: A scan of JPEG has at most as many components; a frame could have more, but no decoder of pictures takes them.
_MAX_COMPONENTS = 4
#: Encoders write about ten; the decoders' time is that of all of them.
_MAX_SCANS = 1_000
#: Start of frame: all of C0 to CF but the tables and the reserved one among them.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: What ends coded data: an FF that is neither stuffed nor fill nor of a restart mark.
_NEXT_MARK = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART_MARK = re.compile(rb"\xff([\xd0-\xd7])")
#: Coded data of no picture, enough for all blocks that are coded together; bit by bit unlike each other and zeros.
_NONSENSE = (b"\xaa" * 4096, bytes(range(254, -1, -1)) * 16)


def is_cut_short(data: bytes) -> bool | None:
    """Whether a file ends before its format says: its end mark or declared length is missing. None for formats that
    say neither."""
    tail = data[-1024:]
    if data.startswith(_JPEG_START):
        return _JPEG_END not in tail
    if data.startswith(_PNG_START[:4]):
        return b"IEND" not in tail
    if data.startswith(b"GIF8"):
        return not tail.rstrip(b"\0").endswith(b";")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    if data[4:8] == b"ftyp":
        return _ends_within_box(data)
    return None


def _ends_within_box(data: bytes) -> bool:
    """Whether an ISO media file, as AVIF is, ends before one of its boxes does."""
    place = 0
    for _ in range(_MAX_BOXES):
        if place >= len(data):
            break
        head = data[place : place + 16]
        size = int.from_bytes(head[8:16], "big") if head[:4] == b"\0\0\0\1" else int.from_bytes(head[:4], "big")
        if size < 8:  # 0: the rest of the file; others are none
            return False
        place += size
    return place > len(data)


def bare_png(data: bytes) -> bytes | None:
    """A PNG with only the chunks that its first frame and its orientation need; None for other files and for one that
    has no others.

    >>> bare_png(_PNG_START + bytes([0, 0, 0, 1]) + b"tEXtx" + bytes(4) + bytes(4) + b"IEND" + bytes(4))[8:]
    b'\\x00\\x00\\x00\\x00IEND\\x00\\x00\\x00\\x00'
    """
    if not data.startswith(_PNG_START):
        return None
    kept, start = [_PNG_START], len(_PNG_START)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        kind = data[start + 4 : start + 8]
        if kind in _PNG_CHUNKS:
            kept.append(data[start:end])
        if kind == b"IEND":
            break
        start = end
    bare = b"".join(kept)
    return bare if len(bare) < len(data) else None


def ended_jpegs(data: bytes) -> tuple[bytes, ...]:
    """A JPEG that lacks its end mark, completed in several ways; none for other files, and where a scan is missing.

    Only where all of them decode to the same pixels were all coded data there: a decoder that needs more goes on with
    zeros in the first, where the end follows at once, and with something else in each of the others. (Were the cut at a
    restart mark, it would look for the next one first.) Of 200,000 cuts of small pictures, all within 60 bytes of the
    end, this let two pass that changed a pixel.
    """
    if not lacks_end_mark(data) or not _has_all_scans(data):
        return ()
    coded = data.rstrip(b"\xff")
    restarts = _RESTART_MARK.findall(coded, coded.rindex(bytes((0xFF, _SOS))))
    restart = bytes((0xFF, 0xD0 + (restarts[-1][0] + 1) % 8 if restarts else 0xD0))
    return coded + _JPEG_END, *(coded + nonsense + restart + nonsense + _JPEG_END for nonsense in _NONSENSE)


def lacks_end_mark(data: bytes) -> bool:
    """Whether a file is a JPEG whose coded data go on to its last byte."""
    if not data.startswith(_JPEG_START) or data.endswith(_JPEG_END):
        return False
    last = None
    for last in _segments(data):  # noqa: B007
        pass
    return last == _WITHIN_CODED_DATA


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(mark, what its segment says) of a JPEG's segments, up to the end mark or to what is none. _WITHIN_CODED_DATA
    last if that is where the file ends."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        mark = data[place + 1]
        if mark == 0xFF:  # fill
            place += 1
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if mark == _JPEG_END[1] or end > len(data):
            return
        yield mark, data[place + 4 : end]
        if mark == _SOS:
            found = _NEXT_MARK.search(data, end)
            if found is None:
                yield _WITHIN_CODED_DATA
                return
            end = found.start()
        place = end


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG bring each coefficient of each component to its last bit: one that is cut between two
    scans ends like a whole one. Not where it has a second frame, or more components or scans than pictures have."""
    wanted: set[tuple[int, int]] | None = None  # a frame must come
    num_scans = 0
    for mark, body in _segments(data):
        if mark in _SOF:
            components = body[6::3]
            if wanted is not None or len(components) > _MAX_COMPONENTS:
                return False
            wanted = {(component, k) for component in components for k in range(64)}
        elif mark == _SOS:
            num_scans += 1
            num_components = body[0] if body else 0
            if num_scans > _MAX_SCANS or num_components > _MAX_COMPONENTS:
                return False
            if wanted and num_components and len(body) == 4 + 2 * num_components:
                first, last, bits = body[-3:]
                if bits & 15 == 0:
                    wanted -= {(component, k) for component in body[1:-3:2] for k in range(first, min(last, 63) + 1)}
    return wanted is not None and not wanted

"""Names that browsers, file managers and people give to a second copy of a file in the same folder.

| who | name |
|---|---|
| a browser's second download | `products (1).csv` |
| a file manager | `products copy.csv`, `products - Copy (2).csv`, `Kopie von products.csv`, `Copie de products.csv` |
| a person, an editor | `products.csv.bak`, `products_old.csv`, `products-backup.csv` |
"""

import os
import re

_COPY = "copy|kopie|copie|copia|cópia|kopia|kopi|kopio"
_BEFORE = re.compile(rf"(?:{_COPY})(?: \(?\d+\)?)? (?:of|von|de|di|van|av|af) (?=\S)", re.IGNORECASE)
_KEPT = "bak|backup|old|orig|original|sav|save|prev|previous"
_BEHIND = re.compile(
    rf"\s*[(\[]\d{{1,3}}[)\]]|[ _-]+(?:{_COPY})(?:[ _-]*\(?\d{{1,3}}\)?)?|[ _.-]+(?:{_KEPT})\d{{0,3}}|~", re.IGNORECASE
)


def without_copy(name: str) -> str:
    """A file's name as that of which it may be a copy, in small letters.

    >>> without_copy("Products (1).csv"), without_copy("Kopie von products.csv"), without_copy("products.csv.bak")
    ('products.csv', 'products.csv', 'products.csv')
    >>> without_copy("part-1.csv"), without_copy("old.csv"), without_copy("products - Copy (2).csv.gz")
    ('part-1.csv', 'old.csv', 'products.csv.gz')
    """
    plain = _BEFORE.sub("", name, count=1) if _BEFORE.match(name) else name
    stem, dot, endings = plain.partition(".")
    parts = [_without_end(stem), *(endings.split(".") if dot else [])]
    kept = [parts[0], *(part for part in parts[1:] if not _BEHIND.fullmatch(f".{part}"))]
    return os.extsep.join([*kept[:-1], _without_end(kept[-1]) if len(kept) > 1 else kept[-1]]).casefold()


def _without_end(text: str) -> str:
    """The text without such marks at its end, if anything is left."""
    for place in range(1, len(text)):
        if _BEHIND.fullmatch(text[place:]):
            return text[:place]
    return text

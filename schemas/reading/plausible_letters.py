"""Whether the letters beyond ASCII of a text that was read as cp1252 are letters that words have.

Any bytes are a text of cp1252, but for five: Polish of cp1250 becomes `¿ó³ty`, German of Mac Roman `SchŸssel`, and
Greek of cp1253 `ÁíèÝéá`. Four things tell them from French, German or Spanish: signs within words; capitals of which
there are hardly any, within words; words of such letters alone; letters beside each other that no language has both of.
"""

import re
from collections import Counter

#: A text is of another encoding where more than this share of its letters and signs beyond ASCII are such.
_MOST_IMPLAUSIBLE = 0.04
_LETTER = r"[^\W\d_]"
#: What stands before words and behind them, also where they are cells.
_BETWEEN = r"\s,;|(\"'"
#: Between two letters; `m³`, `n°5`, `¿Qué?`, `col·lecció`, `d´été`, `Brand®Name` and dashes are no such case.
_SIGNS = "¡¢£¤¥¦§¨¬¯°±¶¸¹³º¼½¾¿÷ƒˆ˜†‡‰‚„‹›"
_IN_WORDS = re.compile(
    rf"(?<={_LETTER})(?<![\d\s]m)[{_SIGNS}](?={_LETTER})"
    rf"|(?<={_LETTER})[¿¡]"
    r"|(?<=[a-zß-ÿ])[ŸŠŽ]"
    r"|(?<=[a-z])”(?=[a-z])"
    rf"|(?<={_LETTER})ª(?={_LETTER})"
    rf"|(?<![^{_BETWEEN}])[¬¨¯¶¸¹³ªº¢¤¦ˆ˜](?!C\b|F\b)(?={_LETTER})"  # `180 ºC` is one of Spanish
    r"|ƒ(?=[^\W\d]|[^\w\s,.;)])"
)
#: Three and more beside each other: words of Cyrillic, Greek, Hebrew, Arabic or of two bytes a letter. Words of cp1252
#: that have three are few (Estonian jäääär, Icelandic þýða), so that a share of all is meant.
_ROWS = re.compile(r"(?=[¡-¿]{0,4}[À-ÿ])[¡-ÿ]{3,}|(?!([¡-¿])\1{3})[¡-¿]{4,}")
#: So are words of two alone: words of cp1252 that have no letter of ASCII are few (French çà). Estonian öö is another.
_PAIRS = re.compile(rf"(?<![^{_BETWEEN}])(?=.?[À-ÿ])(?!([¡-ÿ])\1)[¡-ÿ]{{2}}(?![^{_BETWEEN}.:!?)])")
_MOST_IN_ROWS = 0.5
#: Czech ě and ů; Italian has ì and ù at the end of words alone, French ù in où.
_NOT_AT_THE_END = re.compile(rf"[ìù](?={_LETTER})")
#: Hungarian ő, beside á and é. Portuguese has õ before e alone, Estonian has hardly any é.
_LONG_O = re.compile(r"õ(?![eE])")
_LONG_VOWELS = re.compile("[áéíóú]")
#: Slovene and Croatian č, beside š and ž. French and Italian have é or à, too, and neither š nor ž.
_GRAVE, _CARONS, _OF_FRENCH = re.compile("è"), re.compile("[šž]"), re.compile("[éàê]")
#: Of Turkish (ş, ğ) and Baltic languages (š, ž); Icelandic and Faroese, which have them, lack most others.
_THORNS = re.compile("[þð]")
_NOT_ICELANDIC = re.compile("[àâãäçèêëìîïñòôõùûü]")
_BEYOND_ASCII = re.compile("[^\x00-\x7f\xa0]")


class LettersSeen:
    """Counts what a text, piece by piece, has beyond ASCII."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """A piece of the text, as cp1252 reads it. Words of ASCII alone say nothing, and are most."""
        text = " ".join(["", *(word for word in text.split() if not word.isascii())])
        for name, pattern in {
            "all": _BEYOND_ASCII,
            "implausible": _IN_WORDS,
            "not at the end": _NOT_AT_THE_END,
            "long o": _LONG_O,
            "long vowels": _LONG_VOWELS,
            "grave": _GRAVE,
            "carons": _CARONS,
            "of french": _OF_FRENCH,
            "thorns": _THORNS,
            "not icelandic": _NOT_ICELANDIC,
        }.items():
            self._counts[name] += sum(1 for _ in pattern.finditer(text))
        self._counts["in rows"] += sum(len(found[0]) for row in (_ROWS, _PAIRS) for found in row.finditer(text))

    @property
    def are_plausible(self) -> bool:
        """Whether they are what a text of cp1252 may have; also without any."""
        seen = self._counts
        if seen["in rows"] > _MOST_IN_ROWS * seen["all"]:
            return False
        implausible = seen["implausible"] + seen["not at the end"]
        if 4 * seen["long vowels"] > seen["long o"]:
            implausible += seen["long o"]
        if 5 * seen["carons"] > seen["grave"] > 4 * seen["of french"]:
            implausible += seen["grave"]
        if 5 * seen["not icelandic"] > seen["all"]:
            implausible += seen["thorns"]
        return implausible <= _MOST_IMPLAUSIBLE * seen["all"]


def are_plausible_letters(text: str) -> bool:
    """Whether a text that was read as cp1252 is one, by its letters.

    >>> are_plausible_letters("Größe 5 m³, ¿Qué?"), are_plausible_letters("¿ó³ty"), are_plausible_letters("SchŸssel")
    (True, False, False)
    """
    seen = LettersSeen()
    seen.add(text)
    return seen.are_plausible

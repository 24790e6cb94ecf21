"""Shop text as a browser shows it: tags, comments, scripts and styles vanish, character references are read.

    <p>Size&nbsp;&lt; 5<br>Oak</p><style>p{}</style>   ->   Size < 5 Oak
    a<b, <3, size < 5, AT&T, R&Dept                    ->   as they are

Inline elements join ("<b>w</b>ord" is one word), all others separate words. Only a whole tag of a known element is a
tag: HTML itself would lose the end of "a<b". What is left goes to the standard library's parser and its table of
references. Tags reach it without their attributes, for how it mends broken ones, and how long it takes over them,
differs between releases of Python: equal texts must give equal tokens on all.
"""

import re
from html import unescape
from html.entities import html5
from html.parser import HTMLParser

#: Feeds escape twice, and a tag may come out of a reference. A text that still changes after that many readings was
#: made to: it loses every "<" and "&", so that reading is idempotent and its time bounded.
_MAX_READINGS = 4
#: A tag with "<" in a quoted value is looked for this far, so that the time stays linear.
_MAX_TAG_WITH_LESS_THAN = 1000

_INLINE_ELEMENTS = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q rb rp rt ruby s samp small"
    " span strike strong sub sup time tt u var wbr"
)
_SEPARATING_ELEMENTS = (
    "address applet area article aside audio base basefont blockquote body br button canvas caption center col colgroup"
    " datalist dd details dialog dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4"
    " h5 h6 head header hgroup hr html iframe img input legend li link main map marquee menu meta meter nav noscript"
    " object ol optgroup option output p param picture pre progress section select source summary table tbody td"
    " textarea tfoot th thead title tr track ul video"
)
_INLINE = frozenset(_INLINE_ELEMENTS.split())
_FOREIGN = frozenset({"math", "svg"})
_HIDDEN = frozenset({"script", "style", "template"}) | _FOREIGN
_KNOWN = _INLINE | _HIDDEN | frozenset(_SEPARATING_ELEMENTS.split())

_MAY_BE_MARKUP = re.compile(r"<[a-zA-Z/!?]|&[a-zA-Z#]")
_NAME = r"<(/?)([a-zA-Z][a-zA-Z0-9]*(?::[a-zA-Z0-9]+)?)"
#: One quotation mark alone is a letter: <p title="6" wide>. An export that cuts its texts cuts tags too.
_TAG = re.compile(_NAME + r"""((?:[\s/](?:[^<>"']|"[^"<]*"|'[^'<]*'|["'])*+)?)(>|\Z)""")
_TAG_WITH_LESS_THAN = re.compile(_NAME + r"""(\s(?:[^<>"']|"[^"]*"|'[^']*')*+)(>)""")
_COMMENT = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))", re.DOTALL)
_DECLARATION = re.compile(r"<!\[CDATA\[|<!\[?[a-zA-Z][^<>]*>|<\?[a-zA-Z][^<>]*>")
_OPENED_VALUE = re.compile(r"""=\s*["']""")
_END_OF_CDATA = "]]>"
_REFERENCE = re.compile(r"&(?:(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{0,31})(;|(?![a-zA-Z0-9])))?")


def may_hold_markup(text: str) -> bool:
    """Whether `without_markup` has to look at the text, or at the text in other letters; quick."""
    return ("<" in text or "&" in text) and _MAY_BE_MARKUP.search(text) is not None


def without_markup(text: str) -> str:
    """The text that a person sees, white space runs as one space where anything was read; idempotent. Text without a
    tag, a comment and a reference is returned as it is. An unfinished script, style or comment hides the rest.

    >>> without_markup("<p>Tom &amp; <b>J</b>erry</p><p>3&frac12; in</p>")
    'Tom & Jerry 3½ in'
    >>> without_markup("a<b &  <3")
    'a<b &  <3'
    """
    for _ in range(_MAX_READINGS):
        if not may_hold_markup(text) or (read := _read(text)) is None:
            return text
        text = " ".join(read.split())
    if may_hold_markup(text) and _read(text) is not None:
        text = " ".join(text.replace("<", " ").replace("&", " ").split())
    return text


def shown_start(text: str, max_characters: int, max_read: int) -> tuple[str, bool]:
    """(what a person sees of the first `max_read` characters, of it the first `max_characters`; whether more would be
    seen). Text without markup is cut as it is.

    >>> shown_start("<p>Oak <b>table</b>", 6, 99), shown_start("Oak table", 99, 3)
    (('Oak ta', True), ('Oak', True))
    """
    shown = without_markup(text[:max_read])
    return shown[:max_characters], len(shown) > max_characters or len(text) > max_read


def _read(text: str) -> str | None:
    """The text, read once; None if there is no markup in it."""
    plain, has_markup = _only_known_tags(_REFERENCE.sub(_escaped_unless_known, text))
    if has_markup:
        parser = _VisibleText()
        parser.feed(plain)
        parser.close()
        return "".join(parser.pieces)
    read = unescape(plain)
    return None if read == text else read


def _escaped_unless_known(match: re.Match[str]) -> str:
    """A reference as it is; any other "&" as one. Without its semicolon only what HTML reads so: "&nbsp x"."""
    name, semicolon = match[1], match[2]
    if name is not None and (name[0] == "#" or name + semicolon in html5):
        return match[0]
    return "&amp;" + match[0][1:]


def _only_known_tags(text: str) -> tuple[str, bool]:
    """Every "<" that begins no markup escaped, bare tags of what separates or hides; and whether there was markup."""
    pieces: list[str] = []
    at, has_markup, in_cdata = 0, False, False
    while (start := text.find("<", at)) >= 0:
        pieces.append(text[at:start])
        tag, at = _markup_at(text, start)
        in_cdata |= text.startswith("<![CDATA[", start)
        has_markup |= tag is not None
        pieces.append("&lt;" if tag is None else tag)
    rest = "".join([*pieces, text[at:]])
    return (rest.replace(_END_OF_CDATA, " ") if in_cdata else rest), has_markup


def _markup_at(text: str, start: int) -> tuple[str | None, int]:
    """(what the parser is to see of the markup there, its end); (None, after the "<") if there is none."""
    following = text[start + 1 : start + 2]
    if following in ("!", "?"):
        found = _COMMENT.match(text, start) or _DECLARATION.match(text, start)
        if found is not None:
            return ("" if text.startswith("<!--", start) else " "), found.end()
    elif following == "/" or (following.isascii() and following.isalpha()):
        for pattern, end in ((_TAG, len(text)), (_TAG_WITH_LESS_THAN, start + _MAX_TAG_WITH_LESS_THAN)):
            if (found := pattern.match(text, start, end)) and (tag := _bare_tag(found)) is not None:
                return tag, found.end()
    return None, start + 1


def _bare_tag(found: re.Match[str]) -> str | None:
    """The tag without attributes; nothing for one that does not separate words, as those of another vocabulary (Word's
    o:p); None if it is text: of an unknown element, cut off before a value is quoted, or "a<b and c>d"."""
    slash, name, attributes, end = found[1], found[2].lower(), found[3], found[4]
    if ":" not in name and name not in _KNOWN:
        return None
    if not end and not _OPENED_VALUE.search(attributes):
        return None
    if len(name) == 1 and "=" not in attributes and attributes.strip(" \t\r\n\f/"):
        return None
    if ":" in name or name in _INLINE or (name in _FOREIGN and attributes.endswith("/")):
        return ""
    return f"<{slash}{name}>"


class _VisibleText(HTMLParser):
    """Gathers what is shown. Takes the output of _only_known_tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hiding, self._depth = "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._hiding and tag in _HIDDEN:
            self._hiding = tag
            self.pieces.append(" ")
        if self._hiding:
            self._depth += tag == self._hiding
        else:
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if self._hiding:
            self._depth -= tag == self._hiding
            if self._depth == 0:
                self._hiding = ""
        else:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hiding:
            self.pieces.append(data)

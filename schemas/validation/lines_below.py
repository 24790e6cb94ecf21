"""What reports and databases write below a table: who made it and when, how many rows there are, whose it is.

SKU                                  Name
A-1                                  A mug
Report generated 2026-11-30 10:00
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_WHAT = "(?:(?:this|the) )?(?:report|data|file|list|table|export|document|catalog(?:ue)?)"
_MADE = "(?:generated|exported|created|printed|downloaded|produced|extracted|powered|prepared)"
_WHEN_OR_BY = "(?:on|at|by|from|with|via|using|in|date|time)"
_ROWS = "(?:rows?|records?|items?|products?|lines?|entries|results?|zeilen|datensätze|artikel|lignes|filas|righe|rijen)"
_COUNTED = "(?:affected|selected|returned|exported|total|in total|found|fetched|in set|shown)"
_NUMBER = r"\d[\d.,  ]*"
#: RE2, of a whole text in whatever case; a label alone, and a label with what it is of.
_LABELS = (
    rf"{_WHAT} (?:was |is )?{_MADE}(?: {_WHEN_OR_BY})?",
    rf"{_MADE} {_WHEN_OR_BY}",
    *(rf"{_WHAT} (?:date|time)", "(?:erstellt|exportiert|gedruckt|erzeugt) (?:am|von)", "stand", f"(?:{_WHAT} )?as of"),
    *("(?:généré|exporté|créé|imprimé) (?:le|par)", "(?:generado|exportado|creado|impreso) (?:el|por)"),
    *("(?:generato|esportato|creato|stampato) (?:il|da)", "(?:gegenereerd|geëxporteerd) (?:op|door)"),
)
_DAY = r"\d{1,4}[-./ ](?:\d{1,2}|[a-zé]{3,9})[-./ ]\d{2,4}"
_LINES = (
    rf"(?:{_WHAT} )?(?:was |is )?{_MADE}(?: {_WHEN_OR_BY})?[: ].*(?:{_DAY}|\d\d:\d\d).*",
    rf"(?:{_WHAT} (?:was |is )?)?{_MADE} (?:by|from|with|via|using)[: ].+",
    rf"{_WHAT} {_MADE}[: ].+",
    rf"(?:{'|'.join(_LABELS[2:])})[: ]+.*(?:{_DAY}|\d\d:\d\d).*",
    rf"[(\[]{_NUMBER} {_ROWS}.{{0,40}}[)\]]\.?",
    rf"{_NUMBER} {_ROWS} {_COUNTED}.{{0,30}}",
    rf"(?:number of|count of|total) {_ROWS}[:= ]+{_NUMBER}",
    r"(?:©|\(c\) |copyright\b).*(?:\d{4}|all rights|reserved).*",
    r"©.*",
    "all rights reserved.?",
    rf"[-*=# ]*(?:end of (?:{_WHAT}|{_ROWS})|eof)[-*=# .]*",
    r"(?:#+|//|--) +[^\W\d].*",  # a comment
    r"(?:page|seite|página|pagina) \d+ (?:of|/|von|sur|de|di|van) \d+",
)
_LABEL = rf"(?i)^\s*(?:{'|'.join(_LABELS)})\s*:?\s*$"
_LINE = rf"(?i)^\s*(?:{'|'.join(_LINES)})\s*$"


def are_lines_below(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """bool [rows]: where a text is such a line.

    >>> are_lines_below(pa.array(["(60 rows)", "# end of 60 rows", "© 2026 Acme", "A-1", "Created", None])).tolist()
    [True, True, True, False, False, False]
    """
    return _mask(pc.match_substring_regex(texts, _LINE))


def are_labels_below(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """bool [rows]: where a text is the label of such a line, whose rest stands in the next cell.

    >>> are_labels_below(pa.array(["Report generated:", "Exported by", "Report", None])).tolist()
    [True, True, False, False]
    """
    return _mask(pc.match_substring_regex(texts, _LABEL))


def _mask(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)

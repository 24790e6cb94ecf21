"""Documents that editors of web pages keep as JSON, as the text that a person reads in them.

| kept as | by |
|---|---|
| a tree of nodes below `{"type": "root"}` or `{"type": "doc"}` | Shopify's rich text, ProseMirror (TipTap, Atlassian) |
| the same below `{"nodeType": "document"}` or `{"root": {...}}` | Contentful, Lexical |
| the same below `{"schema": "dast", "document": {...}}` | DatoCMS |
| a list of such nodes, or an object of it alone | Slate, Strapi, Sanity's Portable Text, BlockNote, Prismic, Wix |
| `{"ops": [{"insert": ...}]}`, or the list alone | Quill |
| `{"blocks": [...]}`, each with a text, or with data that has texts | Draft.js, Editor.js |

What is written otherwise is no document: a tree without a root of these whose branches have texts of their own is one
of categories, and an object with a text that stands in no other is a value.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.cells.keyed_texts import keyed_objects

#: What a node has of other nodes, in the order in which they are read.
_WITHIN = ("content", "children", "nodes", "rows", "cells")
_KINDS = ("type", "nodeType", "_type")
#: One of these is in each node that is no text.
_OF_NODES = frozenset((*_WITHIN, *_KINDS))
#: Kinds of nodes whose text is called a value.
_OF_VALUES = ("text", "span")
#: Kinds of roots; below one that many things may be called there has to be a text.
_ROOTS, _COMMON_ROOT = ("doc", "document", "root"), "root"
#: What an object around a list of nodes has, beside it; what one around blocks has.
_AROUND_NODES = frozenset(("children", "nodes", "metadata", "documentStyle", "version"))
_AROUND_BLOCKS = frozenset(("blocks", "entityMap", "time", "version"))
#: One of these is in each document that is an object.
_IN_DOCUMENTS = frozenset(("ops", "blocks", "root", "document", *_KINDS, "children", "nodes"))
#: What the data of a block of Editor.js has of texts, in the order in which they are read.
_TEXTS_OF_BLOCKS = ("title", "text", "message", "code", "html", "content", "items", "caption")


def rich_text(value: Any) -> str | None:
    """The text of a document, parts that stand apart separated by a blank, without addresses and pictures, "" of one
    that has none; None of a value that is no such document. value: a cell's, or what is in it, also as text or UTF-8 of
    JSON or Python.

    >>> word = [{"type": "text", "value": "Oak"}, {"type": "text", "value": "en", "bold": True}]
    >>> link = {"type": "link", "url": "/a", "title": "About", "children": [{"type": "text", "value": "About us"}]}
    >>> paragraphs = [{"type": "paragraph", "children": children} for children in (word, [link])]
    >>> rich_text({"type": "root", "children": paragraphs})
    'Oaken About us'
    >>> rich_text('{"ops": [{"insert": "Oak"}, {"insert": "en table", "attributes": {"bold": true}}]}')
    'Oaken table'
    >>> rich_text("Oak"), rich_text([{"type": "text", "text": "Oak"}]), rich_text({"text": "Oak"})
    (None, None, None)
    """
    document = keyed_objects(value) if isinstance(value, str | bytes) else value
    text = None
    if isinstance(document, dict) and not _IN_DOCUMENTS.isdisjoint(document):
        text = _text_of_object(document)
    elif isinstance(document, list) and document and isinstance(first := document[0], dict):
        if "insert" in first:
            text = _text_of_inserts(document)
        elif not _OF_NODES.isdisjoint(first):
            text = _text_of_list(document)
    return None if text is None else " ".join(text.split())


def _text_of_object(document: Mapping[str, Any]) -> str | None:
    if isinstance(ops := document.get("ops"), list):
        return _text_of_inserts(ops)
    if isinstance(blocks := document.get("blocks"), list):
        return _text_of_blocks(blocks) if blocks or _AROUND_BLOCKS.issuperset(document) else None
    inner = document.get("document" if document.get("schema") == "dast" else "root")
    root = inner if isinstance(inner, dict) else document
    kind = _kind(root)
    nodes = next((nodes for key in ("content", "children", "nodes") if isinstance(nodes := root.get(key), list)), None)
    if nodes is None:
        return None
    if kind in _ROOTS:
        return _text_of_nodes(nodes, needs_text=bool(nodes) and kind == _COMMON_ROOT and root is document)
    told = {key for key, inner in document.items() if inner is not None}
    return _text_of_list(nodes) if kind is None and _AROUND_NODES.issuperset(told) else None


def _text_of_list(nodes: list[Any]) -> str | None:
    """That of nodes below no root, of which none is words alone."""
    return None if any(map(_is_words, nodes)) else _text_of_nodes(nodes, needs_text=True)


def _text_of_nodes(nodes: list[Any], *, needs_text: bool) -> str | None:
    """The texts below all nodes; None where something is no node. needs_text: one of them has to have a text, also an
    empty one. What nests is bounded by nothing, so that a stack of our own has it."""
    pieces: list[str] = []
    has_text = False
    stack: list[str | list[Any] | None] = [nodes]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            if (parts := _parts(part)) is None:
                return None
            stack += reversed(parts)
        else:
            has_text |= part is not None
            pieces.append(" " if part is None else part)
    return "".join(pieces) if has_text or not needs_text else None


def _parts(nodes: list[Any]) -> list[str | list[Any] | None] | None:
    """What nodes have, in order: texts, lists of further nodes, and None where a blank is between what stands apart:
    all but words, and what has nothing but words where some are beside it, as a link within a sentence. None where
    something is no node."""
    parts: list[str | list[Any] | None] = []
    is_among_words = any(map(_is_words, nodes))
    for node in nodes:
        if isinstance(node, list):
            parts += (None, node, None)
        elif isinstance(node, dict):
            text, lists = _text(node), _within(node)
            if (text is not None and lists) or (text is None and not lists and _kind(node) is None):
                return None
            if text is not None:
                parts += (text,) if is_among_words else (None, text, None)
            elif is_among_words and len(lists) == 1 and all(map(_is_words, lists[0])):
                parts += lists
            else:
                parts += (None, *(part for inner in lists for part in (inner, None)))
        elif node is not None:
            return None
    return parts


def _is_words(node: Any) -> bool:
    """Whether a node is a part of a paragraph; Prismic's, which say where their words are marked, are whole ones."""
    return isinstance(node, dict) and _text(node) is not None and not isinstance(node.get("spans"), list)


def _within(node: Mapping[str, Any]) -> list[list[Any]]:
    """The lists of further nodes that a node has, an object instead of one as a list of it."""
    lists = []
    for key in _WITHIN:
        inner = node.get(key)
        if inner and isinstance(inner, (dict, list)):
            lists.append([inner] if isinstance(inner, dict) else inner)
    return lists


def _text(node: Mapping[str, Any]) -> str | None:
    """The text that a node is; None of one that has other nodes, a picture or the like."""
    text = node.get("text")
    if isinstance(text, str):
        return text
    if _kind(node) in _OF_VALUES:
        text = node.get("value")
    elif isinstance(data := node.get("textData"), dict):
        text = data.get("text")
    return text if isinstance(text, str) else None


def _kind(node: Mapping[str, Any]) -> str | None:
    for key in _KINDS:
        if isinstance(kind := node.get(key), str):
            return kind
    return None


def _text_of_inserts(ops: list[Any]) -> str | None:
    """That of Quill's insertions, a blank for what is no text; None where something else is done to a text."""
    if not all(isinstance(op, dict) and isinstance(op.get("insert"), str | dict) for op in ops):
        return None
    return "".join(op["insert"] if isinstance(op["insert"], str) else " " for op in ops)


def _text_of_blocks(blocks: list[Any]) -> str | None:
    """That of blocks that all have a kind, and a text or data, or neither, as a line between two; None of others."""
    texts: list[str] = []
    is_told = not blocks
    for block in blocks:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return None
        text, data = block.get("text"), block.get("data")
        if isinstance(text, str):
            texts.append(text)
        elif isinstance(data, dict):
            texts += _texts_in(data)
        elif text is not None or data is not None:
            return None
        is_told |= text is not None or data is not None
    return " ".join(texts) if is_told else None


def _texts_in(data: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a block's data, lists in lists too."""
    stack: list[Any] = [data]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            stack += reversed([value.get(key) for key in _TEXTS_OF_BLOCKS])
        elif isinstance(value, list):
            stack += reversed(value)

"""Text as a browser shows it: worked examples, properties, and bounded time on text that was made to hurt."""

import time
from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.text.tokenizer import normalize, plain_text, words
from schemas.cells.markup import without_markup

#: What markup is made of, and what only looks like it; joined in any order.
PIECES = st.sampled_from(
    [
        *("<", ">", "&", ";", "/", "=", '"', "'", " ", "!", "--", "a", "lt", "lt;", "&lt;", "&amp;", "amp;", "&AMP;"),
        *(
            "<b>",
            "</b>",
            "<p>",
            "</p>",
            "<br/>",
            '<a href="',
            "<style>",
            "</style>",
            "<svg/>",
            "<svg>",
            "</svg>",
            "<!--",
        ),
        *("-->", "<script>", "</script", "<![CDATA[", "]]>", "<?xml ?>", "&#60;", "&#x3c", "&Eacute;", "&frac12;"),
        *(
            "&shy;",
            "&nbsp;",
            "\u00bd",
            "\uff1c",
            "\uff1e",
            "\uff06",
            "\u0338",
            "\u226e",
            "\u00ad",
            "\n",
            "<tag>",
            "<o:p>",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)
WORDS = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6), max_size=6)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<p>A <b>blue</b> mug</p>", "A blue mug"),
        ("<b>w</b>ord", "word"),
        ("H<sub>2</sub>O super<wbr>market", "H2O supermarket"),
        ("one<br>two<BR/>three<li>four</li>five", "one two three four five"),
        ("<td>a</td><td>b</td><img src=x>c", "a b c"),
        ("x<style>.a{color:red}</style>y", "x y"),
        ("<script>if (a<b) { w('<p>no</p>') }</script>yes", "yes"),
        ("<script type='x'><!-- no //--></script>yes", "yes"),
        ("<template><p>no</p></template>yes<svg/> too<svg><path d='M0'/>no</svg>", "yes too"),
        ("a<!-- no <b> no -->b<!---->c", "abc"),
        ('<!-- wp:heading {"level":2} --><h2>Oak</h2><!-- /wp:heading --><!-- wp:more /--><p>No "a"</p>', 'Oak No "a"'),
        ("<!DOCTYPE html><?xml version='1'?>x<![if !mso]>y<![endif]>", "x y"),
        ("<![CDATA[<p>Foo</p>]]> bar", "Foo bar"),
        ("<p><o:p>&nbsp;</o:p>Word's</p>", "Word's"),
        ('<a title="a > b">x</a> <a title="a < b">y</a> <p title=6">z</p>', "x y z"),
        ("<textarea><b>x</b></textarea><title>a &amp; b</title>", "x a & b"),
        ("caf&eacute; &#8364;5 &#x20AC;6 &nbsp x &copy 2020", "caf\u00e9 \u20ac5 \u20ac6 x \u00a9 2020"),
        ("&lt;p&gt;Fish &amp;amp; chips&lt;/p&gt;", "Fish & chips"),
        ("5 &lt; 6", "5 < 6"),
    ],
)
def test_markup_is_read(text, shown):
    assert without_markup(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("", "  two  spaces\n", "size < 5", "a<b", "a<b and c>d", "x <b or y> z", "<3", "<", "1<2>0", "a<", "a</"),
        *("<tag> <product-name> <unknown x=1>", "AT&T", "Home & Garden", "R&Dept", "a&b;", "M&notes", "&copy2020"),
        *("?a=1&lte=2", "&#;", "&#x;", "&#99999999;", "&#" + "1" * 5000 + ";", "<!>", "<!", "<? x"),
    ],
)
def test_what_is_no_markup_stays(text):
    assert without_markup(text) == text


@pytest.mark.parametrize("text", ['Oak <a href="http', "Oak <p style='x", "Oak<style>.a{", "Oak<script>a", "Oak<!-- b"])
def test_a_text_cut_inside_markup_ends_before_it(text):
    assert without_markup(text) == "Oak"


@given(st.text(st.characters(exclude_characters="<&")))
def test_text_without_less_than_and_ampersand_is_unchanged(text):
    assert without_markup(text) == text


@given(TEXTS)
@example("&" + "amp;" * 9 + "lt;b&gt;")
@example("<&shy;b>x")
@example("&Amp;amp;Lt;b>")
def test_reading_is_idempotent(text):
    shown = without_markup(text)
    assert without_markup(shown) == shown
    normalized = normalize(text)
    assert normalize(normalized) == normalized
    assert without_markup(normalized) == normalized
    assert plain_text(plain_text(text)) == plain_text(text)


@given(WORDS, st.sampled_from(["p", "li", "div", "h1", "td"]), st.sampled_from(["b", "span", "em", "strong"]))
@example(["3½"], "p", "b")
def test_words_between_tags_are_the_words(texts, block, inline):
    made = "".join(
        f'<{block} class="a b">{escape(text[:1])}<{inline}>{escape(text[1:])}</{inline}></{block}>' for text in texts
    )
    plain = " ".join(texts)
    if without_markup(plain) == plain:  # a word such as "&lt" is markup itself
        assert without_markup(made) == plain
        assert words(normalize(made)) == words(normalize(plain))


@pytest.mark.medium
@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<",
            "<a ",
            '<a "',
            "<a '\"",
            "<a \"<a '",
            "<a b='",
            "<a x=\"'",
            "<b>",
            "</",
            "<b /",
            "<svg>",
            "<script>",
            "</b ",
        ),
        *(
            "<!--",
            "<![",
            "<![CDATA[",
            "<?x ",
            "&",
            "&amp;",
            "amp;",
            "&lt;",
            "&#",
            "&a",
            "&#6",
            "<script></ ",
            "<textarea>",
        ),
        *("<!-- --", "\uff1cb\uff1e", "\uff06amp;", "<\u00ad", "<b\u0338>", "&Amp;"),
    ],
)
def test_hostile_text_takes_bounded_time(piece):
    """Linear: some tenths of a second; a quadratic scan of so much would take minutes."""
    started_s = time.process_time()
    normalize("&" + piece * 60_000)
    assert time.process_time() - started_s < 20

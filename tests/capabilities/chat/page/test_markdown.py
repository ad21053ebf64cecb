"""What a model wrote as HTML: what is left of it, and how long that may take."""

from html.parser import HTMLParser
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capabilities.chat.page.markdown import LONGEST, SCHEMES, SECONDS, TAGS, rendered


def html_of(text: str) -> str:
    [html] = rendered([text])
    assert html is not None
    return html


class Elements(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def look_over(html: str) -> None:
    for tag, attributes in Elements(html).found:
        assert tag in TAGS, html
        assert attributes.keys() <= {"href", "title", "rel", "target", "start", "class"}, html
        if tag == "a" and "href" in attributes:
            assert (attributes["href"] or "").lower().partition(":")[0] in SCHEMES, html
            assert (attributes["rel"], attributes["target"]) == ("noopener nofollow", "_blank"), html


def test_usual_markdown_is_shown_as_such() -> None:
    text = "# Title\n\nSome **bold** and *quiet* `code`, ~~gone~~.\n\n3. three\n4. four\n\n> said\n\n```python\nprint('<b>')\n```"
    assert html_of(text) == (
        "<h3>Title</h3>\n<p>Some <strong>bold</strong> and <em>quiet</em> <code>code</code>, <s>gone</s>.</p>\n"
        '<ol start="3">\n<li>three</li>\n<li>four</li>\n</ol>\n<blockquote>\n<p>said</p>\n</blockquote>\n'
        "<pre><code class=\"language-python\">print('&lt;b&gt;')\n</code></pre>\n"
    )


def test_a_table_is_aligned_without_a_style() -> None:
    html = html_of("| a | b |\n| :-: | --: |\n| 1 | 2 |")
    assert '<th class="center">a</th>' in html and '<td class="right">2</td>' in html
    assert "style" not in html


def test_headings_stand_below_those_of_the_page() -> None:
    assert html_of("# a\n## b\n###### c") == "<h3>a</h3>\n<h4>b</h4>\n<h6>c</h6>\n"


def test_links_lead_out_in_a_tab_of_their_own_and_tell_nothing() -> None:
    link = '<a href="https://example.com/a?b=c" target="_blank" rel="noopener nofollow">x</a>'
    assert link in html_of("[x](https://example.com/a?b=c)")
    assert 'href="mailto:a@example.com"' in html_of("[x](mailto:a@example.com)")


def test_pictures_are_links() -> None:
    assert html_of("![a cat](https://example.com/cat.png)") == (
        '<p><a href="https://example.com/cat.png" target="_blank" rel="noopener nofollow">a cat</a></p>\n'
    )
    assert html_of("![](https://example.com/cat.png)").count("picture") == 1
    assert html_of("[![a cat](https://example.com/cat.png)](https://example.com)").count("<a ") == 1


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example.com)",
    "[x](/portal/sign-out)",
    '[x](https://example.com "\' onmouseover=alert(1)")',
    '[x](https://example.com/" onmouseover="alert(1)',
    "[a]: javascript:alert(1)\n\n[a]",
    '```"><script>alert(1)</script>\ncode\n```',
    "```language-x\" onclick='alert(1)'\ncode\n```",
    "> > > - 1. > <iframe src=https://example.com></iframe>",
    "**[x](javascript:alert(1)**\n| <script> | a |\n|-|-|\n| `</td><script>` | [y](data:x) |",
    "<!-- --><style>*{display:none}</style>",
    '<a href="https://example.com" style="position:fixed">x</a>',
    "<math><mtext></math><script>alert(1)</script>",
    "\u2028<\u0000script>alert(1)</\u0000script>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_runs_loads_or_leads_elsewhere_is_left(text: str) -> None:
    html = html_of(text)
    look_over(html)
    for _, attributes in Elements(html).found:
        assert "alert" not in str({name: value for name, value in attributes.items() if name != "title"})


PIECES = [*"<>[]()!*_`~|#-\\:\"'= \n&;", "a", "script", "javascript:", "data:", "onerror", "https://a.b"]


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_whatever_is_written_only_what_is_allowed_comes_out(text: str) -> None:
    look_over(html_of(text))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("piece", "length"),
    [
        ("[", LONGEST),
        ("![", LONGEST),
        ("_*", LONGEST),
        ("- a\n", LONGEST),
        (">", LONGEST),
        (">", 200 * 1024),
        ("[", 200 * 1024),
    ],
)
def test_what_takes_too_long_stays_text_and_nobody_waits(piece: str, length: int) -> None:
    """Of processor time it gets its share and what looking at the time takes, also where the parser is quadratic."""
    text = (piece * length)[:length]
    before = thread_time()
    [html] = rendered([text])
    assert thread_time() - before < SECONDS + 2
    assert html is None or len(html) < 10 * length
    if length > LONGEST or piece in {"[", "!["}:
        assert html is None


@pytest.mark.slow
def test_a_table_of_few_bytes_and_very_many_cells_is_text() -> None:
    text = "|a" * 300 + "\n" + "|-" * 300 + "\n" + "|b\n" * 6000
    before = thread_time()
    html = html_of(text)
    assert thread_time() - before < SECONDS + 2
    assert "<table>" not in html and "|b" in html
    assert "<table>" in html_of(f"{'|a' * 12}\n{'|-' * 12}\n{'|b' * 12}\n")


@pytest.mark.slow
def test_all_replies_of_one_answer_share_the_time() -> None:
    slow = "[" * LONGEST
    before = thread_time()
    assert rendered(["*a*", slow, slow, slow])[1:] == [None, None, None]
    assert thread_time() - before < SECONDS + 2

"""A reply's Markdown as HTML that a page may show. What a model wrote is untrusted: an allow-list decides what is left of it.

markdown-it-py is plain Python, and there are texts that it needs very long for (brackets, quadratically). So it is given so much
of the processor and no more, and whatever is not done by then is shown as the text that it is.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from threading import Lock
from time import thread_time
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

LONGEST: Final = 128 * 1024
"""Characters of one reply. The longest of any plan but the last has half as many."""
SECONDS: Final = 0.5
"""Of the processor, for all replies of one answer. A hundred pages of usual text take half of it."""
MOST_CELLS: Final = 10_000
"""Of tables in one reply. Short rows are filled up to the length of the heading, so that a few bytes can ask for a cell each."""
UNTIL: Final = "until"
OUTSIDE: Final = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
LANGUAGE: Final = re.compile(r"language-[A-Za-z0-9+#.-]{1,30}")
HIGHEST_HEADING: Final = 3
"""The page has the first two itself."""

TEXT: Final = {
    "p",
    "br",
    "hr",
    "h3",
    "h4",
    "h5",
    "h6",
    "strong",
    "em",
    "s",
    "code",
    "pre",
    "blockquote",
    "ul",
    "ol",
    "li",
    "a",
}
TAGS: Final = TEXT | {"table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}, "th": {"class"}, "td": {"class"}}
SCHEMES: Final = {"http", "https", "mailto"}
ALIGNED: Final = {"center", "right"}


class OutOfTime(Exception):
    pass


def _look_at_time(state: StateBlock | StateInline, *_: object) -> bool:
    """A rule that is asked before all others, and never applies."""
    if thread_time() > state.env[UNTIL]:
        raise OutOfTime
    return False


def _parser(*more: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", *more])
    parser.block.ruler.before("table", "time", _look_at_time)
    parser.inline.ruler.before("text", "time", _look_at_time)
    parser.validateLink = lambda url: OUTSIDE.match(url) is not None  # type: ignore[method-assign]
    return parser


WITH_TABLES: Final = _parser("table")
WITHOUT_TABLES: Final = _parser()
ONE_AT_A_TIME: Final = Lock()
"""Several would take the interpreter from everything else that the process does."""


def rendered(texts: Sequence[str]) -> list[str | None]:
    """In this order; None for what would take too long."""
    if not ONE_AT_A_TIME.acquire(timeout=2 * SECONDS):
        return [None] * len(texts)
    try:
        env = {UNTIL: thread_time() + SECONDS}
        return [_rendered(text, env) for text in texts]
    finally:
        ONE_AT_A_TIME.release()


def _rendered(text: str, env: dict[str, Any]) -> str | None:
    if len(text) > LONGEST:
        return None
    parser = WITH_TABLES if _cells(text) <= MOST_CELLS else WITHOUT_TABLES
    own = dict(env)  # a parser leaves the references of a text there
    try:
        tokens = list(_adapted(parser.parse(text, own)))
    except OutOfTime:
        return None
    html = parser.renderer.render(tokens, parser.options, own)
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes=SCHEMES,
        url_relative="deny",
        link_rel="noopener nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _cells(text: str) -> int:
    """The most that tables of the text can have. None goes on over an empty line."""
    lines = groupby(text.split("\n"), lambda line: not line.strip())
    blocks = (list(block) for empty, block in lines if not empty)
    return sum(len(block) * max(line.count("|") for line in block) for block in blocks)


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name != "class":
        return value
    known = LANGUAGE.fullmatch(value) is not None if tag == "code" else value in ALIGNED
    return value if known else None


def _adapted(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + HIGHEST_HEADING - 1)}"
        elif token.type in {"th_open", "td_open"} and (style := token.attrGet("style")):
            token.attrs = {"class": str(style).removeprefix("text-align:")}  # the page's policy refuses styles
        if token.children is not None:
            token.children = list(_pictures_as_links(token.children))
        yield token


def _pictures_as_links(tokens: Sequence[Token]) -> Iterator[Token]:
    """A picture that is loaded tells its server who reads what."""
    inside = 0
    for token in tokens:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type != "image":
            yield token
            continue
        words = Token("text", "", 0, content=token.content or "picture")
        address = str(token.attrGet("src"))
        yield from (
            [words]
            if inside
            else [Token("link_open", "a", 1, attrs={"href": address}), words, Token("link_close", "a", -1)]
        )

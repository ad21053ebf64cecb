"""A reply in pieces that can be spoken while it is written."""

from hypothesis import given
from hypothesis import strategies as st

from capabilities.chat.voice.sentences import SHORTEST, Sentences, spoken_form

TEXTS = st.lists(st.text("abc .!?\n\u3002\u2019", max_size=80), max_size=8)


def pieces(texts: list[str], longest: int) -> list[str]:
    sentences = Sentences(longest)
    found = [piece for text in texts for piece in sentences.more(text)]
    return [*found, *sentences.last()]


@given(texts=TEXTS, longest=st.integers(5, 120))
def test_all_of_a_text_is_spoken_in_its_order_and_nothing_is_too_long(texts: list[str], longest: int) -> None:
    found = pieces(texts, longest)
    assert "".join("".join(found).split()) == "".join("".join(texts).split())
    assert all(0 < len(piece) <= longest and piece.strip() == piece for piece in found)


@given(text=st.text("abc .!?\n", max_size=300), size=st.integers(1, 20))
def test_how_a_text_comes_makes_no_difference(text: str, size: int) -> None:
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    assert pieces(cut, 200) == pieces([text], 200)


def test_a_sentence_is_spoken_as_soon_as_it_is_known_to_have_ended() -> None:
    sentences = Sentences(4_096)
    first = "The light of the sun is scattered by the air"
    assert list(sentences.more(f"Yes. {first}.")) == []
    assert list(sentences.more(" Blue")) == [f"Yes. {first}."]
    assert list(sentences.last()) == ["Blue"]
    assert len("Yes.") < SHORTEST


def test_marks_of_markdown_are_not_spoken() -> None:
    assert spoken_form("## The **answer** is `42`, says [the guide](https://example.com/a_b).") == (
        "The answer is 42, says the guide."
    )
    assert spoken_form("> quoted\n\n| a | b |") == "quoted a b"
    assert spoken_form("```") == spoken_form("| --- | --- |") == spoken_form("***") == ""

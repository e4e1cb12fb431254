import json
import re
import unicodedata

import pytest
from hostile import TEXTS
from hypothesis import given
from hypothesis import strategies as st

from agents.language.quoting import cited, inert, quoted

TOKENS = re.compile(r"<\||</?[a-z｜]|<<|[<＜﹤](?=[|｜])|[\[［]/?\w+[\]］]")
anything = st.text(st.characters()) | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl"]))


@given(st.text(max_size=500))
def test_a_quoted_text_reads_back_as_it_was(text):
    assert json.loads(quoted(text)) == text


@given(anything)
def test_a_quoted_text_is_one_line_that_can_be_written_and_seen(text):
    line = quoted(text)

    assert len(line.splitlines()) == 1
    line.encode()
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@given(anything)
def test_every_cited_line_is_marked(text):
    lines = cited(text).splitlines()

    assert all(line.startswith("> ") for line in lines)
    assert not any(line.startswith("> ") and not line[2:].strip() for line in lines)


@pytest.mark.parametrize("name", TEXTS)
def test_no_hostile_text_keeps_what_a_special_token_begins_with(name):
    assert not TOKENS.search(quoted(TEXTS[name]))
    assert not TOKENS.search(cited(TEXTS[name]))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<|im_start|>", "\\u003c|im_start|>"),
        ("[INST] a [/INST]", "\\u005bINST] a \\u005b/INST]"),
        ("a\nb", "a\\u000ab"),
        ("\u202e", "\\u202e"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\ud800", "\\ud800"),
        ("HHI < 0.65 or <0.65, [46, 27] -> é 市", "HHI < 0.65 or <0.65, [46, 27] -> é 市"),
    ],
)
def test_only_what_could_do_more_than_be_read_is_escaped(text, written):
    assert inert(text) == written


def test_a_text_is_cited_line_by_line_whatever_ends_its_lines():
    assert cited("a\r\nb\n\n## c\u2028d\x85e") == "> a\n> b\n> ## c\n> d\n> e"

"""Where a piece of text stands in its sources."""

from __future__ import annotations

import pytest

from s3_retriever.labelled import Evidence
from s3_retriever.labelled.locate import locate

SOURCES = {"a": "one two one two", "b": "two one", "c": "A (b)  [c]\r\n*d* 🗼\n"}


def test_the_first_occurrence_in_the_order_asked_for() -> None:
    assert locate("one", SOURCES) == Evidence("a", 0, 3)
    assert locate("one", SOURCES, ["b"]) == Evidence("b", 4, 7)
    assert locate("one", SOURCES, ["b", "a"]) == Evidence("b", 4, 7)
    assert locate("🗼", SOURCES) == Evidence("c", 16, 17)


def test_a_start_is_believed_only_where_the_text_is_the_same() -> None:
    assert locate("one", SOURCES, ["a"], 8) == Evidence("a", 8, 11)
    assert locate("one", SOURCES, ["a"], 3) == Evidence("a", 0, 3)
    assert locate("one", SOURCES, ["b", "a"], 8) == Evidence("b", 4, 7)
    for start in (None, "8", 8.0):
        assert locate("one", SOURCES, ["a"], start) == Evidence("a", 0, 3)


def test_white_space_is_made_equal_where_no_source_holds_the_text_as_it_is() -> None:
    assert locate("one\n two", SOURCES) == Evidence("a", 0, 7)
    assert locate(" two   one ", SOURCES, ["b"]) == Evidence("b", 0, 7)
    assert locate("(b) [c] *d*", SOURCES) == Evidence("c", 2, 15)
    assert locate("two one", SOURCES) == Evidence("a", 4, 11)
    assert locate("two  one", {"x": "two one", "y": "two  one"}) == Evidence("y", 0, 8)


@pytest.mark.parametrize("text", ["three", "onetwo", "one two three", "", " \n"])
def test_what_no_source_holds_is_not_found(text: str) -> None:
    assert locate(text, {"a": "one two"}) is None
    assert locate("one", {}) is None
    assert locate("one", {"a": "one"}, []) is None

"""Metadata filters, and names of arguments."""

from __future__ import annotations

import pytest

from s3_retriever.adapters.arguments import reject_unknown
from s3_retriever.config import ScanConfig
from s3_retriever.errors import InputError
from s3_retriever.searching.filters import matches

BOOK = {"topic": "history", "year": 1994, "tags": ["war", "peace"], "draft": False}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, True),
        ({}, True),
        ({"topic": "history"}, True),
        ({"topic": "music"}, False),
        ({"topic": "history", "year": 1995}, False),
        ({"draft": False}, True),
        ({"tags": {"in": [["war", "peace"], ["love"]]}}, True),
        ({"topic": ["music", "history"]}, True),
        ({"topic": ("music", "art")}, False),
        ({"topic": {"music", "history"}}, True),
        ({"topic": []}, False),
        ({"year": {"gte": 1994}}, True),
        ({"year": {"gt": 1994}}, False),
        ({"year": {"lte": 1994}}, True),
        ({"year": {"lt": 1994}}, False),
        ({"year": {"gte": 1990, "lt": 2000}}, True),
        ({"year": {"gte": 1990, "lt": 1994}}, False),
        ({"year": {"in": range(1990, 2000)}}, True),
        ({"topic": {"ne": "music"}}, True),
        ({"topic": {"ne": "history"}}, False),
        (lambda metadata: "war" in metadata["tags"], True),
        (lambda metadata: [], False),
    ],
)
def test_a_filter_keeps_what_meets_every_condition(filter, expected):
    assert matches(filter, BOOK) is expected


@pytest.mark.parametrize(
    "condition", [None, "x", 3, ["x"], {"gte": 3}, {"lt": 3}, {"in": ["x"]}, {"ne": 1, "gt": 0}]
)
def test_a_missing_key_never_matches(condition):
    assert not matches({"absent": condition}, BOOK)


def test_a_missing_key_differs_from_everything():
    assert matches({"absent": {"ne": 3}}, BOOK)


def test_values_without_an_order_do_not_match_an_order():
    assert not matches({"topic": {"gte": 3}}, BOOK)
    assert not matches({"year": {"lt": "2000"}}, BOOK)


@pytest.mark.parametrize("metadata", [BOOK, {}])
def test_an_unknown_operator_is_refused_with_the_known_ones(metadata):
    with pytest.raises(InputError, match=r"'year'.*'between'.*gte, gt, lte, lt, ne, in"):
        matches({"year": {"between": [1, 2]}}, metadata)


@pytest.mark.parametrize("filter", [{"year": {}}, {"topic": {"in": "history"}}, "topic", 7])
def test_what_is_no_filter_is_refused(filter):
    with pytest.raises(InputError):
        matches(filter, BOOK)


def test_a_misspelt_argument_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"Thing has no argument 'tokenbudget'.*'token_budget'"):
        reject_unknown(["k", "tokenbudget"], ["k", "token_budget"], "Thing")


def test_an_argument_like_no_other_is_answered_with_all():
    with pytest.raises(InputError, match=r"'zzz'; known: k, token_budget"):
        reject_unknown(["zzz"], ["k", "token_budget"], "Thing")


def test_a_scan_setting_out_of_place_is_shown_its_place():
    with pytest.raises(InputError, match=r"scan=\{'chunk_tokens': \.\.\.\}"):
        reject_unknown(["chunk_token"], ["k", "scan"], "Thing")


def test_scan_settings_may_be_a_mapping():
    assert ScanConfig.of({"chunk_tokens": 64}) == ScanConfig(chunk_tokens=64)
    assert ScanConfig.of(None) == ScanConfig()
    with pytest.raises(InputError, match="chunk_tokens"):
        ScanConfig.of({"chunk_token": 64})
    with pytest.raises(InputError, match="ScanConfig or a dict of them, not int"):
        ScanConfig.of(64)

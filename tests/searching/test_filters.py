"""Metadata filters, and names of arguments."""

from __future__ import annotations

from datetime import date

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
        ({"topic": {"$eq": "history"}}, True),
        ({"topic": {"$ne": "history"}}, False),
        ({"year": {"$gt": 1993, "$lte": 1994}}, True),
        ({"year": {"$gte": 1994, "$lt": 1994}}, False),
        ({"topic": {"$in": ["history"]}}, True),
        ({"topic": {"$in": {"music"}}}, False),
        ({"topic": {"$nin": ["music", "art"]}}, True),
        ({"topic": {"nin": ["music", "history"]}}, False),
        ({"year": {"$exists": True}, "absent": {"$exists": False}}, True),
        ({"year": {"exists": False}}, False),
        ({"absent": {"exists": True}}, False),
        ({"year": {"$not": {"$gt": 1990, "$lt": 1994}}}, True),
        ({"year": {"$not": {"$gt": 1990, "$lt": 1995}}}, False),
        ({"topic": {"$not": "history"}}, False),
        ({"topic": {"not": ["music"]}}, True),
        ({"$and": [{"topic": "history"}, {"year": {"$gt": 1990}}]}, True),
        ({"$and": [{"topic": "history"}, {"year": 1}]}, False),
        ({"$or": [{"topic": "music"}, {"year": {"$lt": 1995}}]}, True),
        ({"$or": [{"topic": "music"}, {"year": {"$lt": 1994}}]}, False),
        ({"$or": ({"topic": "music"}, lambda metadata: True)}, True),
        ({"$not": {"topic": "history", "year": 1}}, True),
        ({"$not": {"topic": "history", "year": 1994}}, False),
        ({"draft": False, "$or": [{"year": 1}, {"$not": {"$and": [{"year": 1}]}}]}, True),
        ({"draft": True, "$or": [{"year": 1}, {"$not": {"$and": [{"year": 1}]}}]}, False),
        ({"tags": "war"}, True),
        ({"tags": "love"}, False),
        ({"tags": ["love", "peace"]}, True),
        ({"tags": {"$ne": "war"}}, False),
        ({"tags": {"$nin": ["love", "peace"]}}, False),
        ({"tags": {"$nin": ["love"]}}, True),
        ({"tags": {"$eq": ["war", "peace"]}}, True),
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
    assert matches({"absent": {"nin": [3]}}, BOOK)
    assert matches({"absent": {"not": {"gt": 3}}}, BOOK)
    assert not matches({"absent": {"not": {"ne": 3}}}, BOOK)


def test_operands_are_compared_in_the_form_they_are_kept_in():
    day = {"day": "1994-05-06"}
    assert matches({"day": {"$in": {date(1994, 5, 6)}}}, day)
    assert matches({"day": {"$gt": date(1994, 5, 5), "$not": date(1994, 5, 7)}}, day)
    assert matches({"day": {"in": (d for d in [date(1994, 5, 6)])}}, day)


def test_values_without_an_order_do_not_match_an_order():
    assert not matches({"topic": {"gte": 3}}, BOOK)
    assert not matches({"year": {"lt": "2000"}}, BOOK)


@pytest.mark.parametrize("metadata", [BOOK, {}])
def test_an_unknown_operator_is_refused_with_the_known_ones(metadata):
    with pytest.raises(InputError, match=r"'year'.*'between'.*eq, ne, gt, gte, lt, lte, in, nin"):
        matches({"year": {"between": [1, 2]}}, metadata)


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"year": {}}, "'year': no operator"),
        ({"year": {"$near": 3}}, r"unknown operator '\$near'; known, also with a \$: eq"),
        ({"year": {"$not": {"$near": 3}}}, r"'\$near'"),
        ({"topic": {"in": "history"}}, "'in' takes a list of values, not 'history'"),
        ({"topic": {"$nin": 3}}, "'nin' takes a list of values, not 3"),
        ({"topic": {"$exists": 1}}, "'exists' takes True or False, not 1"),
        ({"$gte": 3}, r"no '\$gte'; in the place of a key may stand \$and, \$or, \$not"),
        ({"$and": {"year": 3}}, r"'\$and' takes a list of filters"),
        ({"$or": []}, r"'\$or' takes a list of filters"),
        ({"$or": [None]}, r"'\$or' takes a list of filters"),
        ({"$not": None}, r"'\$not' takes a filter"),
        ({"$and": [{"year": {"near": 3}}]}, "'near'"),
        ({"$and": ["year"]}, "a mapping or a function"),
        ("topic", "a mapping or a function"),
        (7, "a mapping or a function"),
    ],
)
def test_what_is_no_filter_is_refused(filter, message):
    with pytest.raises(InputError, match=message):
        matches(filter, {})


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

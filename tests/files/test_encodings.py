"""Text of any encoding, and none that is guessed without a word."""

from __future__ import annotations

import random

import pytest

from s3_retriever.errors import InputError
from s3_retriever.files.encodings import decode

FRENCH = "Le café est déjà fermé à l’heure où nous arrivons, et le garçon range les chaises. "
GERMAN = "Die Kündigungsfrist beträgt drei Monate; sie muss schriftlich erklärt werden. "
HUNGARIAN = "A világítótorony őre méheket tartott az olajraktár mögött, és följegyezte az időt. "
RUSSIAN = "Смотритель маяка держал пчёл за складом масла и каждое утро записывал погоду. "
JAPANESE = "灯台守のエイダは油倉庫の裏で蜂を飼っていた。毎朝、天気と船の名前を記録した。"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_is_certain_is_not_assumed(encoding: str) -> None:
    for text in (FRENCH, RUSSIAN, JAPANESE, "Ein Text\r\nmit Zeilen"):
        assert decode(text.encode(encoding)) == (text, "")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "cp1252"),
        (FRENCH * 30, "cp1252"),
        (GERMAN, "cp1252"),
        ("café über", "cp1252"),
        ("Notice “as is” — naïve café £5", "cp1252"),
        (HUNGARIAN * 3, "cp1250"),
        (RUSSIAN * 3, "cp1251"),
        (JAPANESE * 3, "shift_jis"),
        (JAPANESE * 3, "euc_jp"),
        ("Lamp and bees, in wide letters. " * 4, "utf-16-le"),
    ],
)
def test_what_is_guessed_is_right_and_told(text: str, encoding: str) -> None:
    found, assumed = decode(text.encode(encoding))
    assert found == text
    assert assumed


def test_an_encoding_that_is_named_is_taken_or_refused() -> None:
    assert decode("ГОСТ".encode("koi8-r"), "koi8-r") == ("ГОСТ", "")
    with pytest.raises(InputError, match="is not ascii"):
        decode(b"caf\xe9", "ascii")
    with pytest.raises(InputError, match="no encoding 'klingon'"):
        decode(b"qapla", "klingon")


@pytest.mark.parametrize(
    "data", [b"\x00\xff\x00\xfe", b"ab\0cd\x01\x02", random.Random(0).randbytes(5000)]
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="is no text"):
        decode(data)


def test_half_a_character_behind_a_mark() -> None:
    with pytest.raises(InputError, match="is not utf-16"):
        decode(b"\xff\xfe\x00")

"""Words as they are matched, and sentences, in many scripts."""

from __future__ import annotations

import unicodedata

import pytest

from s3_retriever.text.prose import MAX_CHARACTERS, density
from s3_retriever.text.sentences import sentences
from s3_retriever.text.words import words

SAID = {
    "Russian": ("Смотритель маяка держал пчёл на крыше.", "Кто держит пчёл на маяках?"),
    "Ukrainian": ("Доглядач маяка тримав бджіл.", "Хто доглядав за бджіл?"),
    "Greek": ("Ο φύλακας του φάρου είχε μέλισσες.", "Πού ήταν οι μέλισσες του φύλακα;"),
    "Arabic": ("كان حارس المنارة يربي النحل.", "من هو حارس المنارة؟"),
    "Persian": ("نگهبان فانوس دریایی زنبور نگه می‌داشت.", "نگهبان فانوس کیست؟"),
    "Hebrew": ("שומר המגדלור גידל דבורים על הגג.", "מי גידל דבורים?"),
    "Hindi": ("प्रकाशस्तंभ के रखवाले ने मधुमक्खियाँ पालीं।", "मधुमक्खियाँ किसने पालीं?"),
    "Tamil": ("கலங்கரை விளக்கக் காவலர் தேனீக்களை வளர்த்தார்.", "தேனீக்களை யார் வளர்த்தார்?"),
    "Thai": ("ผู้ดูแลประภาคารเลี้ยงผึ้งไว้บนหลังคา", "ใครเลี้ยงผึ้ง"),
    "Chinese": ("灯塔看守人在屋顶上养蜜蜂。", "谁养蜜蜂?"),
    "Japanese": ("灯台守は屋根の上で蜂を飼っていた。", "蜂を飼っていたのは誰?"),
    "Korean": ("등대지기는 지붕에서 벌을 길렀다.", "벌을 기른 등대지기가 누구인가?"),
    "Armenian": ("Փարոսի պահապանը մեղուներ էր պահում։", "Ով էր պահում մեղուներ"),
    "Georgian": ("შუქურის მცველი ფუტკრებს ინახავდა.", "ვინ ინახავდა ფუტკრებს?"),
}
OTHER = {
    "Russian": "Мельница сгорела сухим летом, и её построили из кирпича.",
    "Chinese": "磨坊在干燥的夏天烧毁了。",
    "Thai": "โรงสีไฟไหม้ในฤดูแล้ง",
    "Japanese": "製粉所は乾いた夏に焼けた。",
}


@pytest.mark.parametrize("language", SAID)
def test_a_question_shares_words_with_its_answer(language: str) -> None:
    answer, question = SAID[language]
    assert len({*words(answer)} & {*words(question)}) >= 1
    other = OTHER.get(language)
    if other:
        assert len({*words(answer)} & {*words(question)}) > len(
            {*words(other)} & {*words(question)}
        )


def test_russian_stop_words_are_left_out_and_endings_do_not_matter() -> None:
    assert words("И что же было на крыше, и когда?") == words("крыша") == words("крышу")


@pytest.mark.parametrize(
    "text", ["Café Ångström é", "naïve Æther ﬁnance", "हिन्दी किताब", "東京ガス"]
)
@pytest.mark.parametrize("form", ["NFD", "NFC"])
def test_accents_match_however_they_are_spelled(text: str, form: str) -> None:
    assert words(unicodedata.normalize(form, text)) == words(text)


def test_forms_of_letters_match() -> None:
    assert words("ﬁnance ﬂow Ｗｉｄｅ ｶﾞｽ 6½") == words("finance flow wide ガス 6½")


def test_vowel_signs_do_not_cut_words() -> None:
    assert len(words("हिन्दी किताब")) == 2


def test_scripts_without_spaces_give_pairs() -> None:
    assert words("灯台は1871年") == ["灯台", "台は", "1871", "年"]
    assert words("GDP增长") == ["gdp", "增长"]


def test_identifiers_count_whole_and_in_parts() -> None:
    assert words("get_user_name()") == ["get_user_nam", "get", "user", "name"]
    assert words("parseConfigFile") == ["parseconfigfil", "pars", "config", "file"]
    assert words("HttpServerError") == ["httpservererror", "http", "server", "error"]


def test_english_is_what_it_was() -> None:
    text = "The McAbee brothers' StubHub tickets, 6½ of them: re-sold by J. R. DuPont in 1871."
    assert words(text) == [
        *("mcabe", "brother", "stubhub", "ticket", "6½", "re", "sold", "j", "r", "dupont", "1871")
    ]


@pytest.mark.parametrize(
    ("language", "times"), [("Chinese", 3), ("Japanese", 3), ("Korean", 3), ("Thai", 2)]
)
def test_sentences_of_dense_scripts_are_shorter(language: str, times: int) -> None:
    text = SAID[language][0].rstrip("。.") * 30
    assert density(text) == times and density("Latin text, é.") == 1
    assert max(end - start for start, end in sentences(text)) <= MAX_CHARACTERS // times


@pytest.mark.parametrize("stop", ["。", "।", "॥", "۔ ", "።", "។", "။", "։ ", "！", "؟ "])
def test_full_stops_of_other_scripts(stop: str) -> None:
    text = "".join(f"{'字' * 30}{stop}" for _ in range(3))
    assert len(sentences(text)) == 3

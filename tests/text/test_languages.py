"""Languages in Latin letters: recognised, stemmed each its own way, and English as it was."""

from __future__ import annotations

from pydoc_data.topics import topics

import pytest
import snowballstemmer

from s3_retriever.searching.bm25 import Bm25, WordPostings
from s3_retriever.text.function_words import FUNCTION_WORDS
from s3_retriever.text.languages import ENGLISH, LANGUAGES, language_of
from s3_retriever.text.stop_words import STOP_WORDS
from s3_retriever.text.words import asked_words, words

SAID = {
    "german": "Der Wärter des Leuchtturms hielt auf dem Dach Bienen, und er wohnte dort.",
    "french": "Le gardien du phare avait trois ruches sur le toit et il vivait avec ses filles.",
    "spanish": "El guardián del faro tenía tres colmenas en el tejado y vivía con sus hijas.",
    "italian": "Il guardiano del faro teneva tre alveari sul tetto e viveva con le sue figlie.",
    "portuguese": "O guardião do farol tinha três colmeias no telhado e vivia com as suas filhas.",
    "catalan": "El guardià del far tenia tres ruscs a la teulada i vivia amb les seves filles.",
    "dutch": "De wachter van de vuurtoren had bijen op het dak en woonde er met zijn zus.",
    "swedish": "Fyrvaktaren hade tre bikupor på taket och han bodde där med sina döttrar.",
    "danish": "Fyrpasseren havde bier på taget, og han boede der med sine døtre efter krigen.",
    "norwegian": "Fyrvokteren hadde bier på taket, og han bodde der med sine døtre etter krigen.",
    "finnish": "Majakanvartija oli se mies, joka asui siellä, ja hän hoiti myös mehiläisiä.",
    "hungarian": "A világítótorony őre egy olyan ember volt, aki ott élt, és méheket is tartott.",
    "romanian": "Paznicul farului avea trei stupi pe acoperiș și locuia cu fiicele sale.",
    "turkish": "Fenerin bekçisi ve kızları orada yaşadı, çünkü o adada başka bir ev yok gibi idi.",
    "indonesian": "Penjaga mercusuar itu tinggal dengan anaknya dan memelihara lebah di atap.",
    "polish": "Latarnik był tam sam i na dachu miał trzy ule, ale nie wiedział, co z nimi zrobić.",
    "czech": "Strážce majáku měl na střeše tři úly, ale když byl sám, nevěděl, co s nimi.",
    "serbian": "Čuvar svetionika je imao tri košnice na krovu, ali nije znao šta da radi.",
    "estonian": "Majakavaht oli see, kes elas seal, ja ta pidas ka mesilasi, kuid mitte kaua.",
    "lithuanian": "Švyturio prižiūrėtojas ten gyveno ir ant stogo laikė bites, bet jos buvo ne jo.",
    "irish": "Bhí coimeádaí an tí solais ina chónaí ann agus bhí beacha ar an díon.",
    "basque": "Itsasargiaren zaindaria han bizi zen eta erleak zituen teilatuan, baina ez asko.",
    "esperanto": "La gardisto de la lumturo havis tri abelujojn sur la tegmento kaj li loĝis tie.",
}


def test_every_language_has_a_stemmer_and_a_sentence() -> None:
    assert set(LANGUAGES) <= set(snowballstemmer.algorithms())
    assert LANGUAGES[0] == ENGLISH and {*LANGUAGES[1:]} == {*SAID}


@pytest.mark.parametrize("language", SAID)
def test_a_sentence_tells_its_language(language: str) -> None:
    assert language_of(SAID[language]) == language
    assert language_of(f"The End {SAID[language]} 1871 {SAID[language]}") == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1871, 42",
        "The keeper of the light met Vincent van der Meer and Ana de la Cruz y Rosas.",
        "for (var i = 0; i < n; i++) { var de = names[i]; show(de, i); }",
        "Leuchtturm",
        "Die Hard",
        "Смотритель маяка держал пчёл на крыше, и он жил там.",
        "灯台守は屋根の上で蜂を飼っていた。",
        "de, es, it, no, da",
    ],
)
def test_what_tells_no_other_language_is_taken_for_english(text: str) -> None:
    assert language_of(text) == ENGLISH


def test_english_has_the_words_it_had() -> None:
    stemmer = snowballstemmer.stemmer("english")
    for text in topics.values():
        assert language_of(text) == ENGLISH
        assert asked_words(text, [ENGLISH]) == words(text)
    plain = "the keepers of many lighthouses were keeping bees on their roofs in winter"
    kept = [word for word in plain.split() if word not in FUNCTION_WORDS[ENGLISH]]
    assert words(plain) == stemmer.stemWords(kept)


@pytest.mark.parametrize(
    ("language", "said", "asked"),
    [
        ("german", "Die Häuser wurden gebaut", "das Haus"),
        ("french", "les gardiennes de l'église", "une gardienne, les églises"),
        ("spanish", "las canciones de los pescadores", "la canción del pescador"),
        ("italian", "delle canzoni, nell'isola", "una canzone, le isole"),
        ("finnish", "taloissa", "talossa"),
        ("polish", "latarnikami", "latarnika"),
        ("turkish", "evlerinde", "evler"),
    ],
)
def test_endings_do_not_matter(language: str, said: str, asked: str) -> None:
    assert words(said, language) and {*words(asked, language)} & {*words(said, language)}
    assert not {*words(said, language)} & STOP_WORDS[language]


def test_a_question_asks_in_every_language_of_the_texts() -> None:
    asked = asked_words("Welche Häuser stehen auf den Klippen der Insel?", [ENGLISH, "german"])
    assert "haus" in asked and "häuser" in asked and "den" not in asked
    assert asked.count("insel") == 1 and "welch" not in asked
    assert asked_words("Häuser", ["german"]) == ["haus"]
    assert asked_words("houses", [ENGLISH, "german"])[0] == "hous"


def test_words_of_several_languages_are_found_together() -> None:
    texts = {
        ENGLISH: "The houses on the cliff were built of stone.",
        "german": "Die Häuser auf der Klippe wurden aus Stein gebaut.",
    }
    own = [words(text, language) for language, text in texts.items()]
    numbers = [LANGUAGES.index(language) for language in texts]
    postings = WordPostings.of([*own, ["bell"], ["lamp"]], [*numbers, 0, 0])
    assert postings.spoken == (ENGLISH, "german")
    for number, question in enumerate(("which house?", "Welches Haus?")):
        found, _ = Bm25(postings).scores(asked_words(question, postings.spoken))
        assert found.tolist() == [number]


def test_a_dot_that_lower_case_leaves_is_no_letter() -> None:
    assert words("İstanbul", "turkish") == words("istanbul", "turkish")

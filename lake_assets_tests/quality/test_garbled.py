"""Texts that were decoded wrongly are told from right ones."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lake_assets.quality import profile

WORDS = {
    "German": "Müller Größe Straße Ärzte Öl Übung",
    "French": "Société à été Noël garçon œuvre château",
    "Spanish": "Málaga Coruña ¿qué? años",
    "Portuguese": "São não Conceição",
    "Polish": "Łódź Kraków Gdańsk być się księga",
    "Czech": "Žabka Plzeň Brno-Štýřice děkuji",
    "Turkish": "Çeşme İstanbul Iğdır şeker",
    "Nordic": "Ørsted Åland København Æble",
    "Greek": "Αθήνα Θεσσαλονίκη",
    "Russian": "Москва Санкт-Петербург",
    "Ukrainian": "Київ Сіверськодонецьк РОСІЯ Рівне",
    "Chinese": "北京 上海 中文",
    "Japanese": "東京 テスト",
    "signs": "it’s “quoted” 5 € – done…",
}
UNKNOWN = {("Chinese", "mac_roman"), ("Japanese", "mac_roman")}
RIGHT = [
    *("«café» «CAFÉ» „Spaß“ »Öl« Ä… JOSÉ’S naïve… 3×½ 20 °C ½ Å–Ö", "El Niño™ ©2020 CAÑÓN® À–Ö", "┌──┐ │a│ └──┘"),
    *("√2 ≈ 1.41 ¬a", "—Élan—", "Œuvre – Ärger", "Γ-ray", "passé»…", "ΣΤΟΙΧΕΙΑ", "РОССИЯ СССР", "😀 ok"),
]


def garbled(texts: list[str]) -> int | None:
    return profile(pa.table({"text": texts})).columns["text"].garbled


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("read_as", ["latin-1", "cp1252", "cp437", "mac_roman"])
def test_what_was_decoded_wrongly_is_counted(language: str, read_as: str) -> None:
    if (language, read_as) not in UNKNOWN:
        assert garbled([WORDS[language].encode().decode(read_as, "replace")]) == 1


@pytest.mark.parametrize("language", ["German", "French", "Polish", "Russian"])
def test_it_is_counted_in_other_ways_of_going_wrong(language: str) -> None:
    text = WORDS[language]
    twice = text.encode().decode("latin-1").encode().decode("latin-1")
    assert garbled([twice, text.encode("utf-16").decode("utf-8", "replace")]) == 2
    if language == "Russian":
        assert garbled([text.encode().decode("cp1251", "replace")]) == 1


def test_right_texts_are_not_counted() -> None:
    for text in [*WORDS.values(), *(word for words in WORDS.values() for word in words.split()), *RIGHT]:
        assert garbled([text]) == 0, text

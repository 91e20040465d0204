"""The words that stand around numbers in CRMs, in the languages whose numbers they stand around.

What belongs here: words, and the patterns made of nothing but words. A word that is missing costs a number, never
turns one into another.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PHONE_WORDS = _words(
    """
    tel tél telefon telefono teléfono telefone téléphone telephone telefoon telefonnummer phone ph fon tlf
    tlph puh mob mobil mobile mobiel móvil movil mobiltelefon cell cellphone cellular celular cel handy gsm
    kom komórka natel portable portatile cellulare mobilnr matkapuhelin keitai work office business büro
    buero geschäftlich dienstlich arbeit arbete firma bureau trabajo trabalho ufficio home privat private
    privé casa domicile thuis hem main direct direkt durchwahl zentrale switchboard hq reception lavoro fax
    telefax whatsapp wa viber sms nr no num number nummer numéro numero número телефон тел моб мобильный раб
    рабочий дом домашний факс 電話 电话 手机 手機 携帯 전화 휴대폰 هاتف جوال נייד טלפון
    t m p h w c or oder und and y ou et e
    """  # noqa: RUF001 (Russian)
)
"""Words that name a phone, in lower case; any other word beside a number is a remark."""

SOMETHING_ELSE = _words(
    """
    id ids order bestellung auftrag invoice rechnung rechnungsnummer kundennummer kundennr konto iban bic
    vat ust ustid uid tax steuernummer ticket ref postfach zip plz ssn passport isbn imei serial eur usd gbp
    chf euro euros dollar dollars
    """
)
"""Words that name another kind of number."""

EXTENSION_WORDS = _words(
    """
    x ext extn xtn extension extensión extensao extensão ramal rml interno int anexo anx durchwahl dw
    nebenstelle nst klappe kl poste toestel tst doorkiesnummer wewnętrzny wewn wew linka klapka anknytning
    ankn lokal lok alanumero dahili доб добавочный доп вн внутр 内线 內線 分机 分機 转 轉 내선
    """
)
"""Words between a number and its extension, in lower case."""

UNIT_WORDS = _words("h am pm hr hrs hour hours uhr heures st nd rd th etage og stock floor stunden min x")
"""Words behind a count or a time, in lower case."""

TIME = re.compile(
    r"(?:\A|(?<=[^\W\d_]\s)|(?<=m-)|(?<=[(\[])|(?<=,\s))"
    r"(?:\d{1,2}(?:[:.]\d\d)?\s?(?:am|pm|uhr|h|hrs?|hours?)\b|24/7\b)",
    re.IGNORECASE,
)
"""A time of day or a span of hours behind a word or a bracket; digits behind digits may be the number's."""

UNIT = re.compile(rf"[)\]]*(?:[^\W\d_]|\.\s?[^\W\d_]|\s(?:{'|'.join(sorted(UNIT_WORDS))})\b)", re.IGNORECASE)
"""What makes the digits before it a count: letters that touch them, an ordinal's dot, a unit."""

BETWEEN = re.compile(r"[,;|&\n]|\s(?:or|oder|und|and|y|o|ou|et|e)\s|(?<=\d)[^\d+,;|&\n]*(?=\+)", re.IGNORECASE)
"""What stands between two numbers."""

"""What must not reach an agent's screen: secrets, payment cards, national ids; found in texts and blotted out.

Pure. What belongs here: the patterns, and checks that tell such a number from any other. Which of them are looked
for is a setting of the registry. A pattern errs on the side of leaving a customer number alone where a checksum
can tell.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

BLOT = "[redacted]"

Kind = Literal[
    "payment_card", "iban", "us_ssn", "uk_nino", "fr_nir", "es_nif", "it_codice_fiscale", "br_cpf", "secret"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_HINTS = (
    r"\d(?:[ -]?\d){12}",  # payment cards
    r"[a-z]{2}\d\d(?: ?[a-z0-9]{4}){2}",  # IBAN
    r"\d{3}-\d\d-\d{4}",  # us_ssn
    r"[a-z]{2} ?\d\d ?\d\d ?\d\d ?[a-d]",  # uk_nino
    r"\d ?\d\d ?\d\d ?\d[\dab] ?\d{3} ?\d{3} ?\d\d",  # fr_nir
    r"\d{8}[ -]?[a-z]|[xyz][ -]?\d{7}[ -]?[a-z]",  # es_nif
    r"[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]",  # it_codice_fiscale
    r"\d{3}\.\d{3}\.\d{3}-\d\d",  # br_cpf
    "pass|pwd|kennwort|secret|token|api.?key|bearer|eyj|akia|private key|\\bpin\\b|contrase",
    "[<&]",  # markup may hide any of them
)
SUSPICIOUS = f"(?i){'|'.join(_HINTS)}"
"""An RE2 pattern that every text matches in which one of the kinds could be; cheap, and most match it not."""

_WHAT: Mapping[str, str] = {
    "payment_card": "a payment card number",
    "iban": "a bank account number",
    "secret": "a secret",
}


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    holds: Callable[[str], bool] = bool

    def blotted(self, text: str) -> str:
        return self.regex.sub(lambda found: BLOT if self.holds(found[0]) else found[0], text)


def _luhn(digits: str) -> bool:
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(one), 10)) for one in even)) % 10 == 0


def _iban(text: str) -> bool:
    compact = re.sub(r"\W", "", text).upper()
    return int("".join(str(int(one, 36)) for one in compact[4:] + compact[:4])) % 97 == 1


def _nir(text: str) -> bool:
    compact = text.replace(" ", "").upper().replace("2A", "19").replace("2B", "18")
    return compact.isdigit() and 97 - int(compact[:-2]) % 97 == int(compact[-2:])


def _nif(text: str) -> bool:
    compact = text.replace("-", "").replace(" ", "").upper()
    digits = compact[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return len(digits) == 8 and compact[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23]


def _cpf(text: str) -> bool:
    digits = [int(one) for one in text if one.isdigit()]
    for size in (9, 10):
        rest = sum((size + 1 - place) * digits[place] for place in range(size)) * 10 % 11
        if rest % 10 != digits[size]:
            return False
    return True


_SECRETS = (
    r"(?i:\b(?:password|passwort|passwd|contraseña|kennwort|pwd|secret|token|pin|api[ _-]?key)\b"
    r"\s*(?:is\b|ist\b|[:=])\s*\S+)"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?i:\bbearer\s+[\w.~+/=-]{16,})"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*"
)
_PATTERNS: Mapping[str, _Pattern] = {
    "iban": _Pattern(
        re.compile(r"\b[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE), _iban
    ),
    "us_ssn": _Pattern(re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])")),
    "uk_nino": _Pattern(
        re.compile(
            r"\b(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]\b",
            re.IGNORECASE,
        )
    ),
    "fr_nir": _Pattern(
        re.compile(r"\b[12] ?\d\d ?(?:[02-9]\d|1[0-2]) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d\b", re.IGNORECASE), _nir
    ),
    "es_nif": _Pattern(re.compile(r"\b(?:\d{8}|[XYZ][ -]?\d{7})[ -]?[A-Z]\b", re.IGNORECASE), _nif),
    "it_codice_fiscale": _Pattern(re.compile(r"\b[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]\b", re.IGNORECASE)),
    "br_cpf": _Pattern(re.compile(r"\b\d{3}\.\d{3}\.\d{3}-\d\d\b"), _cpf),
    "secret": _Pattern(re.compile(_SECRETS)),
}
_DIGITS = re.compile(r"\d(?:[ -]?\d){12,}")
_GROUP = re.compile(r"\d+")
_CARD_LENGTHS = range(13, 20)
_CARD_GROUPS = frozenset({(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (8, 8)})
_CARD_ISSUERS = re.compile(r"[3-6]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)")


class Redactor:
    """Blots out what is looked for.

    Args:
        kinds: The built-in patterns to look for.
        own: Patterns of the user by name.
    """

    def __init__(self, kinds: Iterable[str], own: Mapping[str, str]) -> None:
        wanted = list(kinds)
        self._cards = "payment_card" in wanted
        self._patterns = {kind: _PATTERNS[kind] for kind in wanted if kind in _PATTERNS}
        self._patterns |= {name: _Pattern(re.compile(regex)) for name, regex in own.items()}
        self.suspicious = None if own else SUSPICIOUS
        """The RE2 pattern of texts that have to be looked at; None for all."""

    def redact(self, text: str) -> tuple[str, Sequence[str]]:
        """Return `text` without what must not be seen, and what that was, in words."""
        found: list[str] = []
        if self._cards and (shorter := _DIGITS.sub(_without_cards, text)) != text:
            text = shorter
            found.append(_WHAT["payment_card"])
        for kind, pattern in self._patterns.items():
            if (shorter := pattern.blotted(text)) != text:
                text = shorter
                found.append(_WHAT.get(kind, f"a national id ({kind})" if kind in _PATTERNS else f"a {kind}"))
        return text, found


def _without_cards(run: re.Match[str]) -> str:
    """Blot out the card numbers in a run of digits, whose groups may be followed by others such as a date."""
    groups = list(_GROUP.finditer(run[0]))
    for first, start in enumerate(groups):
        for last in range(min(len(groups), first + 5), first, -1):
            if _is_card([group[0] for group in groups[first:last]]):
                rest = run[0][groups[last - 1].end() :]
                return f"{run[0][: start.start()]}{BLOT}{_DIGITS.sub(_without_cards, rest)}"
    return run[0]


def _is_card(groups: Sequence[str]) -> bool:
    digits = "".join(groups)
    if len(groups) > 1 and tuple(map(len, groups)) not in _CARD_GROUPS:
        return False
    varied = len(digits) in _CARD_LENGTHS and len(set(digits)) > 1
    return varied and bool(_CARD_ISSUERS.match(digits)) and _luhn(digits)

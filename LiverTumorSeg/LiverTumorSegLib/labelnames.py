"""One name for what goes by several (spelling, plurals, synonyms), and the name of a result after its CT."""

from __future__ import annotations

import re

_RESULT = re.compile(r"(?P<scan>.+) liver (?P<number>\d+)")
_AMERICAN = (
    ("tumour", "tumor"),
    ("oedema", "edema"),
    ("haem", "hem"),
    ("oesophag", "esophag"),
    ("caecum", "cecum"),
    ("caecal", "cecal"),
    ("coeliac", "celiac"),
    ("ischaem", "ischem"),
    ("foet", "fet"),
    ("faec", "fec"),
    ("grey", "gray"),
    ("centre", "center"),
    ("fibre", "fiber"),
    ("calibre", "caliber"),
    ("colour", "color"),
    ("anaes", "anes"),
    ("leuc", "leuk"),
)
_SYNONYMS = {
    "liver": ("liver", "liver parenchyma", "parenchyma", "healthy liver", "hepar"),
    "tumor": (
        *("tumor", "liver tumor", "hepatic tumor", "cancer", "liver cancer", "lesion", "liver lesion"),
        *("hepatic lesion", "neoplasm"),
    ),
    "necrotic core": (
        *("necrotic core", "necrosis", "necrotic", "ncr", "ncr net", "net ncr", "necrotic tumor core"),
        *("necrotic non enhancing", "necrotic non enhancing tumor", "necrotic and non enhancing tumor"),
        *("necrotic and non enhancing tumor core", "non enhancing tumor core"),
    ),
    "edema": ("edema", "peritumoral edema", "ed", "peritumoral edematous tissue", "snfh"),
    "non enhancing tumor": ("non enhancing tumor", "non enhancing"),
    "enhancing tumor": ("enhancing tumor", "enhancing", "et", "gd enhancing tumor", "contrast enhancing tumor"),
}
_CANONICAL = {synonym: name for name, synonyms in _SYNONYMS.items() for synonym in synonyms}


def plain_name(name: str) -> str:
    """Return a name in American spelling, lower case, with single spaces: "Liver_Tumour" -> "liver tumor"."""
    words = " ".join(re.split(r"[^0-9a-zà-ÿ]+", name.strip().lower())).strip()
    for british, american in _AMERICAN:
        words = words.replace(british, american)
    return words


def canonical_name(name: str) -> str:
    """Return the name under which two names of one thing are equal: "Tumours", "lesion" and "cancer" -> "tumor"."""
    plain = plain_name(name)
    if plain in _CANONICAL:
        return _CANONICAL[plain]
    singular = plain[:-1] if plain.endswith("s") and not plain.endswith("ss") else plain
    return _CANONICAL.get(singular, singular)


def result_name(scan: str, number: int) -> str:
    """Return what the panel calls a result of a CT: "CT liver 2"; Slicer proposes such names for the files."""
    return f"{scan} liver {number}"


def scan_of_result(name: str) -> tuple[str, int] | None:
    """Return the CT and the number in a name that `result_name` gave; None for any other name."""
    found = _RESULT.fullmatch(name)
    return None if found is None else (found["scan"], int(found["number"]))

"""One name for what goes by several: British and American spelling, underscores, plurals, synonyms."""

from __future__ import annotations

import re

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

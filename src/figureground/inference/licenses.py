"""Find the license of a checkpoint, and check whether it is allowed here.

To name the license of a publisher whose cards do not say it: a row in `_LICENSES`; to allow another license where only
permissive ones are wanted: its name in `PERMISSIVE`.
"""

import re
from pathlib import Path

from figureground.errors import WeightsError
from figureground.settings import Settings

PERMISSIVE = {"apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc-by-4.0", "cc0-1.0"}
"""Licenses, by the hub's names, under which weights may be used commercially."""
UNKNOWN = "unknown: see the model's card"
_LICENSES = [
    (r"nvidia/segformer-.*", "NVIDIA Source Code License for SegFormer: research and evaluation only"),
    (r"facebook/mask(2)?former-.*", "CC BY-NC 4.0"),  # so says the model zoo of its authors; the hub's card says "other"
]


def license_of(name: str, card: Path | None) -> str:
    """Return the license of a checkpoint by its hub id, else as the first lines of its card say.

    card : the README.md of the checkpoint, if there is one.
    """
    for pattern, license in _LICENSES:
        if re.fullmatch(pattern, name):
            return license
    text = card.read_text("utf-8", "replace")[: 1 << 16] if card is not None and card.is_file() else ""
    front = re.match(r"\s*---\s*\n(.*?)\n---", text, re.DOTALL)
    stated = re.search(r"^license:[ \t]*[\"']?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return stated[1].lower() if stated and stated[1].lower() not in ("other", "unknown") else UNKNOWN


def check_license(
    weights: str, license: str, settings: Settings, *, permissive: bool, instead: str = "use --method subject"
) -> None:
    """Raise WeightsError if `settings.licenses` asks for permissive licenses and this one is not permissive.

    weights : the subject of the message with its verb, such as "the weights of 'someone/NAME' are". instead : what to do.
    """
    if settings.licenses == "permissive" and not permissive:
        raise WeightsError(
            f"{weights} under '{license}', but only permissive licenses are allowed here"
            f" (FIGUREGROUND_LICENSES=permissive); {instead}, or allow them with FIGUREGROUND_LICENSES=any",
            code="licence_refused",
        )

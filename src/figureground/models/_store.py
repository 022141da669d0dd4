"""Files that are kept between runs: their hashes, and writing them as a whole or not at all.

To add another chore around such files: a function here with its test in tests/test_hub.py.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from figureground.errors import WeightsError


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; raises WeightsError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read ({error.strerror}); make it readable") from error


def keep(path: Path, data: bytes) -> bool:
    """Write a file as a whole or not at all; False where that cannot be done, for what is kept can be made again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError:
        return False
    return True

"""Prepare phrases for networks that read text, and refuse empty ones.

To read another checkpoint's tokenizer nothing is needed: transformers knows it by the files in the folder.
"""

from collections.abc import Iterable
from typing import Any

from figureground.errors import UsageError, WeightsError
from figureground.inference.checkpoint import Checkpoint
from figureground.inference.torch_loader import quiet


def tidy(phrases: Iterable[str]) -> tuple[str, ...]:
    """Return the phrases without needless spaces and full stops; raises UsageError for an empty one."""
    tidied = tuple(" ".join(phrase.replace(".", " ").split()) for phrase in phrases)
    if any(not any(letter.isalnum() for letter in phrase) for phrase in tidied):
        raise UsageError("a phrase is empty; name the foreground in a few words, such as --prompt 'the person and the dog'")
    return tidied


def tokenizer(checkpoint: Checkpoint) -> Any:
    """Return the tokenizer of a checkpoint, of transformers; raises WeightsError where its files do not make one."""
    from transformers import AutoTokenizer

    with quiet():
        try:
            return AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
        except MemoryError:
            raise
        except Exception as error:
            why = next(iter(str(error).strip().splitlines()), repr(error))
            raise WeightsError(
                f"the tokenizer of '{checkpoint.name}' cannot be loaded: {why}; fetch it again, or name another checkpoint"
                " with --weights",
                code="model_corrupt",
            ) from error


def tokens(reader: Any, words: str, longest: int) -> dict[str, Any]:
    """Return the network's input, (1, tokens) tensors by name; raises UsageError for more tokens than `longest`."""
    with quiet():
        read = reader([words], return_tensors="pt")
    if (count := int(read["input_ids"].shape[1])) > longest:
        shown = f"{words[:60]}…" if len(words) > 60 else words
        raise UsageError(
            f"'{shown}' is too long: it has {count} tokens, but the network reads {longest}; say it in fewer words"
        )
    return dict(read)

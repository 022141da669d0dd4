"""Plain English: no banned construction in help texts, messages and the first lines of docstrings."""

import ast
import re

import click
import pytest

from figureground.cli import main as entry
from photographs import ROOT

SOURCE = ROOT / "src" / "figureground"
TREES = {str(path.relative_to(SOURCE)): ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}

BANNED = {
    r"\bbut \S+ came\b|\bbytes came\b|\bwhat came\b|\bas it came\b": "say 'got' or 'received'",
    r"\bis no news\b": "say what is true",
    r"\b[Ll]et stand\b|\bstands? what\b": "say 'keep'",
    r"\bpays\b|\bwhat pays\b": "say what is gained",
    r"\bhow-manieth\b|\bso many-th\b": "say 'number' or 'every n-th'",
    r"\b(becomes?|became) of (it|them|him|her|what)\b|\bwhat (becomes|became) of\b": "say 'result' or 'outcome'",
    r"\bbegins? anew\b|\bbegun anew\b": "say 'start again'",
    r"\bwhat would still meet\b": "say 'names that are equal'",
    r"\bis none of ours\b|\bis no sound\b|\bno sound\b": "say 'is not valid'",
    r"^(Of|As|About) ": "begin with a verb or with what it is",
    r"\bthe truth of\b": "say 'the state of'",
    r"\bhow often the network looks\b": "say 'how often the network runs'",
    r"\b(is|are) wanted (as|of|in)\b": "say 'expected'",
    r"\bmend(s|ed|ing)?\b": "say 'repair' or 'check'",
    r"\bmay not be read\b": "say 'cannot be read: permission denied'",
    r"(?<!only )\bthen\.$": "put the condition first",
    r"\bat all the same\b|\ball the same\.?$": "say 'anyway'",
    r"\bcommonest\b": "say 'most common'",
    r"\bquick(er|est)\b": "say 'faster' or 'fastest'",
    r"\bis(n't| not) (t?here)\b": "say 'does not exist' or 'is not available'",
    r"^\S+ (is|are) of ": "say 'applies to'",
    r"^\S+ wants ": "say 'needs' or 'must be'",
    r"\bwhoever\b": "say who, or 'if you'",
}
"""Each construction, and what to write instead."""


def help_texts():
    """Every help text of every command, with its place."""
    for name in entry.COMMANDS:
        found = entry.main.get_command(click.Context(entry.main), name)
        yield f"{name} --help", found.help or ""
        for parameter in found.params:
            if isinstance(parameter, click.Option):
                yield f"{name} {parameter.opts[0]}", parameter.help or ""


def messages():
    """The text of every exception that is raised, with {} for what is filled in."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                for part in ast.walk(node.exc):
                    if isinstance(part, ast.JoinedStr):
                        yield (
                            f"{path}:{part.lineno}",
                            "".join(piece.value if isinstance(piece, ast.Constant) else "{}" for piece in part.values),
                        )
                    elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield f"{path}:{part.lineno}", part.value


def summaries():
    """The first line of every docstring."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield f"{path}:{getattr(node, 'lineno', 1)}", text.splitlines()[0]


TEXTS = {"help": list(help_texts()), "messages": list(messages()), "docstrings": list(summaries())}


@pytest.mark.parametrize("pattern", BANNED)
@pytest.mark.parametrize("kind", TEXTS)
def test_no_banned_construction(kind, pattern):
    found = [f"{place}: {text}" for place, text in TEXTS[kind] if re.search(pattern, text)]
    assert found == [], BANNED[pattern]


def test_the_texts_are_found():
    assert len(TEXTS["help"]) > 150
    assert len(TEXTS["messages"]) > 250
    assert len(TEXTS["docstrings"]) > 900

"""Names: none that was given up, no two classes of one name, and nothing private of another module."""

import ast
from collections import defaultdict

import pytest

from figureground._deprecated import RENAMED
from photographs import ROOT

SOURCE = ROOT / "src" / "figureground"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in FILES}

OLD_CLASSES = {
    "Look",
    "Made",
    "Product",
    "Work",
    "Order",
    "Hand",
    "Gate",
    "After",
    "Settled",
    "Reading",
    "Parts",
    "Pair",
    "Base",
}
OLD_CLASSES |= {"CannotGoOn", "Mismatch"}
OLD_FUNCTIONS = {
    *("brought", "written", "kept", "ended", "leave_out", "fewest", "told", "asking", "reach", "promised", "sound"),
    *("sound_or_gone", "kept_or_made", "within_memory", "refusals", "gives", "takes", "beside", "reads", "firmness", "walked"),
    *("standing", "gap", "belongings", "once", "both", "in_sizes", "at_window", "fitted", "drawn", "tell_one_class", "taught"),
    *("seen", "said", "found", "made", "came", "give", "hear", "stale", "heard"),
}
OLD_CONSTANTS = {"FOUND", "BEARING", "LEAST", "TOLD"}
OLD_MODULES = {
    *("settle", "standing", "telling", "spread", "steer", "many", "learning", "flags", "legend", "prominence", "parts"),
    *("maps", "prompt", "products", "stream", "output", "places", "pixels", "quiet", "small"),
    *("_hand", "_asking", "_looks", "_labels", "_panoptic", "_sam", "_phrases", "_checkpoint", "_hub", "_store"),
}
BRITISH = ("colour", "licence", "grey", "centre", "neighbour", "labelled", "normalis", "optimis", "quantis")
TOP_LEVEL = {
    *("__init__", "__main__", "pipeline", "methods", "separation", "types", "prompts", "settings", "errors"),
    *("jobs", "animation", "editing", "diagnostics"),
    *("_deprecated", "_files", "_html", "_machine", "_words"),  # private helpers
}
PACKAGES = {
    *(
        "assets",
        "batch",
        "cli",
        "compat",
        "compositing",
        "evaluation",
        "executor",
        "inference",
        "io",
        "masks",
        "models",
        "server",
    ),
    "training",
}


def definitions(tree):
    """Kind and name of every class, function, parameter and assigned name, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield "class", node.name, node.lineno
        elif isinstance(node, ast.FunctionDef):
            yield "function", node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield "parameter", node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield "variable", node.id, node.lineno


@pytest.mark.parametrize("path", [path for path in TREES if path != "_deprecated.py"])
def test_no_name_that_was_given_up(path):
    module = path.rpartition("/")[2].removesuffix(".py")
    assert module not in OLD_MODULES
    for kind, name, line in definitions(TREES[path]):
        where = f"{path}:{line}: {kind} {name}"
        assert not any(part in name.lower() for part in BRITISH), where
        plain = name.lstrip("_")
        assert plain not in OLD_CLASSES, where
        assert plain not in OLD_CONSTANTS, where
        if kind in {"function", "parameter", "variable"}:
            assert plain not in OLD_FUNCTIONS, where


def test_no_two_classes_of_one_name():
    places = defaultdict(list)
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", TREES)
def test_nothing_private_of_another_module(path):
    modules = {}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("figureground"):
            for each in node.names:
                target = SOURCE.joinpath(*node.module.split(".")[1:])
                is_module = (target / f"{each.name}.py").is_file() or (target / each.name / "__init__.py").is_file()
                assert is_module or not each.name.startswith("_"), f"{path}:{node.lineno}: {each.name}"
                if is_module:
                    modules[each.asname or each.name] = each.name
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert not (node.attr.startswith("_") and not node.attr.startswith("__")), f"{path}:{node.lineno}: {node.attr}"


def test_the_top_level_holds_the_main_path_alone():
    assert {path.stem for path in SOURCE.glob("*.py")} == TOP_LEVEL
    assert {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"} == PACKAGES


def test_nothing_is_both_an_old_and_a_new_name():
    for kind, names in RENAMED.items():
        assert not set(names) & set(names.values()), kind

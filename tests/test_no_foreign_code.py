"""Nothing that comes from outside is ever run: no pickle, no foreign code, in any file of the project."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("policy", "robot", "teleop", "reward_classifier", "actor", "learner", "demos", "console", "proto", "tools")
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {
    "torch.load": "weights_only=False unpickles",
    "torch.hub.load": "runs code of a repository",
    "torch.jit.load": "runs code of a file",
    "yaml.load": "makes objects",
    "yaml.unsafe_load": "makes objects",
    "os.system": "runs a shell",
}
KEYWORDS = {"trust_remote_code": True, "allow_pickle": True, "weights_only": False, "shell": True}


def violations(source: str) -> list[str]:
    """What a file does that could run foreign code, by line."""
    return [f"{node.lineno}: {what}" for node in ast.walk(ast.parse(source)) for what in _violations_of(node)]  # type: ignore[attr-defined]  # only nodes with a line have any


def _violations_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"imports {a.name}" for a in node.names if a.name.partition(".")[0] in MODULES)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
        yield f"imports {node.module}"
    elif isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in BUILTINS:
            yield f"calls {called}"
        if called in METHODS:
            yield f"calls {called}, which {METHODS[called]}"
        for keyword in node.keywords:
            given = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if keyword.arg in KEYWORDS and (given is None or given is KEYWORDS[keyword.arg]):
                yield f"says {keyword.arg}={ast.unparse(keyword.value)}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_can_run_what_comes_from_outside(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    found = {str(path.relative_to(ROOT)): violations(path.read_text(encoding="utf-8")) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as p",
        "eval('1')",
        "exec(code)",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=settings.trust)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "yaml.load(text)",
    ],
)
def test_the_search_finds_each_of_them(source: str) -> None:
    assert violations(f"import numpy as np\n{source}\n")


def test_the_search_passes_what_is_safe() -> None:
    assert violations("re.compile('a'); yaml.safe_load(x); np.load(p, allow_pickle=False); model.eval()") == []

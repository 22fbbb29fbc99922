"""Imports point left only, and the heavy libraries load only when they are needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from cuda_module import needs_own_process

import probsig_fast
from probsig_fast.cli.entry import COMMANDS

PACKAGE = Path(probsig_fast.__file__).parent

#: From left to right: a part imports only parts before it.
ORDER = [
    *(
        "errors",
        "version",
        "_build_info",
        "_cpu",
        "_cuda",
        "arguments",
        "progress",
        "budget",
        "sums",
        "device",
        "pool",
        "token_strings",
        "sources",
    ),
    *("boundaries", "relations", "kernels", "csr", "joined_rows", "accumulator", "files"),
    *("work_dir", "row_range", "row_files", "signature", "conditionals", "table"),
    *("counts_file", "counts_folder", "runs", "third_order", "merging", "parquet"),
    *("relation_table", "counts", "steps", "labelled", "counting", "distributed", "alignment"),
    *("experiments", "plots", "report", "demo", "benchmark", "cli", "__init__", "__main__"),
]
#: `_build_info` reads the package's `__path__`, and nothing else of it.
EXCEPTIONS = {("_build_info", "__init__")}


def modules() -> dict[str, Path]:
    """`sources.flat` -> its file; a package is named by its folder."""
    result = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        result[".".join(parts)] = path
    return result


MODULES = modules()
#: Modules without a Python file.
NATIVE = {"_cpu", "_cuda"}


def import_nodes(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports at every level, but for those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from import_nodes(other)
        else:
            yield from import_nodes(node)


def named_by(node: ast.Import | ast.ImportFrom, module: str) -> Iterator[str]:
    """Full names of what is imported: modules, and names that may be modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        package = ["probsig_fast", *(module.split(".") if module != "__init__" else [])]
        depth = node.level - (MODULES[module].name == "__init__.py")
        base = ".".join([*package[: len(package) - depth], *([base] if base else [])])
    for alias in node.names:
        yield f"{base}.{alias.name}"


def imports_of(module: str) -> set[str]:
    """The modules of this package that a module imports, named as in `MODULES`."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found = set()
    for node in import_nodes(tree):
        for name in named_by(node, module):
            root, _, inside = name.partition(".")
            if root != "probsig_fast":
                continue
            while inside and inside not in MODULES and inside not in NATIVE:
                inside = inside.rpartition(".")[0]
            found.add(inside or "__init__")
    return found - {module}


def part_of(module: str) -> str:
    return module.partition(".")[0]


def test_the_walk_sees_imports_of_every_form() -> None:
    assert {"counts", "counting.count", "kernels.registry"} <= imports_of("__init__")
    assert {"parquet", "counts_file"} <= imports_of("counts")  # one of them inside a function
    assert "counts" not in imports_of("parquet")  # for types only
    assert {"_cpu", "kernels.contract"} <= imports_of("kernels.native_cpu")
    assert "sources.token_dtype" in imports_of("sources.mapped")
    assert {"counting.job", "counting.sets"} <= imports_of("counting.count")


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_left(module: str) -> None:
    own = part_of(module)
    assert own in ORDER, f"{own} has no place in ORDER yet"
    for other in imports_of(module):
        part = part_of(other)
        if part != own and (own, part) not in EXCEPTIONS:
            assert ORDER.index(part) < ORDER.index(own), f"{module} imports {other}"


def test_no_cycle_inside_a_part() -> None:
    graph = {
        module: {other for other in imports_of(module) if part_of(other) == part_of(module)}
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_exceptions_are_needed() -> None:
    for own, part in EXCEPTIONS:
        assert part in map(part_of, imports_of(own))


def loaded_after(*statements: str) -> set[str]:
    script = "\n".join([*statements, "import sys", "print(*sys.modules)"])
    command = [sys.executable, "-W", "error", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-800:]
    return set(result.stdout.splitlines()[-1].split())


#: What no count needs; some of it not even installed, but for an extra.
HEAVY = {
    *("torch", "matplotlib", "pandas", "pyarrow", "tokenizers", "safetensors", "transformers"),
    *("datasets", "dask", "distributed", "fsspec", "jinja2", "zstandard", "gguf"),
}
#: What some need.
SLOW = {"scipy", "numba", "tqdm", "filelock"}


def test_the_import_alone_is_light() -> None:
    loaded = loaded_after("import probsig_fast")
    assert "probsig_fast" in loaded
    assert not loaded & (HEAVY | SLOW)


def test_public_names_are_all_there() -> None:
    assert set(probsig_fast.__all__) <= set(dir(probsig_fast))
    names: dict[str, object] = {}
    exec("from probsig_fast import *", names)
    assert set(probsig_fast.__all__) <= set(names)
    assert not hasattr(probsig_fast, "guess")
    # As the version is: it is looked up when it is asked for.
    assert not loaded_after("import probsig_fast") & {"importlib.metadata", "email"}


def command_loaded(*arguments: str) -> set[str]:
    return loaded_after("from probsig_fast.cli import main", f"assert main({list(arguments)}) == 0")


def command_modules(loaded: set[str]) -> set[str]:
    names = {f"probsig_fast.cli.{name.replace('-', '_')}" for name in COMMANDS}
    return {name.rpartition(".")[2] for name in loaded & names}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_no_command_is_loaded_unless_chosen(option: str) -> None:
    loaded = command_loaded(option)
    assert not command_modules(loaded)
    assert not loaded & (HEAVY | SLOW)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_loads_that_command(command: str) -> None:
    loaded = command_loaded(command, "--help")
    assert command.replace("-", "_") in command_modules(loaded)
    assert not loaded & (HEAVY | SLOW)


def test_a_count_loads_only_its_backend(backend: str) -> None:
    needs_own_process(backend)
    loaded = loaded_after(
        "import numpy, probsig_fast as ps",
        "for relation in (ps.Next(), ps.Window(2), ps.Prefix(2), ps.SameSequence()):",
        f"    ps.count(numpy.arange(5), relation, vocab_size=5, backend={backend!r})",
    )
    assert not loaded & (HEAVY | SLOW - {"scipy", "numba"})
    assert bool(loaded & {"scipy", "numba"}) == (backend == "numba_cpu")


@pytest.mark.parametrize("relation", ["Next()", "Window(2, 'harmonic', 'symmetric')"])
def test_counting_loads_no_torch(backend: str, relation: str) -> None:
    needs_own_process(backend)
    loaded = loaded_after(
        "import numpy, probsig_fast as ps",
        f"c = ps.count(numpy.arange(5), ps.{relation}, vocab_size=5, backend={backend!r})",
        "c.row_conditional().nearest(0), c.to_scipy(), c.top(0), c + c",
    )
    assert not loaded & HEAVY
    assert ("numba" in loaded) == (backend == "numba_cpu")

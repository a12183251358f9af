"""The rules of the house, kept by reading the source. A rule is a function that yields (line, what is wrong).

Every rule is tried on a bad example below as well, so that none passes because it looks at nothing.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "vid2vid"

# A room imports rooms of its own rank or a lower one, and no room imports itself by way of another.
RANKS = (
    {"errors", "types", "progress", "device", "caches", "config", "recipes", "weights", "decoder", "pages"},
    {"video", "conditions", "flow", "annotators"},
    {"data", "models"},
    {"losses", "inference", "zoo"},
    {"evaluation"},
    {"training", "preference", "speed"},
    {"experiments", "prediction"},
    {"cli", "studio", "__main__"},
)
FORBIDDEN = {
    "inference": {"losses", "training"},
    "evaluation": {"training", "preference"},
    "experiments": {"prediction"},  # only the command line predicts
    "prediction": {"losses", "training", "preference", "speed", "experiments"},
    "models": {"config"},  # models take plain arguments
    "decoder": {
        "types",
        "progress",
        "device",
        "caches",
        "config",
        "recipes",
        "weights",
    },  # it starts in a moment
}
OPTIONAL = {
    *("tensorboard", "torch.utils.tensorboard", "torchvision.models", "mediapipe", "transformers"),
    *("huggingface_hub", "webdataset", "fsspec", "onnx", "onnxscript", "onnxruntime", "openvino"),
    *("fastapi", "uvicorn", "gradio"),
}


@dataclass(frozen=True)
class Module:
    """One source file: ``path`` is relative to the package, as in ``flow/warp.py``."""

    path: str
    text: str
    tree: ast.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", ast.parse(self.text))

    @property
    def room(self) -> str:
        """The folder below the package, or the file's own name; "" for the package itself."""
        return "" if self.path == "__init__.py" else self.path.partition("/")[0].removesuffix(".py")

    @property
    def package(self) -> str:
        return ".".join(["vid2vid", *self.path.split("/")[:-1]])

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """Each import, wherever it stands: ``from a import b`` is ``a.b``."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parents = self.package.split(".")
                    base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
                yield from ((node, f"{base}.{alias.name}") for alias in node.names)

    def rooms_imported(self) -> Iterator[tuple[int, str]]:
        """(line, room) of each import of another room of ours."""
        known = set().union(*RANKS)
        for node, name in self.imports():
            parts = name.split(".")
            if parts[0] == "vid2vid" and len(parts) > 1 and parts[1] in known and parts[1] != self.room:
                yield node.lineno, parts[1]


Faults = Iterator[tuple[int, str]]


def rank(room: str) -> int:
    return next((i for i, rooms in enumerate(RANKS) if room in rooms), -1)


def imports_run_one_way(module: Module) -> Faults:
    if module.room and rank(module.room) < 0:
        yield 1, f"room '{module.room}' has no rank in tests/test_house.py"
    for line, room in module.rooms_imported():
        if module.room and (rank(room) > rank(module.room) or room in FORBIDDEN.get(module.room, ())):
            yield line, f"{module.room} imports {room}"


def only_the_command_line_imports_it(module: Module) -> Faults:
    for line, room in module.rooms_imported():
        if room in ("cli", "studio") and module.room not in ("cli", "studio", "__main__"):
            yield line, f"imports {room}"


def no_device_literals(module: Module) -> Faults:
    if module.room not in ("models", "losses", "flow"):
        return
    reading = {  # weights are read to main memory and then follow their module
        id(node.value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.keyword) and node.arg == "map_location"
    }
    for node in ast.walk(module.tree):
        if id(node) in reading:
            continue
        if isinstance(node, ast.Constant) and re.fullmatch(r"(cuda|cpu|mps)(:\d+)?", str(node.value)):
            yield node.lineno, f"device literal {node.value!r}"
        if isinstance(node, ast.Attribute) and node.attr in ("cuda", "mps"):
            yield node.lineno, f".{node.attr}"


def files_and_functions_are_short(module: Module) -> Faults:
    if (lines := module.text.count("\n")) > 400:
        yield lines, f"{lines} lines, 400 are allowed"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # The docstring of a verb is its help, and that of a public call its manual: both may be long.
            words = len((ast.get_docstring(node, clean=False) or "").splitlines())
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - words
            if lines > 65:
                yield node.lineno, f"{node.name} has {lines} lines, about 60 are allowed"


def no_utils(module: Module) -> Faults:
    for part in Path(module.path).with_suffix("").parts:
        if re.search(r"(^|_)(utils?|helpers?|misc|common)(_|$)", part):
            yield 1, f"'{part}' does not say what it holds"


def one_caller_of_grid_sample(module: Module) -> Faults:
    if module.path == "flow/warp.py":
        return
    for node in ast.walk(module.tree):
        if getattr(node, "attr", getattr(node, "id", getattr(node, "name", ""))) == "grid_sample":
            yield getattr(node, "lineno", 1), "grid_sample: call vid2vid.flow.warp"


def optional_imports_where_used(module: Module) -> Faults:
    late = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node, name in module.imports():
        if id(node) not in late and any(name == heavy or name.startswith(heavy + ".") for heavy in OPTIONAL):
            yield node.lineno, f"{name} at the top of the module"


def only_the_command_line_prints(module: Module) -> Faults:
    if module.room in ("cli", "studio"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id == "print":
            yield node.lineno, "print: return it, or take a Progress"


def only_training_calls_backward(module: Module) -> Faults:
    if module.path == "evaluation/segmenter.py":  # a measuring instrument, which learns before it measures
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr == "backward" and module.room != "training":
            yield node.lineno, "backward: losses return tensors, the training loop calls backward"


def no_pickle(module: Module) -> Faults:
    for node, name in module.imports():
        if name.partition(".")[0] in ("pickle", "cloudpickle", "dill", "joblib"):
            yield node.lineno, f"{name}: nothing is pickled"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.save":
            yield node.lineno, "torch.save writes a pickle: use safetensors"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
            if not safe:
                yield node.lineno, "torch.load without weights_only=True"


RULES: tuple[Callable[[Module], Faults], ...] = (
    imports_run_one_way,
    only_the_command_line_imports_it,
    no_device_literals,
    files_and_functions_are_short,
    no_utils,
    one_caller_of_grid_sample,
    optional_imports_where_used,
    only_the_command_line_prints,
    only_training_calls_backward,
    no_pickle,
)


def circles(modules: list[Module]) -> list[str]:
    """The rooms that import themselves by way of others, each circle as ``a -> b -> a``."""
    graph: dict[str, set[str]] = {}
    for module in modules:
        if module.room:
            graph.setdefault(module.room, set()).update(room for _, room in module.rooms_imported())
    found = []

    def walk(path: list[str]) -> None:
        for room in sorted(graph.get(path[-1], ())):
            if room == path[0]:
                found.append(" -> ".join([*path, room]))
            elif room > path[0] and room not in path:  # each circle once, from its first room by name
                walk([*path, room])

    for room in sorted(graph):
        walk([room])
    return found


def undocumented(modules: list[Module]) -> list[str]:
    """The functions and classes that an ``__init__.py`` hands out and that have no docstring."""
    definitions = {
        (f"{module.package}.{Path(module.path).stem}".removesuffix(".__init__"), node.name): node
        for module in modules
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    handed_out = {
        tuple(name.rsplit(".", 1))
        for module in modules
        if module.path.endswith("__init__.py")
        for _, name in module.imports()
    }
    return sorted(
        f"{place}.{name}"
        for place, name in handed_out & definitions.keys()
        if not ast.get_docstring(definitions[place, name])
    )


HOST = re.compile(
    r"py[p]i\.(org|python\.org)|python[h]osted\.org|download[.]pytorch\.org|(?<!emit-)index[-]url"
)
PLACE = re.compile(r"(?<![\w.~:)/-])/(home|root|work|tmp|Users|mnt|opt|data)/\w|[A-Z]:\\\\Users")


def places_named(text: str) -> Faults:
    """Registry hosts, and paths that exist on one machine only."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := HOST.search(line) or PLACE.search(line):
            yield number, f"names '{match[0]}'"


def too_large(path: str, size: int) -> bool:
    """5 MB for anything in git; bundled weights may have 16 MB."""
    return size > (16_000_000 if path.startswith("src/vid2vid/zoo/") else 5_000_000)


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return [Module(p.relative_to(SOURCE).as_posix(), p.read_text()) for p in sorted(SOURCE.rglob("*.py"))]


@pytest.fixture(scope="module")
def files() -> list[str]:
    """What git holds or would take at the next ``git add``."""
    listing = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(listing, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in names if (ROOT / name).is_file()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_is_kept(rule: Callable[[Module], Faults], modules: list[Module]) -> None:
    assert len(modules) > 5
    faults = [f"{module.path}:{line}: {what}" for module in modules for line, what in rule(module)]
    assert not faults, "\n".join(faults)


def test_no_circles(modules: list[Module]) -> None:
    assert circles(modules) == []


def test_what_is_public_is_documented(modules: list[Module]) -> None:
    assert undocumented(modules) == []


def test_tests_are_short_too() -> None:
    long = [p.name for p in (ROOT / "tests").rglob("*.py") if p.read_text().count("\n") > 400]
    assert long == []


def test_no_machine_and_no_registry_is_named(files: list[str]) -> None:
    faults = []
    for name in files:
        raw = (ROOT / name).read_bytes()
        if b"\0" not in raw[:8192]:
            faults += [f"{name}:{line}: {what}" for line, what in places_named(raw.decode(errors="replace"))]
    assert not faults, "\n".join(faults)


def test_no_file_is_too_large(files: list[str]) -> None:
    assert [name for name in files if too_large(name, (ROOT / name).stat().st_size)] == []


BAD = [
    (imports_run_one_way, "models/generator.py", "from vid2vid.losses import gan"),
    (imports_run_one_way, "models/generator.py", "from ..training import loop"),
    (imports_run_one_way, "models/generator.py", "from vid2vid import config"),
    (imports_run_one_way, "inference/stream.py", "def f():\n    import vid2vid.losses.gan"),
    (imports_run_one_way, "evaluation/report.py", "from vid2vid.training import train"),
    (imports_run_one_way, "prediction/score.py", "from vid2vid.training import train"),
    (imports_run_one_way, "speed/measure.py", "from vid2vid.prediction import predict"),
    (imports_run_one_way, "cellar/wine.py", ""),
    (only_the_command_line_imports_it, "training/loop.py", "from vid2vid.cli import main"),
    (no_device_literals, "models/generator.py", "x.to('cuda:0')"),
    (no_device_literals, "flow/warp.py", "torch.cuda.is_available()"),
    (no_device_literals, "losses/gan.py", "x.to(device='cpu')"),
    (files_and_functions_are_short, "video/reader.py", "x = 1\n" * 401),
    (files_and_functions_are_short, "video/reader.py", "def f():\n" + "    x = 1\n" * 65),
    (no_utils, "video/utils.py", ""),
    (no_utils, "video_helpers/reader.py", ""),
    (one_caller_of_grid_sample, "models/generator.py", "F.grid_sample(x, grid)"),
    (one_caller_of_grid_sample, "models/generator.py", "from torch.nn.functional import grid_sample"),
    (optional_imports_where_used, "training/logging.py", "from torch.utils.tensorboard import SummaryWriter"),
    (optional_imports_where_used, "flow/raft.py", "from torchvision import models"),
    (optional_imports_where_used, "flow/raft.py", "try:\n    import onnx\nexcept ImportError:\n    pass"),
    (only_the_command_line_prints, "training/loop.py", "print(1)"),
    (only_training_calls_backward, "losses/gan.py", "loss.backward()"),
    (no_pickle, "zoo/hub.py", "import pickle"),
    (no_pickle, "training/checkpoint.py", "torch.save(x, path)"),
    (no_pickle, "zoo/importer.py", "torch.load(path)"),
]

GOOD = [
    (imports_run_one_way, "training/loop.py", "from vid2vid.losses import gan\nimport torch.cuda"),
    (imports_run_one_way, "data/dataset.py", "from ..video import open_frames\nfrom . import layout"),
    (only_the_command_line_imports_it, "__main__.py", "from vid2vid.cli import main"),
    (no_device_literals, "flow/raft.py", "y = x.cpu().numpy()  # cuda"),
    (no_device_literals, "flow/raft.py", "torch.load(path, map_location='cpu', weights_only=True)"),
    (one_caller_of_grid_sample, "flow/warp.py", "F.grid_sample(x, grid)"),
    (
        optional_imports_where_used,
        "flow/raft.py",
        "def f():\n    from torchvision.models import optical_flow",
    ),
    (no_pickle, "zoo/importer.py", "torch.load(path, weights_only=True)"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_rule_finds_the_bad_example(rule: Callable[[Module], Faults], path: str, text: str) -> None:
    assert list(rule(Module(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_rule_passes_the_good_example(rule: Callable[[Module], Faults], path: str, text: str) -> None:
    assert not list(rule(Module(path, text)))


def test_every_rule_has_a_bad_example() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)


def test_circles_and_bare_names_and_places_are_found() -> None:
    data = Module("data/dataset.py", "from vid2vid.models import x")
    models = Module("models/x.py", "def f():\n    from vid2vid.data import y")
    assert circles([data, models]) == ["data -> models -> data"]
    init = Module("flow/__init__.py", "from .warp import flow, warp")
    warp = Module("flow/warp.py", 'def warp():\n    pass\n\ndef flow():\n    """Moves."""')
    assert undocumented([init, warp]) == ["vid2vid.flow.warp.warp"]
    assert [line for line, _ in places_named("ok\n--index" + "-url https://x\ncd /home" + "/me\n")] == [2, 3]
    assert too_large("docs/x.png", 6_000_000)
    assert too_large("src/vid2vid/zoo/x.safetensors", 17_000_000)
    assert not too_large("src/vid2vid/zoo/x.safetensors", 15_000_000)

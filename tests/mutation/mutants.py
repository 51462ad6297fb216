"""Small faults that a person could make, as edits of a source file."""

import ast
import importlib.util
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LEFT_ALONE", "Mutant", "draw", "missing", "mutants_of"]

LEFT_ALONE = """\
docstrings, annotations, decorators, imports, `__all__`
words for people: what errors, assertions and f-strings say, and texts of four words and more
rows of networks, which are data: their counts, operations and rates are held to their references'
`strict=` of zip; keywords that change memory or time alone: donate, maxsize, unroll, ...
the sign of -1 as an index or axis, where 1 is the same axis of a matrix (its number is edited)
files that need a package which is not installed here"""
"""What is never edited, a rule a line: no line of the package is named."""

_OPERATORS: dict[type, tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "+"), ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
}  # fmt: skip
_PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("any", "all"), ("argmin", "argmax"), ("mean", "sum"),
    ("zeros", "ones"), ("floor", "ceil"), ("elu", "selu"), ("relu", "relu6"), ("sin", "cos"),
)  # fmt: skip
_TWINS = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_COMMUTATIVE = {"max", "min", "maximum", "minimum", "logical_and", "logical_or", "gcd", "union"}

_TYPES = {"annotation", "returns", "decorator_list"}
_WORDS = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr)
_COST = {"donate", "donate_argnums", "maxsize", "unroll", "allow_negative_indices", "set_to_none"}
_OF_AN_AXIS = {
    "all", "any", "argmax", "argmin", "concatenate", "log_softmax", "logsumexp", "max", "mean",
    "min", "softmax", "split", "stack", "std", "sum", "var",
}  # fmt: skip

Edit = tuple[str, int, int, str]  # kind, start, end, what takes the place of the text between
Span = Callable[[ast.AST], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    """One edit of a file: `before`, which begins at `start` in `line`, becomes `after`."""

    file: str
    line: int
    kind: str
    start: int
    before: str
    after: str

    def applied(self, source: str) -> str:
        """Return the file's text with the edit."""
        end = self.start + len(self.before)
        assert source[self.start : end] == self.before, f"{self.file} has changed"
        return source[: self.start] + self.after + source[end:]


def draw(files: list[Path], root: Path, number: int, seed: int) -> list[Mutant]:
    """Return different mutants drawn at random.

    A file is drawn as often as it has functions, since half of the package's lines are tables; of
    its mutants then a kind, since most are of numbers, and of that kind one.
    """
    found = {path: list(mutants_of(path, root)) for path in files}
    found = {path: mutants for path, mutants in found.items() if mutants}
    weights = [path.read_text(encoding="utf-8").count("def ") + 1 for path in found]
    chance = random.Random(seed)
    drawn: dict[Mutant, None] = {}
    while len(drawn) < min(number, sum(map(len, found.values()))):
        (path,) = chance.choices(list(found), weights)
        kind = chance.choice(sorted({mutant.kind for mutant in found[path]}))
        drawn[chance.choice([mutant for mutant in found[path] if mutant.kind == kind])] = None
    return list(drawn)


def mutants_of(path: Path, root: Path) -> Iterator[Mutant]:
    """Yield every mutant of a file that still compiles, without those of `LEFT_ALONE`."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:  # ast counts a line's bytes
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    def span(node: ast.AST) -> tuple[int, int]:
        return (
            place(node.lineno, node.col_offset),
            place(node.end_lineno, node.end_col_offset),
        )

    name = str(path.relative_to(root))
    tree = ast.parse(source)
    axes = {id(node) for node in _axes(tree)}
    for node in _code(tree, rows="models" in path.parts):
        for kind, start, end, after in _edits(node, source, span):
            if kind == "sign" and id(node) in axes:
                continue
            line = source.count("\n", 0, start) + 1
            mutant = Mutant(name, line, kind, start, source[start:end], after)
            try:
                compile(mutant.applied(source), name, "exec")
            except (SyntaxError, ValueError):
                continue
            yield mutant


def _code(node: ast.AST, rows: bool) -> Iterator[ast.AST]:
    """Yield the nodes that compute something, from the outside in."""
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or field in _TYPES or isinstance(child, _WORDS):
                continue
            if _is_docstring(child) or _names_exports(child) or _watches(child):
                continue
            table = isinstance(child, ast.Assign | ast.AnnAssign) and isinstance(node, ast.Module)
            if table and rows:
                continue
            if hasattr(child, "lineno"):
                yield child
            yield from _code(child, rows)


def missing(path: Path) -> list[str]:
    """Return the packages that a file imports and that are not installed, unless it only tries."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tried = {id(n) for each in ast.walk(tree) if isinstance(each, ast.Try) for n in ast.walk(each)}
    names = set()
    for node in ast.walk(tree):
        if id(node) in tried:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return sorted(name for name in names if importlib.util.find_spec(name) is None)


def _axes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what says which axis or which place, as far as that is seen."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=ast.Tuple(elts=several)):
                yield from several
            case ast.Subscript(slice=one):
                yield one
            case ast.keyword(arg="axis" | "dimension" | "dim", value=one):
                yield one
            case ast.Call(func=ast.Attribute(attr=name), args=given) if name in _OF_AN_AXIS:
                yield from given


def _watches(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg in {"strict", *_COST}


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _names_exports(node: ast.AST) -> bool:
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    return any(isinstance(each, ast.Name) and each.id == "__all__" for each in targets)


def _edits(node: ast.AST, source: str, span: Span) -> Iterator[Edit]:
    match node:
        case ast.Constant(value=bool() as value):
            yield ("bool", *span(node), str(not value))
        case ast.Constant(value=int() as value):
            yield ("number", *span(node), str(value + 1))
            yield ("number", *span(node), str(value - 1))
        case ast.Constant(value=float() as value):
            yield ("number", *span(node), repr(value * 2 or 0.5))
            yield ("number", *span(node), repr(value * 0.9 or -0.5))
        case ast.Constant(value=str() as value) if value and len(value.split()) < 4:
            yield ("text", *span(node), repr(value + "x"))
        case ast.BinOp(left=left, op=op, right=right):
            yield from _operator(op, left, right, source, span)
        case ast.Compare(left=left, ops=ops, comparators=others):
            for op, first, second in zip(ops, [left, *others], others, strict=False):
                yield from _operator(op, first, second, source, span)
        case ast.BoolOp(op=op, values=values):
            yield from _operator(op, values[0], values[1], source, span)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield ("sign", *span(node), f"({source[slice(*span(operand))]})")
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield ("condition", *span(test), f"(not ({source[slice(*span(test))]}))")
        case ast.Name(id=name) if name in _TWINS:
            yield ("twin", *span(node), _TWINS[name])
        case ast.Attribute(value=value, attr=name) if name in _TWINS:
            yield ("twin", span(value)[1], span(node)[1], f".{_TWINS[name]}")
        case ast.Call():
            yield from _arguments(node, source, span)
        case ast.Expr() | ast.AugAssign() | ast.Continue() | ast.Break():
            yield ("statement", *span(node), "pass")
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield ("statement", *span(node), "pass")


def _operator(
    op: ast.AST, left: ast.AST, right: ast.AST, source: str, span: Span
) -> Iterator[Edit]:
    symbol, other = _OPERATORS.get(type(op), ("", ""))
    start = source.find(symbol, span(left)[1], span(right)[0]) if symbol else -1
    if start >= 0:
        yield ("operator", start, start + len(symbol), other)


def _arguments(node: ast.Call, source: str, span: Span) -> Iterator[Edit]:
    given = [*node.args, *node.keywords]
    for before, keyword in zip([None, *given], given, strict=False):
        if isinstance(keyword, ast.keyword) and keyword.arg and not _watches(keyword):
            start = span(keyword)[0] if before is None else span(before)[1]
            yield ("keyword", start, span(keyword)[1], "")
    function = getattr(node.func, "attr", getattr(node.func, "id", ""))
    starred = any(isinstance(each, ast.Starred) for each in node.args[:2])
    if len(node.args) > 1 and not starred and function not in _COMMUTATIVE:
        (a, b), (c, d) = span(node.args[0]), span(node.args[1])
        if source[a:b] != source[c:d]:
            yield ("order", a, d, source[c:d] + source[b:c] + source[a:b])

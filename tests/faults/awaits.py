"""Every await of a module as a place where an exception nobody expects can be put."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Final, Literal, NamedTuple, TypeAlias

Mode: TypeAlias = Literal["before", "after"]

BEFORE: Final = "_before_await"
AFTER: Final = "_after_await"


class Sabotage(Exception):
    """An exception that no code knows."""


class Site(NamedTuple):
    """One await: the function that has it and what is awaited, as it is written."""

    number: int
    module: str
    line: int
    function: str
    awaited: str

    def __str__(self) -> str:
        return f"{self.module.rpartition('.')[2]}:{self.line}-{self.function}"

    @property
    def name(self) -> str:
        """What it is called in a list that outlives a moved line."""
        return f"{self.module.removeprefix('daemon.')}: {self.function}: {self.awaited}"


class Switch:
    """Fires once, when the armed site is reached. ``reached`` are the sites since the last fault of every run."""

    def __init__(self) -> None:
        self.reached: set[int] = set()
        self.struck = False
        self._armed: tuple[int, Mode] | None = None
        self._waits = False

    def arm(self, site: int, mode: Mode, *, late: bool) -> None:
        """The next time that this site is reached is its last; ``late`` means only after ``mended``."""
        self.struck, self._armed, self._waits = False, (site, mode), late

    def disarm(self) -> None:
        """Nothing is raised any more."""
        self._armed = None

    def mended(self) -> None:
        """From now on no later fault can repair an earlier one."""
        self._waits = False
        self.reached.clear()

    def before(self, site: int) -> None:
        """The site is about to be reached."""
        self.reached.add(site)
        self._strike(site, "before")

    def after(self, site: int, value: object = None) -> object:
        """The site is passed, with this value."""
        self._strike(site, "after")
        return value

    def _strike(self, site: int, mode: Mode) -> None:
        if self._armed == (site, mode) and not self._waits:
            self._armed, self.struck = None, True
            raise Sabotage(f"{mode} site {site}")


class Instrumented:
    """These modules with a switch at every await, changed in place for those that imported their classes."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.switch = Switch()
        self.sites: list[Site] = []
        self._changed: list[tuple[FunctionType, CodeType]] = []
        self._modules: list[tuple[ModuleType, dict[tuple[str, int], CodeType]]] = []
        for name in names:
            module = importlib.import_module(name)
            path = Path(str(module.__file__))
            tree = _Wrap(name, self.sites).visit(ast.parse(path.read_text()))
            code = compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True)
            self._modules.append((module, {(one.co_qualname, one.co_firstlineno): one for one in _codes(code)}))

    def install(self) -> None:
        """Put the changed code in."""
        for module, codes in self._modules:
            setattr(module, BEFORE, self.switch.before)
            setattr(module, AFTER, self.switch.after)
            for function in _functions(module):
                old = function.__code__
                self._changed.append((function, old))
                function.__code__ = codes[old.co_qualname, old.co_firstlineno]

    def remove(self) -> None:
        """Put the code back as it was."""
        for function, code in self._changed:
            function.__code__ = code
        self._changed.clear()


class _Wrap(ast.NodeTransformer):
    def __init__(self, module: str, sites: list[Site]) -> None:
        self._module = module
        self._sites = sites
        self._scope: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._scoped(node, node.name)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._scoped(node, node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._scoped(node, node.name)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        site = self._site(node, node.value)
        self.generic_visit(node)
        node.value = ast.BoolOp(ast.Or(), [_call(BEFORE, site), node.value])
        return ast.copy_location(_call(AFTER, site, node), node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        sites = [self._site(item.context_expr, item.context_expr) for item in node.items]
        self.generic_visit(node)
        for site, item in zip(sites, node.items, strict=True):
            item.context_expr = ast.BoolOp(ast.Or(), [_call(BEFORE, site), item.context_expr])
        entered = [ast.Expr(_call(AFTER, site)) for site in sites]
        node.body = [*(ast.copy_location(one, node) for one in entered), *node.body]
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        site = self._site(node, node.iter)
        self.generic_visit(node)
        node.iter = ast.BoolOp(ast.Or(), [_call(BEFORE, site), node.iter])
        node.body = [ast.copy_location(ast.Expr(_call(AFTER, site)), node), *node.body]
        return node

    def _scoped(self, node: ast.AST, name: str) -> ast.AST:
        self._scope.append(name)
        self.generic_visit(node)
        self._scope.pop()
        return node

    def _site(self, node: ast.expr | ast.stmt, awaited: ast.expr) -> int:
        number = len(self._sites)
        function = ".".join(self._scope)
        self._sites.append(Site(number, self._module, node.lineno, function, ast.unparse(awaited)))
        return number


def _call(name: str, site: int, *values: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Constant(site), *values], [])


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Those that are written in this module, with those that decorators hide."""
    for value in vars(module).values():
        if getattr(value, "__module__", "") != module.__name__:
            continue
        members = vars(value).values() if isinstance(value, type) else [value]
        for member in members:
            inner = member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
            if isinstance(inner, FunctionType) and inner.__code__.co_filename == module.__file__:
                yield inner

"""Write docs/reference/ from the code: `python docs/make_reference.py`. A test sees what is stale.

The command line is made from its own help, exit codes and settings from their tables, the file from
its JSON Schema and the docstrings of its fields, Python from the public docstrings.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from typer.main import get_command

import autotune
from autotune import fleet_file
from autotune.cli.app import app
from autotune.cli.commands import SETTINGS, kinds_of
from autotune.cli.exit_codes import EXIT_CODES
from autotune.cli.settings import EXPORTED, PREFIX, Kinds, unknown_variables
from autotune.config_file import SCHEMA_VERSION, TunedFile, json_schema
from autotune.fleet_file import FleetFile, MachineResult

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Made by docs/make_reference.py; do not edit. -->"
WIDTH = 100


def pages() -> dict[str, str]:
    """Return the text of every page of the reference, by file name."""
    return {
        "cli.md": cli_page(),
        "exit-codes.md": exit_codes_page(),
        "settings.md": settings_page(),
        "file.md": file_page(),
        "python.md": python_page(),
    }


def page(title: str, *parts: str) -> str:
    """Return a page from its parts, a blank line between them."""
    return "\n\n".join([f"# {title}", MADE, *filter(None, parts)]) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; bars within cells are escaped."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def wrapped(text: str) -> str:
    """Return paragraphs of prose, filled."""
    parts = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(textwrap.fill(" ".join(one.split()), WIDTH) for one in parts)


def commands() -> dict[str, Any]:
    """Return the commands of the command line, in order."""
    return dict(getattr(get_command(app), "commands", {}))


def cli_page() -> str:
    """Return the page of all commands with their options."""
    parts = [
        wrapped(
            "What is not required may be left out. Options may also come from [a settings file or "
            "the environment](settings.md); what commands exit with stands under [exit "
            "codes](exit-codes.md)."
        ),
        "\n".join(f"- [`autotune {name}`](#autotune-{name})" for name in commands()),
    ]
    for name, command in commands().items():
        context = command.make_context(name, [], resilient_parsing=True)
        usage = re.sub("[{}]", "", " ".join(command.collect_usage_pieces(context)))
        parts += [f"## autotune {name}", f"`autotune {name} {usage}`", wrapped(command.help or "")]
        parts += list(_parameters(command, context))
        if command.epilog:
            parts.append(f"```text\n{command.epilog}\n```")
    return page("Command line", *parts)


def _parameters(command: Any, context: Any) -> Iterator[str]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is not None:
            kind = "Arguments" if param.param_type_name == "argument" else "Options"
            panel = getattr(param, "rich_help_panel", None) or kind
            names = record[0].removesuffix(" <str>")
            groups.setdefault(panel, []).append((f"`{names}`", record[1]))
    for panel, rows in groups.items():
        yield table((panel, ""), rows)


def exit_codes_page() -> str:
    """Return the page of all exit codes."""
    rows = [
        (f"`{int(one.code)}`", ", ".join(f"`{name}`" for name in one.commands) or "all", one.means)
        for one in EXIT_CODES
    ]
    return page(
        "Exit codes",
        "Codes never change their meaning; new ones may come.",
        table(("code", "commands", "meaning"), rows),
    )


def settings_page() -> str:
    """Return the page of what an option may be given by besides the command line."""
    kinds = kinds_of(commands())
    every: dict[str, list[str]] = {}
    for name, own in kinds.items():
        for key in own:
            every.setdefault(key, []).append(name)
    rows = [
        (
            f"`{key}`",
            ", ".join(f"`{name}`" for name in names),
            ", ".join(f"`{one}`" for one in variables(key, names[0], kinds)),
        )
        for key, names in sorted(every.items())
        if variables(key, names[0], kinds)
    ]
    example = (
        'slo = "50ms"\npercentile = "99"\n\n[search]\nbudget = "3m"\n\n[check]\ntolerance = "15%"'
    )
    return page(
        "Settings",
        wrapped(
            "What is always the same need not stand on every command line. The command line wins, "
            "then the environment, then the nearest `autotune.toml`, or `[tool.autotune]` of a "
            "`pyproject.toml`, in the working directory or above, up to the root of the "
            "repository. What took effect is said on standard error."
        ),
        table(("source", ""), [(f"`{name}`", text) for name, text in SETTINGS]),
        f"```toml\n{example}\n```",
        "## Options",
        wrapped(
            "As they are called in a file, and which variables give them. The last variable holds "
            "for one command alone (here the first that has the option) and wins."
        ),
        table(("option", "commands", "environment"), rows),
    )


def variables(key: str, command: str, kinds: Mapping[str, Kinds]) -> list[str]:
    """Return the environment variables that give an option, the strongest last."""
    name = key.upper().replace("-", "_")
    general = [] if name in EXPORTED else [f"{PREFIX}{name}"]
    candidates = [*general, f"{PREFIX}{command.upper()}_{name}"]
    return [one for one in candidates if not unknown_variables({one: ""}, kinds)]


def file_page() -> str:
    """Return the page of every field of the tuned file."""
    definitions: Mapping[str, Any] = json_schema()["$defs"]
    classes = {one.__name__: one for one in _records(msgspec.inspect.type_info(TunedFile))}
    parts = [
        wrapped(
            f"`model.autotune.json`, schema version {SCHEMA_VERSION}. Plain JSON; reading it "
            "executes nothing. Unknown fields are refused by name, older versions are read and "
            "shown as the current one. `autotune schema` prints the JSON Schema that this page is "
            "made of. What is called None here is `null` in the file."
        )
    ]
    for name, record in classes.items():
        parts += _record_parts(record, definitions[name])
    parts.append("# A fleet's file")
    parts.append(
        wrapped(
            f"`model.fleet.json`, schema version {fleet_file.SCHEMA_VERSION}: what `autotune fleet "
            "search` found on each machine type. `autotune schema --fleet` prints its JSON Schema."
        )
    )
    fleets: Mapping[str, Any] = fleet_file.json_schema()["$defs"]
    for record in (FleetFile, MachineResult):
        parts += _record_parts(record, fleets[record.__name__])
    return page("The tuned file", *parts)


def _record_parts(record: type, schema: Mapping[str, Any]) -> list[str]:
    documents = field_docstrings(record)
    rows = [
        (f"`{field}`", schema_text(one), documents.get(field, ""))
        for field, one in schema["properties"].items()
    ]
    about = wrapped(inspect.getdoc(record) or "")
    return [f"## {record.__name__}", about, table(("field", "type", ""), rows)]


def _records(info: Any, known: list[type] | None = None) -> list[type]:
    """Return the records that a type is made of, outermost first."""
    known = [] if known is None else known
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in known:
            return known
        known.append(info.cls)
        for field in info.fields:
            _records(field.type, known)
    for name in ("types", "item_types"):
        for inner in getattr(info, name, ()):
            _records(inner, known)
    for name in ("type", "item_type", "value_type"):
        if (inner := getattr(info, name, None)) is not None:
            _records(inner, known)
    return known


def source_of(thing: Any) -> Any:
    """Return the syntax tree of a class or function, or those of a module's statements."""
    body = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    return body if inspect.ismodule(thing) else body[0]


def field_docstrings(record: type) -> dict[str, str]:
    """Return what stands below each field of a record in its source."""
    found = {}
    for field, below in pairwise(source_of(record).body):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return found


def schema_text(schema: Mapping[str, Any]) -> str:
    """Return a JSON Schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(schema_text(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{msgspec.json.encode(one).decode()}`" for one in values)
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {schema_text(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {schema_text(schema['additionalProperties'])}"
    words = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[name]:g}" for name, sign in words.items() if name in schema]
    return " ".join([kind, ", ".join(bounds)]).strip()


def python_page() -> str:
    """Return the page of everything public in `autotune`."""
    public = {name: getattr(autotune, name) for name in autotune.__all__}
    classes = {name: one for name, one in public.items() if inspect.isclass(one)}
    errors = {name: one for name, one in classes.items() if issubclass(one, Exception)}
    groups = {
        "Functions": {f"autotune.{name}()": public[name] for name in public.keys() - classes},
        "Classes": {name: classes[name] for name in classes.keys() - errors},
        "Errors and warnings": errors,
    }
    parts = [
        "All of it is imported from `autotune`; a name's module is loaded when it is first used."
    ]
    for group, members in groups.items():
        parts += [f"## {group}"]
        for title, thing in sorted(members.items()):
            parts += [f"### {title}", *documented(thing, title.removesuffix("()"))]
            if thing not in errors.values():
                parts += list(_members(thing, title))
    parts += ["## Types", "Names that stand in signatures.", _types("\n".join(parts))]
    return page("Python", *parts)


def _types(text: str) -> str:
    """Return what the short names of types mean that a text uses, as their modules define them."""
    used = set(re.findall(r"\w+", " ".join(re.findall(r"```text\n(.*?)```", text, re.DOTALL))))
    modules = [getattr(autotune, name).__module__ for name in autotune.__all__]
    rows: dict[str, tuple[str, str]] = {}
    for module in modules:  # it grows meanwhile
        for node in source_of(import_module(module)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autotune."):
                if used & {one.name for one in node.names} and node.module not in modules:
                    modules.append(node.module or "")
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, value = node.targets[0].id, ast.unparse(node.value)
                if name in used and not name.isupper():
                    rows[name] = (f"`{name}`", f"`{value}`")
    return table(("name", "is"), (rows[name] for name in sorted(rows)))


def documented(thing: Any, title: str) -> Iterator[str]:
    """Yield how a class or function is called, as its source has it, and its docstring."""
    arguments = _arguments(source_of(thing))
    if arguments is not None:
        listed, returns = arguments
        line = f"{title}({', '.join(listed)}){returns}"
        if len(line) > WIDTH:
            inner = "".join(f"    {one},\n" for one in listed)
            line = f"{title}(\n{inner}){returns}"
        yield f"```text\n{line}\n```"
    yield docstring_text(inspect.getdoc(thing) or "")


def _arguments(node: Any) -> tuple[list[str], str] | None:
    """Return the arguments of a function, or of what makes an object; None where nothing does."""
    if isinstance(node, ast.FunctionDef):
        given = [one for one in node.args.args if one.arg != "self"]
        listed = list(map(_argument, *_aligned(given, node.args.defaults)))
        if node.args.kwonlyargs:
            listed += ["*", *map(_argument, node.args.kwonlyargs, node.args.kw_defaults)]
        return listed, f" -> {_annotation(node.returns)}" if node.returns is not None else ""
    for own in node.body:
        if isinstance(own, ast.FunctionDef) and own.name == "__init__":
            listed, _ = _arguments(own) or ([], "")
            return listed, ""
    fields = [ast.unparse(own) for own in node.body if isinstance(own, ast.AnnAssign)]
    return (fields, "") if fields else None


def _aligned(given: list[ast.arg], defaults: list[ast.expr]) -> tuple[list[Any], list[Any]]:
    """Return arguments and their defaults, None where there is none: the last have them."""
    return given, [None] * (len(given) - len(defaults)) + list(defaults)


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    text = one.arg if one.annotation is None else f"{one.arg}: {_annotation(one.annotation)}"
    return text if default is None else f"{text} = {ast.unparse(default)}"


def _annotation(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _members(thing: Any, name: str) -> Iterator[str]:
    """Yield a class's fields, properties and methods, those that it inherits here included."""
    if not inspect.isclass(thing):
        return
    if documents := field_docstrings(thing):
        yield table(("field", ""), [(f"`{field}`", text) for field, text in documents.items()])
    bases = [one for one in reversed(thing.__mro__) if one.__module__.startswith("autotune.")]
    members = {own: member for base in bases for own, member in vars(base).items()}
    for own, member in members.items():
        inner = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if own.startswith("_") or not inspect.getdoc(inner):
            continue
        if isinstance(inner, property):
            yield f"#### {name}.{own}"
            yield docstring_text(inspect.getdoc(inner) or "")
        elif inspect.isfunction(inner):
            yield f"#### {name}.{own}()"
            yield from documented(inner, own)


def docstring_text(text: str) -> str:
    """Return a docstring as Markdown: what is indented below `Args:` and its like as lists."""
    blocks: list[str] = []
    for part in re.split(r"\n\s*\n", text):
        head, _, rest = part.partition("\n")
        if re.fullmatch(r"(Args|Returns|Raises|Yields|Warns|Attributes):", head) and rest:
            items = re.sub(r"\n {4,}", " ", textwrap.dedent(rest))
            lines = [re.sub(r"^(\w+(?:, \w+)*): ", r"`\1`: ", one) for one in items.splitlines()]
            blocks += [f"**{head}**", "\n".join(f"- {one}" for one in lines)]
        elif part.startswith("    "):
            blocks.append(f"```text\n{textwrap.dedent(part)}\n```")
        else:
            blocks.append(wrapped(part))
    return "\n\n".join(blocks)


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

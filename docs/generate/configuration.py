"""docs/configuration.md: every key of params.yaml with its comment, its default and what it accepts."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from docs.generate.markdown import note, table
from icu_adversarial.config.params import Params

FILE = Path(__file__).parents[2] / "params.yaml"
HEAD = f"""{note("params.yaml and src/icu_adversarial/config")}
# Configuration

`params.yaml` holds every setting of the pipeline. This page lists them block by block. Each row
shows the key, its default, the values that it accepts, and what it does. Wrong keys and values are
refused in one line that names the key. [Experiments](experiments.md) shows how to change a setting
for one run.

In a search space, a *range* has the keys `low`, `high` and, optionally, `log: true` for a
logarithmic scale.
"""
KEY = re.compile(r"^( *)([A-Za-z_]\w*):(.*)$")
NUMBERS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


def comments(text: str) -> dict[str, str]:
    """The comment of each key of a YAML text, by dotted key.

    A comment is the lines of `#` directly above the key and the text after `#` behind its value.
    For a list, it may also be between the key and the first item.
    """
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    above: list[str] = []
    for line in text.splitlines():
        key = KEY.match(line)
        if line.strip().startswith("#"):
            above.append(line.strip().lstrip("# "))
        elif key:
            indent, name, rest = len(key[1]), key[2], key[3]
            path = [(i, parent) for i, parent in path if i < indent] + [(indent, name)]
            behind = re.split(r"\s#\s", rest, maxsplit=1)[1:]
            found[".".join(parent for _, parent in path)] = " ".join(above + behind).strip()
            above = []
        else:
            if line.strip().startswith("- ") and above:
                found[".".join(parent for _, parent in path)] += " ".join(above)
            above = []
    return found


def borrowed(key: str, said: dict[str, str]) -> str:
    """The description of a key without a comment: which other key means the same."""
    parts = key.split(".")
    name = parts[-1].removeprefix("log2_")
    others = [
        ".".join(parts[1:]),
        ".".join("first" if part == "space" else part for part in parts),
        f"model.{name}" if parts[0] == "tune_model" else "",
    ]
    other = next((o for o in others if o != key and said.get(o)), "")
    if not other:
        return "See the row above."
    return f"2 to this power is `{other}`." if name != parts[-1] else f"As `{other}`."


def accepts(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """The values that a JSON schema of pydantic accepts, as text."""
    schema = resolved(schema, definitions)
    if schema.get("type") == "object" and "low" not in schema.get("properties", {}):
        return "block"
    if "anyOf" in schema:
        return ", or ".join(accepts(part, definitions) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "low" in schema.get("properties", {}):
        whole = schema["properties"]["low"]["type"] == "integer"
        return f"range of {'whole ' if whole else ''}numbers"
    if schema.get("type") == "array":
        items = schema.get("items") or schema["prefixItems"][0]
        return f"list of: {accepts(items, definitions)}"
    limits = [f"{words} {schema[name]:.10g}" for name, words in NUMBERS.items() if name in schema]
    kind = KINDS.get(schema.get("type", ""), "any")
    return " ".join([kind, " and ".join(limits)]).strip()


def resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference."""
    reference = schema.get("$ref")
    return definitions[reference.rsplit("/", 1)[1]] if reference else schema


def rows(
    values: dict[str, Any],
    schema: dict[str, Any],
    definitions: dict[str, Any],
    said: dict[str, str],
    prefix: str,
) -> list[list[str]]:
    """The rows of one block and of the blocks inside it."""
    found = []
    for name, value in values.items():
        key = f"{prefix}.{name}" if prefix else name
        inner = resolved(schema["properties"][name], definitions)
        about = said.get(key, "")
        if (
            "additionalProperties" in inner
            and inner.get("type") == "object"
            and inner["additionalProperties"] is not False
        ):
            names = ", ".join(f"`{row}`" for row in value)
            found.append([f"`{key}`", names, "one block for each name", about])
        elif on_lines_of_its_own(key, value, said) and "low" not in value:
            if about:
                found.append([f"`{key}`", "", "block", about])
            found += rows(value, inner, definitions, said, key)
        else:
            accepted = accepts(inner, definitions) + (", or `tuned`" if value == "tuned" else "")
            meaning = about or borrowed(key, said)
            found.append([f"`{key}`", f"`{shown(value)}`", accepted, meaning])
    return found


def on_lines_of_its_own(key: str, value: Any, said: dict[str, str]) -> bool:
    """Whether a value is a block with one line for each key."""
    return isinstance(value, dict) and any(f"{key}.{name}" in said for name in value)


def shown(value: Any) -> str:
    """A value as params.yaml writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(shown, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}: {shown(item)}' for key, item in value.items())}}}"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def page() -> str:
    """The whole page."""
    values = YAML(typ="safe").load(FILE)
    schema, said = Params.model_json_schema(), comments(FILE.read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    head = ["key", "default", "accepts", "what it does"]
    blocks = {name: value for name, value in values.items() if isinstance(value, dict)}
    single = {name: value for name, value in values.items() if name not in blocks}
    parts = [
        HEAD,
        "## Whole pipeline\n",
        table(head, rows(single, schema, definitions, said, "")),
    ]
    for name, block in blocks.items():
        inner = resolved(schema["properties"][name], definitions)
        parts.append(f"\n## {name}\n")
        if said[name]:
            parts.append(f"{said[name][0].upper()}{said[name][1:].rstrip('.')}.\n")
        parts.append(table(head, rows(block, inner, definitions, said, name)))
    return "\n".join(parts) + "\n"

"""`.env.example` and docs/settings.md, made from the classes of settings: `make settings` writes both."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

from lake_assets.domains import all_settings
from lake_assets.settings import Settings, Variable, project

ROOT = Path(__file__).parent.parent


def env_example() -> str:
    """Return `.env.example`: every variable with its default, commented out."""
    blocks = [
        "# Every setting and its default. Copy lines to .env (which `make` writes DAGSTER_HOME to) to change them.\n"
    ]
    for variable in (variable for settings in all_settings() for variable in settings.variables()):
        says = [f"# {line}" for line in wrap(_says(variable), 98)]
        blocks.append("\n".join([*says, f"# {variable.name}={_default(variable)}", ""]))
    return "\n".join(blocks)


def settings_page() -> str:
    """Return docs/settings.md: a table for each class."""
    return "\n".join([_HEAD, *map(_table, all_settings())])


def _table(settings: type[Settings]) -> str:
    rows = [
        f"| `{variable.name}` | {_code(_default(variable))} | {variable.allowed} | {_cell(variable.description)} |"
        for variable in settings.variables()
    ]
    title = settings.__name__.removesuffix("Settings")
    about = (settings.__doc__ or "").strip()
    return "\n".join(
        [
            f"## {title}",
            "",
            about,
            "",
            "| variable | default | allowed | what it does |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _says(variable: Variable) -> str:
    """Return the description, and the allowed values where it does not name them."""
    choices = variable.allowed.removeprefix("one of ").split(", ")
    if not variable.allowed or all(choice in variable.description for choice in choices):
        return variable.description
    return f"{variable.description} It must be {variable.allowed}."


def _default(variable: Variable) -> str:
    return variable.default.removeprefix(f"{project()}/")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_HEAD = """# Settings

Settings are environment variables. The command line and the dagster commands also read `.env` in
the working folder. What stands there counts more than what is exported: to change it, edit its
line. An empty variable counts as not set. A value is checked when it is used; an error names the
variable, its value and what is allowed. `lake-assets doctor` shows all values in force, and which
ones of `.env` override an exported one.

This page and `.env.example` are made by `make settings` from the classes of settings in
`lake_assets/settings.py` and `lake_assets/defs/*/settings.py`.
"""

PAGES = {".env.example": env_example, "docs/settings.md": settings_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())

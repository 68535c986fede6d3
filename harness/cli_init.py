"""`wakestorm init`: a first scenario, the schema for editors beside it, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

TEMPLATE: Final = Path(__file__).with_name("first_scenario.yaml")
FOLDER: Final = "scenarios"
FILE_NAME: Final = "first.yaml"
SCHEMA_NAME: Final = "scenario.schema.json"
SETTINGS: Final = Path(".vscode") / "settings.json"
GLOB: Final = f"{FOLDER}/**/*.yaml"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if it is not there.")] = Path(),
    vscode: Annotated[
        bool, typer.Option("--vscode", help="Also .vscode/settings.json, so that the editor completes keys.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write a first scenario and the schema that editors complete from, and say what to do next.

    \b
    Examples:
      wakestorm init
      wakestorm init my-cameras --vscode
    """
    raise typer.Exit(init_command(folder, vscode=vscode, force=force))


def init_command(folder: Path, *, vscode: bool, force: bool) -> int:
    """Writes the files. Raises UsageError, before anything is written, where one is there already."""
    from harness.errors import UsageError
    from harness.scenario_schema import rendered

    files = {
        folder / FOLDER / FILE_NAME: TEMPLATE.read_text(encoding="utf-8"),
        folder / FOLDER / SCHEMA_NAME: rendered(),
    }
    if vscode:
        files[folder / SETTINGS] = settings_text()
    there = [path for path, text in files.items() if path.exists() and not _is_same(path, text)]
    if there and not force:
        hint = "--force writes over it; another folder: wakestorm init DIR"
        if folder / SETTINGS in there:
            hint = f"add this to it: {settings_line()}"
        raise UsageError(f"{there[0]} is there already; nothing was written", hint=hint)
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    print(_said(folder, vscode=vscode))
    return 0


def settings_line() -> str:
    """The setting of VS Code's YAML extension."""
    return f'"yaml.schemas": {{"./{FOLDER}/{SCHEMA_NAME}": "{GLOB}"}}'


def settings_text() -> str:
    """A settings.json with that line alone."""
    return f"{{\n  {settings_line()}\n}}\n"


def _is_same(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _said(folder: Path, *, vscode: bool) -> str:
    scenario = Path(FOLDER) / FILE_NAME
    written = [
        (str(folder / scenario), "a first scenario: two cameras, one loses power"),
        (str(folder / FOLDER / SCHEMA_NAME), "lets editors complete and check keys"),
    ]
    if vscode:
        written.append((str(folder / SETTINGS), "tells VS Code's YAML extension about it"))
    commands = [] if folder == Path() else [(f"cd {folder}", "")]
    commands += [
        (f"wakestorm run {scenario}", "play it"),
        (f"wakestorm lint {scenario}", "every mistake in it, with its line"),
        ("wakestorm explain expect.rows", "what a key means; without KEY: all"),
        ("wakestorm faults", "everything that can go wrong"),
    ]
    lines = ["Written:", *_aligned(written), "", "Next:", *_aligned(commands), ""]
    lines += [
        "To see a failure, change `received_chunks: 3` to 2 in the scenario and run it",
        "again: it shows what was expected, what was found, and what the camera did.",
    ]
    return "\n".join(lines)


def _aligned(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(first) for first, _ in rows)
    return [f"  {first:<{width}}  {second}".rstrip() for first, second in rows]

"""Texts made to hurt a YAML reader. As a program: feeds all of them to the loader, with 64 MB more than it has.

Prints, for each, the number of mistakes found and the CPU seconds it took.
"""

from __future__ import annotations

import json
import resource
from pathlib import Path

from harness.errors import ScenarioError
from harness.loader import load_bytes
from harness.machine import own_cpu_s
from harness.yaml_reader import TEXT_SIZE_BYTES_MAX

HEADER = "version: 1\nname: A bomb\ndevices: {yard: {count: 3}}\n"
MEMORY_BYTES: int = 64 * 1_048_576


def _laughs() -> str:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for number in range(9):
        inner = ",".join(["*" + chr(97 + number)] * 9)
        lines.append(f"{chr(98 + number)}: &{chr(98 + number)} [{inner}]")
    return "\n".join(lines)


def _merges() -> str:
    lines = ["n0: &n0 {x: 1}"]
    lines += [f"n{number}: &n{number} {{<<: [*n{number - 1}, *n{number - 1}]}}" for number in range(1, 60)]
    return "\n".join(lines)


BOMBS = {
    "billion laughs": _laughs(),
    "merge keys": _merges(),
    "alias to itself": "a: &a [*a]",
    "anchors only": "\n".join(f"k{number}: &a{number} 1" for number in range(9_000)),
    "open brackets": "[" * 200_000,
    "open braces": "{" * 200_000,
    "closed brackets": "[" * 100_000 + "]" * 100_000,
    "nested mappings": "".join(" " * number + f"k{number}:\n" for number in range(700)),
    "nested dashes": "- " * 100_000,
    "nested question marks": "? " * 100_000,
    "a million items": "- a\n" * 1_000_000,
    "as many items as fit": "- a\n" * (TEXT_SIZE_BYTES_MAX // 4),
    "flow items": "[" + "a," * 120_000 + "]",
    "empty flow pairs": "[" + "{}," * 80_000 + "]",
    "pairs with a mistake at their end": "[" + "{}," * 19_000 + "}",
    "many keys twice": "\n".join(f"k{number // 2}: 1" for number in range(300)) + "\n" + "- a\n" * 19_000,
    "as many mistakes as are said, then no YAML": "a: 1\n" * 200 + "\t",
    "pairs after what libyaml refuses": "a? b: [" + "{}," * 80_000 + "]",
    "many keys": "\n".join(f"k{number}: 1" for number in range(25_000)),
    "duplicate keys": "a: 1\n" * 50_000,
    "one long key": "a" * 250_000 + ": 1",
    "one long word": "a: " + "b" * 250_000,
    "one long quoted text": 'a: "' + "b" * 250_000,
    "escapes": 'a: "' + "\\u0041" * 40_000 + '"',
    "surrogates": 'a: "' + "\\ud800" * 1_000 + '"',
    "one long number": "a: " + "9" * 250_000,
    "one long float": "a: 1." + "9" * 250_000,
    "sexagesimal": "a: " + ":".join(["59"] * 80_000),
    "underscores": "a: 1" + "_" * 250_000,
    "comments": "# x\n" * 60_000,
    "blank lines": "\n" * 250_000,
    "carriage returns": "\r" * 250_000,
    "block text": "a: |\n" + "  x\n" * 60_000,
    "folded text": "a: >\n" + "  x\n" * 60_000,
    "many documents": "---\n" * 60_000,
    "directives": "%TAG ! tag:x,2000:\n" * 10_000,
    "yaml version": "%YAML 9.9\n---\na: 1",
    "tags": "a: " + "!" * 200_000,
    "long tag": "a: !" + "x" * 200_000 + " 1",
    "tabs": "\t" * 250_000,
    "colons": ":" * 250_000,
    "stars": "*" * 250_000,
    "ampersands": "& " * 100_000,
    "spaces before a key": " " * 250_000 + "a: 1",
    "matrix of a million cases": HEADER + "steps: [{wake: yard}]\nmatrix: {a: 0..999, b: 0..999}",
    "matrix with a range of everything": HEADER + "steps: [{wake: yard}]\nmatrix: {a: 0..99999}",
    "matrix of many labels": HEADER
    + "steps: [{wake: yard}]\nmatrix: {"
    + ", ".join(f"a{n}: [1, 2]" for n in range(60))
    + "}",
    "a thousand cases of a thousand steps": HEADER
    + "matrix: {a: 0..999}\ndescription: ${a}\nsteps:\n"
    + "  - wake: yard\n" * 1_000,
    "many groups of many devices": "version: 1\nname: too many\nsteps: [{wake: g0}]\ndevices:\n"
    + "".join(f"  g{number}: {{count: 10000}}\n" for number in range(100)),
    "more groups than fit": "version: 1\nname: too many\nsteps: [{wake: g0}]\ndevices:\n"
    + "".join(f"  g{number}: {{}}\n" for number in range(3_000)),
    "ten thousand steps": HEADER + "steps:\n" + "  - wake: yard\n" * 9_000,
    "too many devices": "version: 1\nname: too many\ndevices: {yard: {count: 999999999}}\nsteps: [{wake: yard}]",
}


def main() -> None:
    """Runs every bomb; a MemoryError ends the program."""
    texts = {name: text.encode() for name, text in BOMBS.items()}
    in_use_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use_bytes + MEMORY_BYTES, resource.RLIM_INFINITY))
    outcomes = {}
    for name, data in texts.items():
        started = own_cpu_s()
        try:
            load_bytes(data, Path("bomb.yaml"))
            mistakes = 0
        except ScenarioError as error:
            mistakes = len(error.mistakes)
        outcomes[name] = {"mistakes": mistakes, "cpu_s": round(own_cpu_s() - started, 3)}
    print(json.dumps(outcomes, indent=1))


if __name__ == "__main__":
    main()

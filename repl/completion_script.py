"""``penstock completion bash|zsh|fish``: a script that makes a shell complete commands, options, their values and files.

What the prompt completes, statements, is in `grammar/complete.py`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

__all__ = ["SHELLS", "script"]

SHELLS = ("bash", "zsh", "fish")


@dataclass
class _Words:
    """What may stand behind ``penstock`` and a path of sub-commands."""

    commands: list[str]
    options: list[str]
    values: dict[str, list[str] | None]
    """Option with a value -> the values it takes; None: any."""

    @property
    def chosen(self) -> dict[str, list[str]]:
        """The options that take one of few values, with these."""
        return {option: values for option, values in self.values.items() if values is not None}


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The completion script for a shell.  It contains everything that the parser takes, so no Python starts at TAB."""
    words = _words(parser)
    if shell == "fish":
        return "\n".join(
            ["complete -c penstock -e", *(line for path, found in words.items() for line in _fish(path, found))]
        )
    cases = [f'        "{path}") words="{" ".join([*found.commands, *found.options])}" ;;' for path, found in words.items()]
    values = [
        f'        "{path} {option}") words="{" ".join(choices)}" ;;'
        for path, found in words.items()
        for option, choices in found.chosen.items()
    ]
    known = "|".join(f'"{path}"' for path in words if path)
    head = ["autoload -U +X bashcompinit && bashcompinit"] if shell == "zsh" else []
    return "\n".join(
        [
            *head,
            "_penstock() {",
            '    local words="" path="" tried i current="${COMP_WORDS[COMP_CWORD]}" option="${COMP_WORDS[COMP_CWORD - 1]}"',
            "    for ((i = 1; i < COMP_CWORD; i++)); do",
            '        tried="${path:+$path }${COMP_WORDS[i]}"',
            f'        case "$tried" in {known}) path="$tried" ;; esac',
            "    done",
            "    # --format=csv comes as three words",
            '    if [ "$option" = "=" ]; then option="${COMP_WORDS[COMP_CWORD - 2]}"; fi',
            '    if [ "$current" = "=" ]; then current=""; fi',
            '    case "$path $option" in',
            *values,
            "    esac",
            '    if [ -n "$words" ]; then',
            '        COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "        return",
            "    fi",
            '    case "$path" in',
            *cases,
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))',
            "}",
            "complete -o filenames -F _penstock penstock",
        ]
    )


def _fish(path: str, found: _Words) -> list[str]:
    seen = [f"__fish_seen_subcommand_from {name}" for name in path.split()]
    unseen = [f"not __fish_seen_subcommand_from {' '.join(found.commands)}"] if found.commands else []
    condition = "; and ".join([*seen, *unseen])
    wanted = f" -n '{condition}'" if condition else ""
    lines = [f"complete -c penstock{wanted} -a '{name}'" for name in found.commands]
    for option in found.options:
        line = f"complete -c penstock{wanted} {f'-l {option[2:]}' if option.startswith('--') else f'-s {option[1:]}'}"
        if option in found.values:
            choices = found.values[option]
            line += " -r" if choices is None else f" -x -a '{' '.join(choices)}'"
        lines.append(line)
    return lines


def _words(parser: argparse.ArgumentParser, path: str = "") -> dict[str, _Words]:
    """Sub-command ("log verify") -> what may follow it."""
    found = _Words([], [], {})
    inner: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        choices = None if action.choices is None else [str(choice) for choice in action.choices]
        found.options += action.option_strings
        if action.nargs != 0:
            found.values.update(dict.fromkeys(action.option_strings, choices))
        if not action.option_strings:
            found.commands += choices or []
        if isinstance(action, argparse._SubParsersAction):
            inner.update(action.choices)
    words = {path: found}
    for name, below in inner.items():
        words |= _words(below, f"{path} {name}".strip())
    return words

"""``penstock completion bash|zsh|fish``: a script that makes a shell complete sub-commands, options and files."""

from __future__ import annotations

import argparse

__all__ = ["SHELLS", "script"]

SHELLS = ("bash", "zsh", "fish")


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The completion script for a shell.  It contains everything that the parser takes, so no Python starts at TAB."""
    words = _words(parser)
    if shell == "fish":
        lines = ["complete -c penstock -e"]
        for path, (options, commands) in words.items():
            seen = " and ".join(f"__fish_seen_subcommand_from {name}" for name in path.split())
            unseen = f"not __fish_seen_subcommand_from {' '.join(commands)}" if commands else ""
            condition = "; and ".join(part for part in (seen.replace(" and ", "; and "), unseen) if part)
            wanted = f" -n '{condition}'" if condition else ""
            lines += [f"complete -c penstock{wanted} -a '{name}'" for name in commands]
            for option in options:
                kind = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                lines.append(f"complete -c penstock{wanted} {kind}")
        return "\n".join(lines)
    cases = [
        f'        "{path}") words="{" ".join([*commands, *options])}" ;;' for path, (options, commands) in words.items()
    ]
    known = "|".join(f'"{path}"' for path in words if path)
    head = ["autoload -U +X bashcompinit && bashcompinit"] if shell == "zsh" else []
    return "\n".join(
        [
            *head,
            "_penstock() {",
            '    local words path="" tried i current="${COMP_WORDS[COMP_CWORD]}"',
            "    for ((i = 1; i < COMP_CWORD; i++)); do",
            '        tried="${path:+$path }${COMP_WORDS[i]}"',
            f'        case "$tried" in {known}) path="$tried" ;; esac',
            "    done",
            '    case "$path" in',
            *cases,
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))',
            "}",
            "complete -o filenames -F _penstock penstock",
        ]
    )


def _words(parser: argparse.ArgumentParser, path: str = "") -> dict[str, tuple[list[str], list[str]]]:
    """Sub-command ("log verify") -> its options and sub-commands."""
    options: list[str] = []
    commands: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        options += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            commands.update(action.choices)
    found = {path: (options, list(commands))}
    for name, inner in commands.items():
        found |= _words(inner, f"{path} {name}".strip())
    return found

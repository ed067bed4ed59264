"""``fastnn completion``: print a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
import shlex

from fastnn.cli.options import Parser

_EPILOG = """\
examples:
  fastnn completion bash >> ~/.bashrc
  fastnn completion zsh >> ~/.zshrc
  fastnn completion fish > ~/.config/fish/completions/fastnn.fish

It completes commands, options, names of attacks and other fixed words, and
files elsewhere.
"""

_BASH = """\
_fastnn() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command= words= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            {names}) command=${{COMP_WORDS[i]}}; break;;
        esac
    done
    case $command/$before in
{choices}
        /*) words={first};;
        *) case $word/$command in
{options}
            esac;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _fastnn fastnn
"""


def add_arguments(parser: Parser) -> None:
    """Declare the arguments of ``fastnn completion``."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="for which shell")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(_SCRIPTS[args.shell](), end="")
    return 0


def _commands() -> dict[str, tuple[str, list[argparse.Action]]]:
    """Return what each command is, and its options."""
    from fastnn.cli._main import COMMANDS, build_parser

    found = {}
    for name, (_, summary) in COMMANDS.items():
        actions = build_parser(name)._actions
        commands = next(a for a in actions if isinstance(a, argparse._SubParsersAction))
        found[name] = (summary, commands.choices[name]._actions)
    return found


def _words(action: argparse.Action) -> list[str]:
    """Return the words that an option or argument takes, none if they are not fixed."""
    if action.choices is not None:
        return [str(word) for word in action.choices]
    if action.dest == "attack":
        from fastnn.attacks import ATTACKS

        return list(ATTACKS)
    if action.dest == "activation":
        from fastnn._engine.activations import ACTIVATIONS

        return list(ACTIVATIONS)
    if action.dest == "targets":
        from fastnn.cli._targets import WORDS

        return list(WORDS)
    return []


def _bash() -> str:
    """Return the script for bash."""
    commands, choices, options = _commands(), [], []
    for name, (_, actions) in commands.items():
        for action in actions:
            if words := shlex.quote(" ".join(_words(action))) if _words(action) else "":
                before = [f"{name}/{option}" for option in action.option_strings] or [
                    f"{name}/{name}"
                ]
                choices.append(f"        {'|'.join(before)}) words={words};;")
        every = " ".join(option for action in actions for option in action.option_strings)
        options.append(f"            -*/{name}) words={shlex.quote(every)};;")
    return _BASH.format(
        names="|".join(commands),
        choices="\n".join(choices),
        options="\n".join(options),
        first=shlex.quote(" ".join([*commands, "--help", "--version"])),
    )


def _zsh() -> str:
    """Return the script for zsh, which takes bash's."""
    load = "".join(f"autoload -U +X {name} && {name}\n" for name in ("compinit", "bashcompinit"))
    return load + _bash()


def _fish() -> str:
    """Return the script for fish."""
    lines = []
    for name, (summary, actions) in _commands().items():
        first = f"complete -c fastnn -n __fish_use_subcommand -f -a {name}"
        lines.append(f"{first} -d {_quoted(summary)}")
        where = f"complete -c fastnn -n {_quoted(f'__fish_seen_subcommand_from {name}')}"
        for action in actions:
            words = f" -f -a {_quoted(' '.join(_words(action)))}" if _words(action) else ""
            if not action.option_strings:
                lines += [where + words] if words else []
                continue
            names = "".join(
                f" -l {option[2:]}" if option.startswith("--") else f" -s {option[1:]}"
                for option in action.option_strings
            )
            takes = " -r" if action.nargs != 0 else " -f"
            text = _quoted((action.help or "").split(" (default")[0])
            lines.append(f"{where}{names}{takes}{words} -d {text}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a word of fish's."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}

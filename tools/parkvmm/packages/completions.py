# SPDX-License-Identifier: Apache-2.0
"""Completions of `vmm` for bash, zsh and fish, from the options' table (options.py).

`front` is whether `vmm` is the front door, which has options before the command.
"""

from collections.abc import Iterable

from parkvmm.front.table import COMMANDS
from parkvmm.packages.options import Option, doctor_options, front_options, run_options

ABOUT = {"run": "run a kernel, or a command in it", "doctor": "say what this host can do"}
VERSION = Option(("--version",), "", "", "print the version and end")
HEAD = "SPDX-License-Identifier: Apache-2.0\n# Made by tools/release from the options of vmm.\n"


def top_options(front: bool) -> list[Option]:
    """Returns those before the command."""
    return (front_options() if front else [Option(("-h", "--help"), "", "", "help")]) + [VERSION]


def named(options: Iterable[Option]) -> list[Option]:
    """Returns the options that are words with hyphens."""
    return [option for option in options if option.names[0].startswith("-")]


def names(options: Iterable[Option]) -> str:
    return " ".join(name for option in named(options) for name in option.names)


def short(text: str) -> str:
    """Returns the beginning of what is said of an option, for a list of one-liners."""
    for end in (": ", "; ", ", "):
        if len(text) > 60:
            text = text.partition(end)[0]
    return text.replace("`", "")


# --- bash ----------------------------------------------------------------------------

def bash_values(options: Iterable[Option]) -> str:
    """Returns cases by option: what its value may be."""
    lines = ""
    for option in named(options):
        if not option.value:
            continue
        what = f'words "{" ".join(option.words)}"' if option.words else (
            "files" if option.file else "nothing")
        lines += f"    {'|'.join(option.names)}) _vmm_{what} ;;\n"
    return lines


BASH = """\
# {head}
_vmm_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }}
_vmm_files() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}}
_vmm_nothing() {{ COMPREPLY=(); }}

# Completes the value of option $1 before the command.
_vmm_top_value() {{
  case $1 in
{top_values}    *) return 1 ;;
  esac
}}

# The same of `vmm run`.
_vmm_run_value() {{
  case $1 in
{run_values}    *) return 1 ;;
  esac
}}

_vmm() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local command='' word='' number
  COMPREPLY=()
  # Bash may take = and : for words of their own: --format = junit : FILE
  if [[ $previous == : || $cur == : ]]; then
    [[ $cur != : ]] || cur=''
    _vmm_files
    return
  fi
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  for ((number = 1; number < COMP_CWORD; number++)); do
    word=${{COMP_WORDS[number]}}
    if [[ $word == -- ]]; then
      _vmm_files  # Of a command for the guest.
      return
    fi
    if [[ ! $command && " {commands} " == *" $word "* ]]; then command=$word; fi
  done
  case $command in
    '')
      _vmm_top_value "$previous" && return
      if [[ $cur == -* ]]; then _vmm_words "{top}"; else _vmm_words "{commands}"; fi ;;
    run)
      _vmm_run_value "$previous" && return
      if [[ $cur == -* ]]; then _vmm_words "{run} --"; else _vmm_files; fi ;;
    doctor) _vmm_words "{doctor}" ;;
  esac
}}
complete -F _vmm vmm
"""


def bash(front: bool) -> str:
    top = top_options(front)
    return BASH.format(
        head=HEAD.rstrip(), commands=" ".join(COMMANDS), top=names(top), run=names(run_options()),
        doctor=names(doctor_options()), top_values=bash_values(top),
        run_values=bash_values(run_options()))


# --- fish ----------------------------------------------------------------------------

def quoted(text: str) -> str:
    """Returns a text as a word of fish."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def fish_line(option: Option, where: str) -> str:
    line = f"complete -c vmm -n {quoted(where)}"
    for name in option.names:
        line += f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
    if option.value:
        line += f" -x -a {quoted(' '.join(option.words))}" if option.words else (
            " -r -F" if option.file else " -x")
    return f"{line} -d {quoted(short(option.text))}\n"


def fish(front: bool) -> str:
    before = f"not __fish_seen_subcommand_from {' '.join(COMMANDS)}"
    text = f"# {HEAD}complete -c vmm -n {quoted('not __fish_seen_subcommand_from run')} -f\n"
    for command in COMMANDS:
        text += f"complete -c vmm -n {quoted(before)} -a {command} -d {quoted(ABOUT[command])}\n"
    for where, options in ((before, top_options(front)),
                           ("__fish_seen_subcommand_from run", run_options()),
                           ("__fish_seen_subcommand_from doctor", doctor_options())):
        text += "".join(fish_line(option, where) for option in named(options))
    return text


# --- zsh -----------------------------------------------------------------------------

def zsh_text(text: str) -> str:
    """Returns a text that may stand in a specification of _arguments, in single quotes."""
    for special in "\\:[]":
        text = text.replace(special, "\\" + special)
    return text.replace("'", "'\\''")


def zsh_specification(option: Option) -> str:
    """Returns a word of _arguments for each name; another of the names excludes the others."""
    value = ""
    if option.value:
        action = (f"({' '.join(option.words)})" if option.words else
                  "_files" if option.file else " ")
        value = f":{zsh_text(option.value)}:{action}"
    lines = ""
    for name in option.names:
        start = "*" if option.repeatable else f"({' '.join(option.names)})"
        end = ("=" if name.startswith("--") else "+") if option.value else ""
        lines += f"    '{start}{name}{end}[{zsh_text(short(option.text))}]{value}' \\\n"
    return lines


ZSH = """\
#compdef vmm
# {head}
_vmm_run() {{
  _arguments -s -S \\
{run}    '1:kernel:_files' '*:argument of the command:_files'
}}

_vmm_doctor() {{
  _arguments \\
{doctor}    && return
}}

_vmm() {{
  local curcontext=$curcontext state line
  _arguments -C -S \\
{top}    '1:command:(({commands}))' '*::word:->words' && return
  case $state in
    words) _call_function - "_vmm_$line[1]" ;;
  esac
}}

_vmm "$@"
"""


def zsh(front: bool) -> str:
    def specifications(options: Iterable[Option]) -> str:
        return "".join(map(zsh_specification, named(options)))

    return ZSH.format(
        head=HEAD.rstrip(), run=specifications(run_options()),
        doctor=specifications(doctor_options()), top=specifications(top_options(front)),
        commands=" ".join(f'{name}\\:"{ABOUT[name]}"' for name in COMMANDS))


def files(front: bool) -> dict[str, str]:
    """Returns the completions by where they lie below share/. zsh's is where zsh looks by itself
    everywhere but in Debian's packages."""
    return {"bash-completion/completions/vmm": bash(front),
            "fish/vendor_completions.d/vmm.fish": fish(front),
            "zsh/site-functions/_vmm": zsh(front)}

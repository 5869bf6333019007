"""`python -m coderl_exp.store ls|show|verify|gc`: what the store holds, who uses it, and cleaning.

Exit code 0; 1 where `verify` found damage; 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from coderl_exp.command import OneLineParser, run_command
from coderl_exp.config import PROJECT_ROOT
from coderl_exp.store.artefacts import Store
from coderl_exp.store.inventory import (
    Damage,
    Entry,
    State,
    find_entry,
    list_entries,
    made_from,
    remove,
    remove_remains,
    remove_unused,
    verify,
)
from coderl_exp.store.manifest import differences

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    codes: list[int] = []
    return run_command(lambda: codes.append(_run(_parser().parse_args(arguments)))) or codes[0]


def _run(given: argparse.Namespace) -> int:
    root = Path(given.store).expanduser().resolve()
    match given.command:
        case "ls":
            return show_list(root)
        case "show":
            return show_one(root, given.name)
        case "verify":
            return show_damage(root, delete=given.delete)
        case _:
            return collect(root, delete=given.delete)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m coderl_exp.store", description=(__doc__ or "").split(":")[1]
    )
    options = OmegaConf.load(PROJECT_ROOT / "conf" / "config.yaml")
    default = PROJECT_ROOT / OmegaConf.select(options, "store_dir")
    parser.add_argument("--store", default=default, help=f"the store's folder ({default})")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=OneLineParser)
    commands.add_parser("ls", help="list all artefacts with their sizes and uses")
    show = commands.add_parser("show", help="one artefact: key, inputs, files, runs that use it")
    show.add_argument("name", help="the beginning of its digest")
    check = commands.add_parser("verify", help="read every byte and name what is damaged")
    check.add_argument("--delete", action="store_true", help="remove what is damaged")
    clean = commands.add_parser("gc", help="name what no run refers to; runs are their folders")
    clean.add_argument("--delete", action="store_true", help="remove it")
    return parser


def show_list(root: Path) -> int:
    """A table of all artefacts, and the sum."""
    entries = list_entries(root)
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "key", "state", "created"):
        table.add_column(column)
    for column in ("seconds", "size", "runs"):
        table.add_column(column, justify="right")
    for entry in entries:
        manifest = entry.manifest
        table.add_row(
            entry.path.parent.name,
            entry.path.stem[:12],
            entry.state.value,
            (manifest.created_at if manifest else _modified(entry.path))[:16].replace("T", " "),
            f"{manifest.wall_s:.1f}" if manifest else "",
            readable_size(entry.size),
            str(len(entry.runs)),
        )
    console.print(table)
    unused = sum(entry.size for entry in entries if not entry.runs)
    console.print(
        f"{len(entries)} artefacts, {readable_size(sum(e.size for e in entries))}; no run refers "
        f"to {readable_size(unused)} of it"
    )
    return 0


def show_one(root: Path, name: str) -> int:
    """All that is known about one artefact."""
    entry = find_entry(root, name)
    console.print(f"{entry.name}  {entry.state.value}  {readable_size(entry.size)}")
    console.print(f"at {entry.path}", soft_wrap=True)
    if entry.manifest is not None:
        _show_manifest(entry, list_entries(root))
    for run in entry.runs:
        console.print(f"used by {run}", soft_wrap=True)
    return 0


def _show_manifest(entry: Entry, entries: Sequence[Entry]) -> None:
    manifest = entry.manifest
    assert manifest is not None
    key, summary = manifest.key, manifest.summary
    console.print(
        f"made {manifest.created_at} in {manifest.wall_s} s ({manifest.cpu_s} CPU s), "
        f"{manifest.num_attempts} attempts, commit {manifest.git_commit or 'unknown'}"
    )
    console.print(f"stage version {key.version}, counts {dict(summary.counts)}", soft_wrap=True)
    for option, value in sorted(key.config.items()):
        console.print(f"  {option}: {value}", soft_wrap=True, markup=False)
    inputs = made_from(entry, entries)
    for name, digest in key.inputs.items():
        found = inputs[name]
        console.print(f"made from {name} {found.name if found else digest}", soft_wrap=True)
    for other in entries:
        if entry in made_from(other, entries).values():
            console.print(f"input of {other.name}", soft_wrap=True)
    for name, file in manifest.files.items():
        console.print(f"file {name} {readable_size(file.size)}", soft_wrap=True, markup=False)
    _show_siblings(entry, entries)


def _show_siblings(entry: Entry, entries: Sequence[Entry]) -> None:
    """In what the other artefacts of the stage differ."""
    assert entry.manifest is not None
    for other in entries:
        is_sibling = other.path.parent == entry.path.parent and other is not entry
        if is_sibling and other.manifest and other.path != entry.path:
            names = differences(other.manifest.key, entry.manifest.key)
            console.print(f"{other.name} differs in {', '.join(names)}", soft_wrap=True)


def show_damage(root: Path, delete: bool) -> int:
    """Name what would be refused, and remove it if `delete`."""
    entries = [entry for entry in list_entries(root) if entry.state is not State.partial]
    damages = [damage for entry in entries if (damage := verify(entry))]
    for damage in damages:
        done = _removed(damage) if delete else ""
        print(f"{damage.reason}{done}")
    print(f"{len(entries)} artefacts read, {len(damages)} damaged")
    return 1 if damages and not delete else 0


def _removed(damage: Damage) -> str:
    return " (removed)" if remove(damage.entry) else " (kept: it is being computed)"


def collect(root: Path, delete: bool) -> int:
    """Name what no run refers to, and remove it if `delete`."""
    list_entries(root)  # refuses a folder that is no store before one is made there
    unused = remove_unused(Store(root), delete)
    for entry in unused:
        print(f"{entry.name}  {readable_size(entry.size):>9}  {entry.state.value}")
    total = readable_size(sum(entry.size for entry in unused))
    if delete:
        remove_remains(root)
        print(f"removed {len(unused)} artefacts, {total}")
    else:
        print(f"would remove {len(unused)} artefacts, {total}: gc --delete does")
    return 0


def readable_size(size: float) -> str:
    """Bytes in the largest unit that leaves one digit before the point."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _modified(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone().strftime("%Y-%m-%dT%H:%M")


if __name__ == "__main__":
    sys.exit(main())

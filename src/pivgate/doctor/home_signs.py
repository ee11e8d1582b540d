# SPDX-License-Identifier: Apache-2.0
"""Examinations of the home on its disk. Pure."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pivgate.doctor.codes import found
from pivgate.doctor.finding import Finding, Trouble, Unseen
from pivgate.doctor.home_facts import Entry, HomeFacts
from pivgate.enrolment.reserve import NEEDED

# A new revision of the registry, of the Caddyfile and of the log have room in it, many times over.
_LEAST_BYTES: Final = 64 * 1024 * 1024
_LEAST_FILES: Final = 1000
_SHOWN: Final = 3


def settings(facts: HomeFacts) -> Iterator[Finding]:
    """Can the settings be read?"""
    if isinstance(facts.settings, Trouble):
        trouble = facts.settings
        if trouble.kind == "HomeError":
            trouble = Trouble(
                "it is missing", "Restore it from a backup; an empty file means the defaults.", ""
            )
        yield found("settings-damaged", str(facts.home.settings), trouble.message, trouble.hint)


def privacy(facts: HomeFacts) -> Iterator[Finding]:
    """Does the home keep others out, and its secrets by themselves?"""
    if facts.root.mode & (0o066 if facts.is_shared else 0o077) or facts.root.mode & 0o001:
        yield found(
            "home-open-to-others",
            str(facts.home.root),
            f"others than its owner may look into it (mode {stat.S_IMODE(facts.root.mode):04o})",
            f"`chmod 700 {facts.home.root}`; 710 where a service of systemd keeps the gate.",
        )
    secrets = [entry for entry in facts.entries if entry.mode & _forbidden(facts, entry)]
    if secrets:
        yield found(
            "secret-open-to-others",
            _listed(secrets),
            "holds secrets, and others than its owner may read or write it",
            f"`chmod 600 {_words(secrets)}`; if somebody else has accounts here, take what was in it as "
            "known "
            "to them.",
        )
    writable = [
        entry
        for entry in facts.entries
        if entry.mode & 0o022 and entry not in secrets and not _is_link_or_socket(entry)
    ]
    if writable:
        yield found(
            "file-writable-by-others",
            _listed(writable),
            "others than its owner may write it, and with it change who gets in",
            f"`chmod go-w {_words(writable)}`, then look whether anything was changed: `pivgate doctor`.",
        )


def owners(facts: HomeFacts) -> Iterator[Finding | Unseen]:
    """Does everything in the home belong to the home's owner?"""
    strange = [entry for entry in facts.entries if entry.owner != _owner(facts, entry)]
    if strange:
        wanted = _owner(facts, strange[0])
        yield found(
            "wrong-owner",
            _listed(strange),
            f"belongs to user {strange[0].owner}, not to user {wanted}: pivgate was run as another user, and "
            "one of the two cannot read or write it",
            f"`sudo chown -h {wanted} {_words(strange)}`, and always run pivgate as user {facts.root.owner}.",
        )
    if facts.hidden:
        yield Unseen(
            ", ".join(map(str, facts.hidden[:_SHOWN])),
            f"this user may not look into it; run doctor as user {facts.root.owner}",
        )
    if not facts.complete:
        yield Unseen("all files of the home", f"there are more than {len(facts.entries)}")


def way_there(facts: HomeFacts) -> Iterator[Finding]:
    """Can nobody else move the home away and put another in its place, and is its path short enough?"""
    trusted = {0, facts.root.owner}
    for entry in facts.above:
        open_to_all = entry.mode & 0o002 and not entry.mode & stat.S_ISVTX
        if entry.owner not in trusted or open_to_all:
            yield found(
                "folder-above-writable",
                str(entry.path),
                "everybody may rename what is in it, and put another home in the place of this one"
                if open_to_all
                else f"belongs to user {entry.owner}, who may put another home in the place of this one",
                f"`sudo chmod o-w {entry.path}`"
                if open_to_all
                else f"`sudo chown {facts.root.owner} {entry.path}`, or move the home.",
            )
    if facts.path:
        yield found("home-path-too-long", str(facts.home.root), facts.path.message, facts.path.hint)


def room(facts: HomeFacts) -> Iterator[Finding]:
    """Can the home be written, and is there room?"""
    if facts.room.read_only:
        yield found(
            "home-read-only",
            str(facts.home.root),
            "its file system is mounted read-only: nobody can be revoked or admitted",
            "Look why with `dmesg`, then `sudo mount -o remount,rw $(findmnt -no TARGET -T "
            f"{facts.home.root})`. "
            "To shut everybody out meanwhile: `pivgate down`.",
        )
        return
    if facts.room.bytes < _LEAST_BYTES:
        yield found(
            "disk-nearly-full",
            str(facts.home.root),
            f"its disk has {facts.room.bytes // 1024:,} KiB left; on a full one nothing can be granted or "
            "recorded",
            f"Free some space; `du -xh $(findmnt -no TARGET -T {facts.home.root}) | sort -h | tail` shows "
            "where "
            "it went.",
        )
    files = facts.room.files
    if files is not None and files < min(_LEAST_FILES, facts.room.all_files // 20 + 1):
        yield found(
            "inodes-nearly-used-up",
            str(facts.home.root),
            f"its file system can hold {files} more files, and each admission is a file",
            "Remove what is not needed; `df -i` shows the numbers.",
        )


def reserve(facts: HomeFacts) -> Iterator[Finding]:
    """Is there space for taking access away when the disk is full?"""
    if not facts.room.read_only and facts.reserve < NEEDED:
        yield found(
            "reserve-missing",
            str(facts.home.reserve),
            "the space that is kept for taking access away is not there: on a full disk that may fail",
            "Free some space; the next command that changes anything, such as `pivgate up`, keeps it again.",
        )


def lock(facts: HomeFacts) -> Iterator[Finding]:
    """Is another command at work?"""
    if facts.busy:
        yield found(
            "home-busy",
            str(facts.home.lock),
            f"process {facts.busy} holds it: other commands wait, then give up",
            f"`ps -fp {facts.busy}` shows what it does. Wait; if it hangs, `kill {facts.busy}`: the next "
            "command "
            "completes or undoes what it began.",
        )


def _forbidden(facts: HomeFacts, entry: Entry) -> int:
    """Return the permissions that a file must not give because of what is in it."""
    path = entry.path
    if not stat.S_ISREG(entry.mode):
        return 0
    if path.is_relative_to(facts.home.upstreams) and path.name in ("gate.pem", "server.pem"):
        # The gate shows this one to its upstream.
        return 0o037 if facts.is_shared and path.name == "gate.pem" else 0o077
    in_registry = path.parent == facts.home.root and path.name.startswith(facts.home.registry.name)
    return 0o077 if path.suffix == ".key" or in_registry else 0


def _is_link_or_socket(entry: Entry) -> bool:
    return stat.S_ISLNK(entry.mode) or stat.S_ISSOCK(entry.mode)


def _owner(facts: HomeFacts, entry: Entry) -> int:
    written_by_caddy = (facts.home.run, facts.home.caddy_storage)
    return facts.keeper if any(map(entry.path.is_relative_to, written_by_caddy)) else facts.root.owner


def _listed(entries: list[Entry]) -> str:
    more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    return ", ".join(str(entry.path) for entry in entries[:_SHOWN]) + more


def _words(entries: list[Entry]) -> str:
    paths: list[Path] = [entry.path for entry in entries[:_SHOWN]]
    return " ".join(map(str, paths))

"""Where the host gets its Debian packages from: its sources in both formats, as data. Pure.

sources.list(5) knows one-line entries (``deb [options] URI suite components``) and deb822 stanzas (``*.sources``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OTHER_SUITES = ("stable", "testing", "trixie", "bookworm", "sid", "unstable")
_REACHABLE = re.compile(r"(https?|ftp|file|copy)://?")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One archive that the host uses for binary packages. ``signed_by`` is a keyring's path or empty."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrors:
    """URIs of the main archive and of the security archive; ``security`` is empty when the host names none."""

    main: str
    security: str = ""


def parse_one_line(text: str) -> tuple[Source, ...]:
    """``sources.list``: comments, ``deb-src`` and broken lines are left out, as they give us no packages."""
    found = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        if match is None:
            continue
        options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
        found.append(
            Source(
                uri=match["uri"],
                suites=(match["suite"],),
                components=tuple(match["components"].split()),
                signed_by=options.get("signed-by", ""),
            )
        )
    return tuple(found)


def parse_deb822(text: str) -> tuple[Source, ...]:
    """``*.sources``: stanzas separated by empty lines; a disabled one counts as absent."""
    found = []
    for stanza in _stanzas(text):
        if stanza.get("enabled", "yes").lower() in {"no", "false", "0"}:
            continue
        if "deb" not in stanza.get("types", "").split():
            continue
        found += [
            Source(
                uri=uri,
                suites=tuple(stanza.get("suites", "").split()),
                components=tuple(stanza.get("components", "").split()),
                signed_by=stanza.get("signed-by", "").split("\n")[0].strip(),
            )
            for uri in stanza.get("uris", "").split()
        ]
    return tuple(found)


def _stanzas(text: str) -> Iterable[Mapping[str, str]]:
    fields: dict[str, str] = {}
    last = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t" and last:
            fields[last] += "\n" + line.strip()
        elif ":" in line:
            last, value = line.split(":", 1)
            last = last.strip().lower()
            fields[last] = value.strip()


def choose_mirrors(sources: Iterable[Source], codename: str) -> Mirrors | None:
    """The host's Debian archives, None when it names none.

    A source is Debian's when it has the component ``main`` and a suite named like the host's release. Where a third party
    uses the same words, the one signed by Debian's keyring wins, then the one whose address ends in ``/debian``.
    """
    usable = [source for source in sources if "main" in source.components and _REACHABLE.match(source.uri)]
    names = {codename, *OTHER_SUITES}
    main = [source for source in usable if names & set(source.suites)]
    security = [source for source in usable if any(suite.endswith("-security") for suite in source.suites)]
    if not main:
        return None
    return Mirrors(
        main=min(main, key=_strangeness).uri, security=min(security, key=_strangeness).uri if security else ""
    )


def _strangeness(source: Source) -> tuple[bool, bool]:
    foreign_key = bool(source.signed_by) and "debian-archive" not in source.signed_by
    return foreign_key, not re.search(r"/debian(-security)?/?$", source.uri)


def parse_config_dump(text: str) -> tuple[tuple[str, str], ...]:
    """``apt-config dump`` → (name, value) of the settings that say how to reach a mirror: proxies, certificates,
    time-outs, credentials, leniency about dates. What the host does with indexes and caches is not ours."""
    wanted = re.compile(
        r"Acquire::(https?|ftp|socks5h?|Retries|Check-Date|Check-Valid-Until|Max-ValidTime|ForceIPv[46]|Proxy-Auto-Detect)(::|$)"
        r"|Dir::Etc::netrc",
        re.IGNORECASE,
    )
    found = []
    for line in text.splitlines():
        match = re.match(r'^(\S+) "(.*)";$', line)
        if match and match[2] and wanted.match(match[1]):
            found.append((match[1], match[2]))
    return tuple(found)

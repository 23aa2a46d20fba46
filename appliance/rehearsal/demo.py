"""`rackseed demo`: three bare machines boot from us, enrol, are planned, installed and report back.

Everything is the product but the hardware: the network services and the worker are `rackseed serve`, a person's part is
typed as `rackseed` commands, and only the machines are virtual. It succeeds only when every statement at its end is true.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from appliance.rehearsal import lab, prerequisites, scenario
from appliance.rehearsal.appliance_process import Answer, Appliance
from appliance.rehearsal.board import Board, clock, summary
from appliance.rehearsal.description import RackDescription
from appliance.rehearsal.forwarder import Forwarder
from appliance.rehearsal.rack import Rack
from appliance.rehearsal.session import Session, what

BY_RULE = ("n1", "n2")
BY_PERSON = "n3"
ENROL_SECONDS = 1200.0
INSTALL_SECONDS = 3000.0
HTTPS_PORT = 8443


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """``folder`` keeps logs, disks and the appliance's state, and is emptied first; ``keep`` leaves everything running
    at the end until Ctrl-C."""

    folder: Path
    cache: Path
    keep: bool = False


@dataclass(slots=True, kw_only=True)
class Demo:
    """One run. ``wrong`` are the statements that turned out not to be true."""

    session: Session
    foreign: scenario.Foreign
    board: Board
    console: Console
    wrong: list[str] = field(default_factory=list)

    def play(self) -> None:
        """From power-on to the last check."""
        session = self.session
        self.say("The appliance starts in the rack's network; then the machines are switched on.")
        session.appliance.start()
        session.appliance.wait_ready()
        session.rack.power_on()
        self.watch("every machine has enrolled", ENROL_SECONDS, self._enrolled)
        self.say(f"A rule of the site file approved {' and '.join(BY_RULE)}. The console of {BY_PERSON} shows a code:")
        self.typed("machine", "approve", BY_PERSON, "--code", session.code(BY_PERSON))
        self.watch("every machine is ready", ENROL_SECONDS, lambda: session.all_in("ready"))
        self.say("What would be done, with every disk that would be erased:")
        self.typed("plan")
        self.typed("apply", session.newest_plan()[:12], "--no-wait")
        self.watch("every machine is deployed", INSTALL_SECONDS, lambda: session.all_in("deployed"))
        self.say("Every machine has booted from its own disk and reported in.")
        self._check()

    def watch(self, goal: str, timeout: float, reached: Callable[[], bool]) -> None:
        """Show the board until ``reached``."""
        with self.board:
            elapsed = self.session.rack.elapsed
            self.session.until(goal, timeout, reached, tick=lambda: self.board.show(self.session.rows(), elapsed()))

    def say(self, text: str) -> None:
        """A line between the acts."""
        self.console.print(Text.assemble((f"{clock(self.session.rack.elapsed())} ", "bright_black"), (text, "bold")))

    def typed(self, *words: str, check: bool = True) -> Answer:
        """What a person types, with what it prints."""
        self.console.print(Text(f"$ rackseed {shlex.join(words)}", "bold cyan"))
        answer = self.session.appliance.command(*words, check=check)
        self.console.print(Text((answer.output + answer.errors).rstrip()))
        return answer

    def _enrolled(self) -> bool:
        phase = self.session.phase
        return phase(BY_PERSON) == "enrolled" and all(phase(name) in ("inspected", "ready") for name in BY_RULE)

    def _check(self) -> None:
        self.typed("machine", "list")
        again = self.typed("plan", "--check", check=False)
        if again.code != 0:
            self.wrong.append(f"the plan afterwards is not empty (exit code {again.code})")
        disk = self.session.rack.machines[BY_PERSON].files.disks[scenario.FOREIGN_SERIAL]
        if scenario.sha256_of(disk) != self.foreign.sha256:
            self.wrong.append(f"{BY_PERSON}: the disk {scenario.FOREIGN_SERIAL}, which no plan named, was changed")
        self.console.print(
            f"SHA-256 of the foreign disk {scenario.FOREIGN_SERIAL}: {self.foreign.sha256[:16]}… before and after"
        )

    def conclude(self) -> None:
        """The table at the end."""
        session = self.session
        spent = session.rack.cpu_seconds()
        rows = [
            {
                "name": name,
                "what": what(machine.description),
                "approved": "rule" if name in BY_RULE else "person, code",
                "enrolled": session.reached.get((name, "enrolled"), session.reached.get((name, "ready"), 0.0)),
                "deployed": session.reached.get((name, "deployed"), 0.0),
                "cpu": spent[name],
            }
            for name, machine in session.rack.machines.items()
        ]
        total = sum(spent.values()) + session.appliance.cpu_seconds()
        facts = [
            ("in all", f"{clock(session.rack.elapsed())} min, {total:.0f} CPU s"),
            ("appliance", f"{session.appliance.cpu_seconds():.0f} CPU s"),
            ("tried again", ", ".join(session.rack.panics) or "nothing"),
            ("kept in", str(session.rack.folder)),
        ]
        self.console.print(summary(rows, facts))
        for statement in self.wrong:
            self.console.print(Text(f"WRONG: {statement}", "bold red"))


@contextmanager
def stage(
    folder: Path, description: RackDescription, *, cache: Path, by_rule: tuple[str, ...], more: str = ""
) -> Iterator[Session]:
    """A rack with its appliance, nothing switched on; everything is gone at the end but ``folder``. ``more`` are lines of
    the site file."""
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    _, public = lab.make_ssh_key(folder)
    site = folder / "site.yaml"
    site.write_text(scenario.site_text(description, by_rule=by_rule, ssh_key=public, more=more), encoding="utf-8")
    with Rack(description, folder, firmware=lab.firmware_files(cache)) as rack:
        appliance = Appliance(rack.namespace, state=state, cache=cache, site=site, log_file=rack.logs / "appliance.log")
        try:
            yield Session(rack=rack, appliance=appliance)
        finally:
            appliance.stop()


def empty(folder: Path) -> None:
    """Remove what an earlier run left in ``folder``; only names that we make."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("machines", "logs", "state"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("site.yaml", "ssh-key", "foreign.img"):
        (folder / name).unlink(missing_ok=True)


def run_demo(options: DemoOptions, console: Console) -> bool:
    """Play the demo; True when everything was true. Raises `RehearsalError` with what to do."""
    empty(options.folder)
    prerequisites.check(options.folder)
    console.print(Text("Images: what is not in the cache yet is built now.", "bold"))
    lab.build_images(options.cache)
    foreign = scenario.make_foreign_disk(options.folder / "foreign.img")
    with stage(options.folder, scenario.demo_rack(foreign.path), cache=options.cache, by_rule=BY_RULE) as session:
        demo = Demo(session=session, foreign=foreign, board=Board(console), console=console)
        demo.say("The site file:")
        console.print(Syntax(session.appliance.site.read_text(encoding="utf-8"), "yaml", background_color="default"))
        forwarder = Forwarder(session.rack.namespace.name, ("127.0.0.1", HTTPS_PORT))
        token = session.appliance.state / "admin-token"
        console.print(f"Web: https://127.0.0.1:{forwarder.port}/ (token in {token})")
        try:
            demo.play()
            demo.conclude()
            if options.keep:
                _wait_for_person(console)
        finally:
            forwarder.close()
    return not demo.wrong


def _wait_for_person(console: Console) -> None:
    console.print(Text("Everything is left running. Ctrl-C ends it.", "bold"))
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return

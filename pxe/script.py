"""iPXE scripts as text: what a machine runs once its iPXE can fetch HTTP. Pure.

Every path ends: a file that can't be loaded is named on the console with iPXE's error, tried again a few times, then the
whole script is asked anew (the decision may have changed), and after that the machine is rebooted. Nothing waits for a key.
Commands and settings: ipxe.org/cmd and ipxe.org/cfg. They exist in Debian 13's build and in QEMU's ROM.
"""

from __future__ import annotations

from urllib.parse import quote

from pxe.ports import Action, Decision, Kernel

#: Settings that the chain script passes on: query name and iPXE setting. ``uristring`` percent-encodes.
ASKED = (
    ("mac", "${mac}"),
    ("uuid", "${uuid}"),
    ("serial", "${serial:uristring}"),
    ("asset", "${asset:uristring}"),
    ("manufacturer", "${manufacturer:uristring}"),
    ("product", "${product:uristring}"),
    ("arch", "${buildarch:uristring}"),
    ("platform", "${platform:uristring}"),
)
TRIES = 5
PAUSE_SECONDS = 5
REBOOT_AFTER_SECONDS = 30


def chain(base_url: str) -> str:
    """``autoexec.ipxe``: ask ``<base_url>/boot/script.ipxe`` who we are. ``base_url`` has no trailing slash.

    The same text is served over TFTP, where UEFI builds look for it beside themselves, and over HTTP, where DHCP points.
    """
    query = "&".join(f"{name}={setting}" for name, setting in ASKED)
    url = f"{base_url}/boot/script.ipxe?{query}"
    return "\n".join(
        [
            "#!ipxe",
            "echo rackseed: asking for the boot script of ${mac} ${serial}",
            "set tries:int32 0",
            ":ask",
            # --replace: an exit of the boot script must leave iPXE, not come back here as a failure.
            f"chain --replace --autofree {url} || set failure ${{errno:hexraw}}",
            # Beside the loader (UEFI PXE) this script runs with the firmware's lease but a closed port: "network
            # unreachable" at once. iPXE's own DHCP opens the port that answers.
            "iseq ${tries} 0 && dhcp && inc tries && goto ask ||",
            *_failure(f"no boot script from {base_url}", again="ask", error="${failure}"),
            "",
        ]
    )


def render(decision: Decision, *, again: str) -> str:
    """The boot script for a decision. ``again`` is the absolute URL that the script asks when it shall ask anew."""
    head = ["#!ipxe", f"# machine={_plain(decision.machine) or '-'} action={decision.action}"]
    head.append(f"echo rackseed: {_plain(decision.reason)}")
    if decision.action is Action.LOCAL:
        return "\n".join([*head, *_local(decision, again), ""])
    if decision.kernel is not None and decision.action in (Action.SCRIPT, Action.LOADER):
        return "\n".join([*head, *_start(decision.kernel, again), ""])
    return "\n".join([*head, *_nothing(decision, again), ""])


def _start(kernel: Kernel, again: str) -> list[str]:
    arguments = " ".join(_plain(argument) for argument in kernel.arguments)
    lines = [
        "set tries:int32 0",
        ":start",
        "imgfree",
        # A kernel that is started through the EFI stub finds the initrds under this name; elsewhere it means nothing.
        "set magic:string",
        "iseq ${platform} efi && set magic:string initrd=initrd.magic ||",
        f"kernel --name kernel {_url(kernel.kernel)} ${{magic}} {arguments}".rstrip() + " || goto failed",
    ]
    lines += [f"initrd {_url(initrd)} || goto failed" for initrd in kernel.initrds]
    lines += [
        "boot || goto failed",
        ":failed",
        *_failure(f"could not start {kernel.kernel}", again="start", anew=again),
    ]
    return lines


def _local(decision: Decision, again: str) -> list[str]:
    """UEFI: a boot option that ends with an error makes the firmware go on to the next one; one that ends well brings up
    its menu (UEFI 2.10 §3.1.1). BIOS: back to the BIOS, or int 13h drive 0x80 where the BIOS forgets to go on."""
    lines = ["iseq ${platform} efi && goto uefi || goto bios", ":uefi", "exit 1", ":bios"]
    if decision.local_method == "sanboot":
        lines += [
            "set tries:int32 0",
            ":disk",
            "sanboot --no-describe --drive 0x80 || goto failed",
            ":failed",
            *_failure("the local disk did not boot", again="disk", anew=again),
        ]
    else:
        lines.append("exit 0")
    return lines


def _nothing(decision: Decision, again: str) -> list[str]:
    if decision.retry <= 0:
        return ["exit 1"]
    return [
        f"echo rackseed: asking again in {decision.retry} s",
        f"sleep {decision.retry}",
        f"chain --replace --autofree {_url(again)} ||",
        f"echo rackseed: no answer (ipxe.org/${{errno:hexraw}}); rebooting in {REBOOT_AFTER_SECONDS} s",
        f"sleep {REBOOT_AFTER_SECONDS}",
        "reboot",
    ]


def _failure(what: str, *, again: str, anew: str = "", error: str = "${errno:hexraw}") -> list[str]:
    """Say what failed, try ``again`` (a label) a few times, then ``anew`` (a URL) once, then reboot."""
    lines = [
        f"echo rackseed: {_plain(what)} (ipxe.org/{error})",
        "inc tries",
        f"iseq ${{tries}} {TRIES} && goto enough ||",
        f"echo rackseed: trying again in {PAUSE_SECONDS} s",
        f"sleep {PAUSE_SECONDS}",
        f"goto {again}",
        ":enough",
    ]
    if anew:
        lines.append(f"chain --replace --autofree {_url(anew)} ||")
    return [
        *lines,
        f"echo rackseed: giving up; rebooting in {REBOOT_AFTER_SECONDS} s",
        f"sleep {REBOOT_AFTER_SECONDS}",
        "reboot",
    ]


def _plain(text: str) -> str:
    """One line that iPXE takes as text: no control characters, nothing that expands, no separators of commands."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line.replace("${", "$ {").replace("||", "| |").replace("&&", "& &").strip()


def _url(url: str) -> str:
    """A URL in a script; white space and what could expand are encoded."""
    return quote(url, safe=":/?&=%~+,;@!*'()-._[]#")

"""The `podwire` command: its subcommands, and the boundary where errors become messages."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from podwire import __version__
from podwire.model.errors import PodwireError

# Each command, and what its module calls it, where that is not the command's own name.
COMMANDS = {
    "agent": "agent",
    "cni": "cni",
    "doctor": "doctor",
    "down": "down",
    "draw": "draw_figure",
    "env": "env",
    "events": "events",
    "explain": "explain",
    "ipam": "ipam",
    "node": "node",
    "plan": "plan",
    "replay": "replay",
    "snapshot": "snapshot",
    "status": "status",
    "support-bundle": "support_bundle",
    "trace": "trace_command",
    "ui": "ui",
    "up": "up",
}


class _Commands(click.Group):
    """The commands of COMMANDS, each read when it is asked for: all of them take 0.3 s."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"podwire.cli.{cmd_name.replace('-', '_')}")
        command = getattr(module, COMMANDS[cmd_name])
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__)
def cli() -> None:
    """AKS networking made real on one Linux machine.

    \b
    podwire up            a local VNet and a real Kubernetes cluster on it, as AKS wires them
    podwire status        every node, component, pid, restart and address in use
    podwire events        what the lab is doing, as it does it
    podwire node shell N  a root shell on a node: brctl, route, nsenter, docker, crictl
    podwire down          removes all of it
    podwire snapshot      all that decides on packets, as one JSON document
    podwire draw FIGURE   how pods, services and addresses are wired, as a picture
    podwire explain A B   the way of a packet from A to B, and who is to blame when it fails
    podwire trace A B     one real packet from A to B, seen at every hop
    podwire ui            a page that shows the wiring live
    podwire doctor        what is wrong, why, and the command that mends it
    podwire support-bundle  snapshot, logs and findings in one file to send, secrets removed
    podwire replay        how a pod got its network, line by line of the plugin's log
    podwire plan          how many addresses a cluster takes, and what AKS would refuse
    """


def main() -> None:
    """Run the command. Exit status 0, 1 for what went wrong, 2 for wrong usage."""
    try:
        cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "interrupted; the lab goes on with what it was doing (`podwire status`)", err=True
        )
        sys.exit(130)
    except PodwireError as error:
        click.echo(f"podwire: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

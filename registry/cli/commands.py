"""The Typer app with `init`, `up`, `down`, `registry serve | deliver | seal | rewrap | issue`, `trust` and `log fsck`. What they do is in the modules beside this one.

Loaded for every `imprimatur` command, so the service itself is imported by the command that needs it.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from registry.cli.authority_commands import authorities
from registry.cli.options import Directory, say, server_extra
from registry.cli.trust_commands import trust
from sdk.errors import ConfigurationError, VerificationError
from sdk.spec.ids import PrincipalId
from sdk.spec.policy import Role

commands = typer.Typer()
_registry = typer.Typer(no_args_is_help=True, help="Run the registry's service.")
commands.add_typer(_registry, name="registry")
_log = typer.Typer(no_args_is_help=True, help="Look after the registry's audit log, on the registry's side.")
commands.add_typer(_log, name="log")
trust.add_typer(authorities)
commands.add_typer(trust, name="trust")


@commands.command()
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that is empty or not there.", show_default=False)
    ],
    tenant: Annotated[str, typer.Option(help="The organisation whose concepts will live here.")] = "demo",
    base_model: Annotated[
        Path | None,
        typer.Option(help="A local Stable Diffusion folder in the diffusers layout. \\[default: the one that ships]"),
    ] = None,
    host: Annotated[str, typer.Option(help="Where both services listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The registry's port.", min=1, max=65535)] = 8700,
    trainer_port: Annotated[int, typer.Option(help="The trainer's port.", min=1, max=65535)] = 8701,
    database_url: Annotated[
        str, typer.Option(help="A PostgreSQL of your own, postgresql://... \\[default: one embedded in DIR]")
    ] = "",
) -> None:
    """Make a workspace: keys, trust root, database, and a profile for each role. Overwrites nothing."""
    with server_extra():
        from registry.cli.init import Plan, create_workspace
        from registry.cli.workspace import Address
        from sdk.spec.ids import TenantName
    if port == trainer_port:
        raise ConfigurationError(f"registry and trainer cannot both listen on port {port}; give --trainer-port")
    plan = Plan(
        tenant=TenantName(tenant),
        registry=Address(host=_host(host), port=port),
        trainer=Address(host=_host(host), port=trainer_port),
        base_model=base_model,
        database_url=database_url,
    )
    workspace = create_workspace(directory, plan)
    typer.echo(f"workspace {workspace.root} is ready: profiles in {workspace.profiles}")
    typer.echo(f"start it with: imprimatur up {directory}")


@commands.command()
def up(
    directory: Directory,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything answers; go on running.")] = False,
) -> None:
    """Start database, registry, trainer and worker; Ctrl-C stops them all."""
    with server_extra():
        from registry.cli import supervisor
        from registry.cli.workspace import open_workspace
    run = supervisor.up_detached if detach else supervisor.up
    run(open_workspace(directory), say)


@commands.command()
def down(directory: Directory) -> None:
    """Stop what 'imprimatur up --detach' started, and whatever a killed 'up' left running."""
    with server_extra():
        from registry.cli import supervisor
        from registry.cli.workspace import open_workspace
    supervisor.down(open_workspace(directory), say)


@_log.command()
def fsck(directory: Directory) -> None:
    """Check everything that is stored against the log: entries, hashes, rows, keys and files. Changes nothing."""
    with server_extra():
        from registry.cli.fsck import fsck_workspace
        from registry.cli.workspace import open_workspace
    report = fsck_workspace(open_workspace(directory), lambda part: say(f"checking {part}"))
    say(f"not looked into: {', '.join(report.unchecked)}")
    for finding in report.findings:
        say(f"finding: {finding}")
    if report.findings:
        raise VerificationError(f"{len(report.findings)} findings; stop, keep everything, and compare with a backup")
    say(f"{report.entries} entries, and everything that stands beside them, agree")


@_registry.command()
def serve(
    directory: Directory,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that serve the port. \\[default: workers in imprimatur.toml, or 1]",
            min=1,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve the registry alone; 'imprimatur up' starts everything."""
    with server_extra():
        from registry.cli.serving import serve as serve_registry
        from registry.cli.workspace import open_workspace
    serve_registry(open_workspace(directory), workers)


@_registry.command()
def seal(directory: Directory) -> None:
    """Encrypt what a workspace from before artefacts were sealed still stores in the open. Safe to run again."""
    with server_extra():
        from registry.cli.seal import seal_workspace
        from registry.cli.workspace import open_workspace
    count = seal_workspace(open_workspace(directory))
    say(f"sealed {count} version{'' if count == 1 else 's'}; nothing in {directory}/blobs lies open")


@_registry.command()
def rewrap(
    directory: Directory,
    new: Annotated[
        str,
        typer.Argument(metavar="KEY", help="The new key-encryption key: a file, made if it is not there, or hv:KEY."),
    ],
) -> None:
    """Wrap every key of the vault by another key-encryption key. The registry must be down; safe to run again."""
    with server_extra():
        from registry.cli.rewrap import rewrap_workspace
        from registry.cli.workspace import open_workspace
    count = rewrap_workspace(open_workspace(directory), new)
    say(f'wrapped {count} keys; now set key_encryption_key = "{new}" under [registry] in imprimatur.toml')


def _host(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as exc:
        raise ConfigurationError(f"--host should be an IPv4 address such as 127.0.0.1, found {text!r}") from exc


@_registry.command()
def deliver(directory: Directory) -> None:
    """Deliver webhooks alone; 'imprimatur up' starts everything."""
    with server_extra():
        from registry.cli.serving import deliver_webhooks
        from registry.cli.workspace import open_workspace
    deliver_webhooks(open_workspace(directory))


@_registry.command("issue")
def issue_credential(
    directory: Directory,
    principal: Annotated[str, typer.Argument(help="Whom it is for, such as demo/admin.", metavar="TENANT/NAME")],
    role: Annotated[list[Role], typer.Option(help="What the holder may be; give it several times for several.")],
) -> None:
    """Issue a credential as whoever runs the registry: for a tenant's first administrator, or when all are lost."""
    with server_extra():
        from registry.cli.serving import issue_as_operator
        from registry.cli.workspace import open_workspace
    issued = issue_as_operator(open_workspace(directory), PrincipalId(principal), frozenset(role))
    say(f"{issued.text}\nfor {principal} until {issued.row.expires_at:%Y-%m-%d}; {issued.digest}")

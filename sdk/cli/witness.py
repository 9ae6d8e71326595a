"""`imprimatur witness`: a small witness to run elsewhere, away from the registry and by other people. Over http.server.

DIR/witness.pem     its key, 0600; DIR/name its name; DIR/*.note what it has seen
"""

from __future__ import annotations

from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Final

import typer

from sdk.cli.connection import read_file, say
from sdk.errors import ConfigurationError, ImprimaturError
from sdk.signing.cosign import cosigner_key
from sdk.signing.signer import generate_key_file, load_key_file
from sdk.spec.log_policy import parse_log_policy
from sdk.spec.note_keys import parse_note_key
from sdk.witness import MAX_REQUEST_BYTES, Witness, WitnessAnswer, locked

REQUEST_SECONDS: Final = 10  # seconds a client may take to send its request
commands = typer.Typer()
_witness = typer.Typer(no_args_is_help=True, help="Witness the logs of registries: cosign what was never rewritten.")
commands.add_typer(_witness, name="witness")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The witness's folder: its key and what it has seen.", show_default=False)
]


@_witness.command("init")
def make_witness(
    directory: Folder,
    name: Annotated[str, typer.Option(help="Its name for ever, such as witness.example.com/imprimatur.")],
) -> None:
    """Make a witness's key and print its verifier key, for the log policies of registries and clients."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    signer = generate_key_file(directory / "witness.pem")
    key = parse_note_key(str(cosigner_key(name, signer.public_key)))  # a name that no note can carry is refused here
    (directory / "name").write_text(key.name + "\n", encoding="utf-8")
    say(str(key))


@_witness.command("serve")
def serve(
    directory: Folder,
    logs: Annotated[
        Path, typer.Option(help="A tlog-policy file; its log lines are the logs to witness.", show_default=False)
    ],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8710,
) -> None:
    """Serve add-checkpoint (C2SP tlog-witness) until stopped. Put TLS before it."""
    policy = parse_log_policy(read_file(logs, "log policy"))
    if not policy.logs:
        raise ConfigurationError(f"{logs} names no log to witness; add a line 'log <verifier key>'")
    name = read_file(directory / "name", "witness").decode().strip()
    signer = load_key_file(directory / "witness.pem")
    with locked(directory):
        witness = Witness(name=name, signer=signer, policy=policy, folder=directory, clock=lambda: datetime.now(UTC))
        for party in policy.logs:
            witness.newest(party.key.name)  # what cannot be read is told now
        with make_server(witness, host, port) as server:
            typer.echo(f"witness {name} listens on http://{host}:{server.server_port}")
            server.serve_forever()


def make_server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """An HTTP server that answers POST /add-checkpoint, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > MAX_REQUEST_BYTES:
                self.close_connection = True
                return self._answer(
                    WitnessAnswer(status=413, body=b"the request is too long, or does not say how long\n")
                )
            body = self.rfile.read(int(length))
            if self.path != "/add-checkpoint":
                return self._answer(WitnessAnswer(status=404, body=b"POST /add-checkpoint, C2SP tlog-witness\n"))
            return self._answer(_answer(witness, body))

        def _answer(self, answer: WitnessAnswer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: what was cosigned is in the folder."""

    return ThreadingHTTPServer((host, port), Handler)


def _answer(witness: Witness, body: bytes) -> WitnessAnswer:
    try:
        return witness.add_checkpoint(body)
    except (ImprimaturError, OSError) as exc:
        return WitnessAnswer(status=500, body=f"{exc}\n".encode())

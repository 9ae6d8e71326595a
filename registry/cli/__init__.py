"""The registry's commands: `imprimatur init`, `up`, `down`, and `registry serve`.

commands      the Typer app that `sdk.cli` mounts; trust_commands, authority_commands, options: its parts
workspace     where everything in a workspace folder lies
init          making a workspace: keys, trust root, database, credentials, profiles
supervisor    `up` and `down`: the database and the processes that make a running Imprimatur
process       starting one child process, and ending it
serving       the real runtime, and the process that serves it
trust         the trust root of a workspace: showing it, signing the next one
authorities   who vouches for images: in the trust root, and as signing certificates
distribution  the TUF repository of a workspace
postgres      the embedded PostgreSQL
"""

from registry.cli.commands import commands

__all__ = ["commands"]

"""The one command, `imprimatur`. One file a journey; the services add theirs through entry points.

application   what there is: our commands and those of installed services
connection    options and outputs that every command shares
account       whoami
records       concept, licence
consent       consent give, list, receipt, withdraw, confirm, refuse, reinstate
consent_text  how a consent receipt reads
subject       subject bind, release, list, event
train         train
review        show, approve, reject, revoke
reviews       review queue, request, assign, comment, comments
renewal       renewal ask, list, show, approve, reject
break_glass   break-glass sign, open, list
version_text  how a version reads
alias         alias set, list, history, remove
compose       compose
variants      variants
canvas        --size and --place, which both share
usage         usage
accounting    the options that usage, ledger and royalties share
ledger        ledger: refused attempts
royalties     royalties report, export, verify, compute, statement
identify      identify
explain       explain
reminders     reminders
export        export key, model-signing, oci
policy        policy show, why, joint, test, diff, replay, recheck
policy_text   how findings, changes and replays read
audit         audit log, verify, generations, royalties
outside       what audit verify does for somebody who has public keys and tiles
recall        notices, acknowledge; audit blast-radius
recall_text   how a blast-radius report reads
credential    credential issue, list, rotate, revoke
webhook       webhook create, list, deliveries, replay, end
erase         erase
receipt       receipt get, verify, key
witness       witness init, serve

$ imprimatur --help
"""

from sdk.cli.application import application, main

__all__ = ["application", "main"]

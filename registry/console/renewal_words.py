"""What the pages say about renewals, in English and Japanese; part of the catalogue in `words`."""
# ruff: noqa: RUF001 - full-width punctuation is how Japanese is written

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RENEWAL_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "renewal.title": ("Renewal: other terms for this version", "更新：このバージョンの別の条件"),
    "renewal.waits": (
        "Other terms wait for reviewers. Until they are approved, those below go on to hold.",
        "別の条件が審査待ちです。承認されるまでは、下の条件が引き続き有効です。",
    ),
    "renewal.from": ("They hold from {when} on.", "{when} から有効になります。"),
    "renewal.ask": ("Ask for other terms", "別の条件を申請する"),
    "renewal.ask-about": (
        "The version is not trained again. Name every consent and licence under which it is to stand, those that stay as well.",
        "再学習はしません。継続するものも含め、根拠となるすべての同意とライセンスを指定してください。",
    ),
    "renewal.consents": ("Consents", "同意"),
    "renewal.licences": ("Licences", "ライセンス"),
    "renewal.approve": ("Approve these terms", "この条件を承認する"),
    "renewal.reject": ("Reject these terms", "この条件を却下する"),
    "renewal.round": ("Renewal", "更新"),
    "renewal.rounds": ("Renewals", "更新の履歴"),
    "renewal.since": ("Holds from", "有効になる日時"),
    "renewal.queue": ("Renewals that wait for reviewers", "審査待ちの更新"),
    "renewal-status.waiting": ("waits for reviewers", "審査待ち"),
    "renewal-status.approved": ("approved", "承認済み"),
    "renewal-status.rejected": ("rejected", "却下"),
    "renewal-status.replaced": ("replaced by another", "別の申請に置き換え"),
    "renewal-status.lapsed": ("the version ended first", "バージョンが先に終了"),
    "denied-act.renew": ("approve other terms for a version", "バージョンの別の条件の承認"),
    "denied-act.reject_renewal": ("reject other terms for a version", "バージョンの別の条件の却下"),
}

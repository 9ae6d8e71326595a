"""What a printed statement says, in English and Japanese."""
# ruff: noqa: RUF001 - full-width punctuation is how Japanese is written

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class StatementLanguage(StrEnum):
    """A language of printed statements, by its BCP 47 tag."""

    ENGLISH = "en"
    JAPANESE = "ja"


WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Royalty statement", "使用料計算書"),
    "payee": ("Payee", "支払先"),
    "rights-holder": ("Rights holder", "権利者"),
    "licensee": ("Licensee", "利用者"),
    "licence": ("Licence", "ライセンス"),
    "covers": ("Concepts", "コンセプト"),
    "span": ("Period of account", "計算期間"),
    "from-to": ("{first} to {last}", "{first} ～ {last}"),
    "beginning": ("the beginning of the licence", "ライセンスの開始"),
    "made": ("Made on", "作成日"),
    "terms": ("Royalty terms", "使用料の条件"),
    "per-image": ("{currency} {amount} per image", "1 枚につき {currency} {amount}"),
    "of-fee": ("{percent} % of the fee stated", "申告された料金の {percent} %"),
    "minimum": ("at least {currency} {amount} per {period}", "最低保証 {currency} {amount}（{period}）"),
    "period.month": ("month", "月ごと"),
    "period.quarter": ("quarter", "四半期ごと"),
    "period.year": ("year", "年ごと"),
    "period.term": ("term", "期間全体"),
    "due": ("Due", "支払額"),
    "total": ("Total due", "支払総額"),
    "head.period": ("Period / versions used", "期間／使用バージョン"),
    "head.uses": ("Uses", "回数"),
    "head.images": ("Images", "画像数"),
    "head.fees": ("Fees stated", "申告料金"),
    "head.earned": ("Earned", "発生額"),
    "head.guaranteed": ("Guaranteed", "最低保証"),
    "head.due": ("Due", "支払額"),
    "in-part": ("in part", "一部"),
    "in-part-note": (
        "A period marked 'in part' is not wholly in this account; its minimum guarantee is due in the account that covers all of it.",
        "「一部」の期間は、この計算書に全体が含まれていません。最低保証は、全体を含む計算書で計上されます。",
    ),
    "unused": ("no use", "利用なし"),
    "open": (
        "{uses} further generations ({images} images granted) have no recorded result. They earn nothing unless one is recorded.",
        "結果が記録されていない生成がほかに {uses} 件（許可された画像 {images} 枚）あります。記録されない限り使用料は発生しません。",
    ),
    "unstated": (
        "For {uses} uses no fee was stated in {currency}, though a share of it is owed.",
        "{uses} 件の利用では、{currency} での料金が申告されていません（料金に応じた使用料の対象です）。",
    ),
    "rounding": (
        "Lines are exact. Each period is rounded once to the minor unit of {currency}, half to even (ISO 4217).",
        "明細は端数処理をしていません。期間ごとに一度だけ {currency} の最小単位へ、偶数丸めで端数処理します（ISO 4217）。",
    ),
    "check": ("How to compute this again", "検算の方法"),
    "check-text": (
        (
            "Every use counted here has a receipt in the ledger named below: the entries of a public, append-only log that permitted and "
            "recorded it, and the application's own signature over the number of images. With that file and the trust root, anybody "
            "computes the same figures, and finds receipts that are missing, without asking the licensee:"
        ),
        (
            "この計算書のすべての利用には、下記の台帳に受領記録があります。許可と結果を記録した公開の追記専用ログの項目と、画像数に対する"
            "アプリケーション自身の署名です。台帳とトラストルートがあれば、利用者に尋ねることなく、誰でも同じ数値を計算し、欠けた記録を見つけられます。"
        ),
    ),
    "ledger": ("Ledger (SHA-256)", "台帳（SHA-256）"),
    "receipts": ("Receipts counted", "計上した受領記録"),
    "log": ("Log", "ログ"),
    "log-at": ("{origin}, {size} entries", "{origin}、{size} 件"),
    "root": ("Root hash", "ルートハッシュ"),
    "terms-digest": ("Licence terms", "ライセンス条件"),
    "page": ("Page {page} of {pages}", "{page} / {pages} ページ"),
}


def say(key: str, language: StatementLanguage, **filled: object) -> str:
    """The words for `key`."""
    english, japanese = WORDS[key]
    return (japanese if language is StatementLanguage.JAPANESE else english).format(**filled)

"""What the pages about origins and explanations say, in English and Japanese; part of the catalogue in `words`."""
# ruff: noqa: RUF001 - full-width punctuation is how Japanese is written

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ORIGIN_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "nav.origins": ("Find an origin", "画像の照会"),
    "origins.title": ("Where does this picture come from?", "この画像はどこから来たのか"),
    "origins.about": (
        "The picture is looked at here and forgotten: neither it nor what is found is stored. A copy is enough: cropped, scaled, recompressed, or a screenshot.",
        "画像はここで調べるだけで、画像も結果も保存しません。切り抜き、拡大縮小、再圧縮、スクリーンショットなどの複製でもかまいません。",
    ),
    "origins.picture": ("Picture", "画像"),
    "origins.find": ("Look it up", "照会する"),
    "origins.asked": ("The picture you sent", "送信した画像"),
    "origins.credentials": ("What the file says of itself", "ファイル自身の記載（Content Credentials）"),
    "origins.none": ("It carries no Content Credentials.", "Content Credentials は付いていません。"),
    "origins.elsewhere": (
        "It says that they are at this address, which was not asked:",
        "次の場所にあると記載されていますが、照会していません。",
    ),
    "origins.broken": (
        "Its Content Credentials are broken or forged; do not believe them.",
        "Content Credentials が壊れているか偽造されています。信用しないでください。",
    ),
    "origins.signer": ("Signed by", "署名者"),
    "origins.made-with": ("Made with", "使われたもの"),
    "origins.carries": ("Carries those of", "引き継いだ来歴"),
    "origins.failures": ("Faults", "検証の失敗"),
    "belief.Trusted": (
        "signed by an authority of the trust root, and unchanged",
        "信頼できる認証局による署名で、改変はありません",
    ),
    "belief.Valid": (
        "unchanged, but whoever signed is nobody that the trust root names",
        "改変はありませんが、署名者は信頼の一覧にありません",
    ),
    "belief.Invalid": (
        "changed or wrongly signed; do not believe what they say",
        "改変されたか署名が正しくありません。記載を信用しないでください",
    ),
    "origins.matches": ("What is on record", "記録との照合"),
    "origins.unknown": (
        "No image on record that you may see is this picture or looks like it.",
        "閲覧できる記録の中に、この画像や似た画像はありません。",
    ),
    "origins.distance": ("{bits} of 256 bits differ.", "256 ビット中 {bits} ビットが異なります。"),
    "confidence.certain": ("Certain.", "確実。"),
    "confidence.strong": ("Confidence: strong.", "確度：高。"),
    "confidence.fair": ("Confidence: fair.", "確度：中。"),
    "confidence.weak": ("Confidence: weak.", "確度：低。"),
    "origins.lead": (
        "A lead, not a proof: compare the pictures.",
        "手がかりであって証明ではありません。画像を見比べてください。",
    ),
    "likeness.file": ("The very file that was recorded", "記録されたファイルそのもの"),
    "likeness.watermark": ("The same watermark", "同じ電子透かし"),
    "likeness.likeness": ("Looks like it", "見た目が似ている"),
    "contract.title": ("Under which approvals and terms", "承認と条件"),
    "contract.manifest": ("Manifest", "マニフェスト"),
    "contract.approved-by": ("Approved by", "承認者"),
    "explanation.title": ("Why {id} looks as it does", "{id} がこの見た目になった理由"),
    "explanation.record": ("the record", "記録を見る"),
    "explanation.where": ("Where the pictures attended to each concept", "各コンセプトが画像のどこに注目されたか"),
    "explanation.how": (
        "Clear: where, while it was drawn, the network looked at this concept rather than at other words of the scene. It says where the network looked, and is no proof of what caused a pixel.",
        "明るい所ほど、描画中にネットワークがほかの語よりこのコンセプトに注目していました。注目した場所を示すもので、画素の原因の証明ではありません。",
    ),
    "explanation.picture": ("The picture", "画像"),
    "explanation.other": ("other words", "そのほかの語"),
    "explanation.map": ("Where it attended to {name}", "{name} に注目した場所"),
    "explanation.ask": ("What its pictures attended to", "画像が何に注目したか"),
    "explanation.kept": (
        "The application kept it beside the images ({digest}). Choose that file, and the images if you have them; they are looked at here and forgotten.",
        "アプリケーションが画像とともに保管しています（{digest}）。そのファイルと、あれば画像を選んでください。ここで表示するだけで保存しません。",
    ),
    "explanation.file": ("Attention (JSON)", "注目の記録（JSON）"),
    "explanation.images": ("Images", "画像"),
    "explanation.show": ("Show", "表示する"),
}

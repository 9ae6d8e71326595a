"""The quality report as one self-contained HTML page: inline pictures and plots, no script, nothing fetched."""

from __future__ import annotations

from html import escape
from typing import Any

from trainer.em.state import RoundRecord
from trainer.quality.plots import LABEL_COLOURS, heat_table, line_plot, overlay, picture_uri, smoothed
from trainer.quality.report import QualityReport, SampleSet

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse}td,th{padding:.25rem .6rem;text-align:left;vertical-align:top}
img{width:128px;height:128px;border-radius:4px}figure{display:inline-block;vertical-align:top;margin:.3rem;width:128px}
dt{font-weight:600}dd{margin:0 0 .4rem}
figcaption{font-size:.75rem;color:#555;overflow-wrap:anywhere}.warn{background:#fff4d6;padding:.5rem .8rem;border-radius:4px}
.key{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin:0 .3em 0 1em}
"""

_COLUMNS = {
    "name": "concept",
    "kind": "kind",
    "class_word": "class word",
    "placeholder_token": "token",
    "vectors": "vectors",
    "mask_area": "mask",
    "attention_kept": "attention kept in its mask",
    "identity": "identity similarity",
    "identity_floor": "likeness to the other concepts",
    "prompt": "prompt similarity",
}

_MEANINGS = {
    "mask_area": "Share of each picture that its mask takes, smallest to largest.",
    "attention_kept": "Of the attention that its token gets in the training pictures, the share inside its own mask. 1 is all.",
    "identity": """How alike the samples below and the concept, as its masks cut it out of the training pictures, are to an image
encoder: mean cosine, at most 1. What counts is how far it is above the likeness to the other concepts.""",
    "identity_floor": "The same with the other concepts' cut-outs: what is alike in any case.",
    "prompt": """How well the samples fit their prompts, with the class word in the token's place: mean cosine. It falls when a token
draws what surrounded the concept instead of what it is asked for.""",
}


def render_page(report: QualityReport) -> str:
    """The page as text, UTF-8 when written."""
    sections = (
        _summary(report),
        _concepts(report.values),
        _masks(report),
        _curves(report.values),
        _leakage(report.values),
        _samples(report),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Quality report</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>"
    )


def _summary(report: QualityReport) -> str:
    values = report.values
    names = ", ".join(escape(concept["name"]) for concept in values["concepts"])
    parts = values["seconds_by_part"]
    ended = "converged" if values["converged"] else "used all its rounds"
    warnings = "".join(f'<p class="warn">{escape(text)}</p>' for text in values["warnings"])
    missing = "".join(f"<p>Not measured: {escape(text)}.</p>" for text in values["not_measured"])
    return (
        f"<h1>Quality report: {names}</h1><p>{values['rounds']} rounds, {values['steps']} updates: "
        f"{parts['m_step']:.0f} seconds of learning tokens, {parts['e_step']:.0f} of finding masks. "
        f"The training {ended}. Base model <code>{escape(values['base_model'])}</code>.</p>"
        f"{warnings}{missing}"
    )


def _concepts(values: dict[str, Any]) -> str:
    shown = [key for key in _COLUMNS if any(key in concept for concept in values["concepts"])]
    head = "".join(f"<th>{_COLUMNS[key]}</th>" for key in shown)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(concept.get(key, ''))}</td>" for key in shown) + "</tr>"
        for concept in values["concepts"]
    )
    meanings = "".join(f"<dt>{_COLUMNS[key]}</dt><dd>{_MEANINGS[key]}</dd>" for key in shown if key in _MEANINGS)
    return f"<h2>Concepts</h2><table><tr>{head}</tr>{body}</table><dl>{meanings}</dl>"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return f"{100 * min(value.values()):.0f} to {100 * max(value.values()):.0f} %"
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _masks(report: QualityReport) -> str:
    scene, history = report.scene, report.state.history
    key = "".join(
        f'<span class="key" style="background:{LABEL_COLOURS[i % len(LABEL_COLOURS)]}"></span>{escape(name)}'
        for i, name in enumerate(scene.labels)
    )
    rows = []
    for index, picture in enumerate(scene.pictures):
        figures = [_figure(picture_uri(picture.pixels), picture.name)]
        figures += [
            _figure(picture_uri(overlay(picture.pixels, masks[index])), _mask_caption(record, index))
            for masks, record in zip(history, report.state.records, strict=True)
        ]
        rows.append(f"<div>{''.join(figures)}</div>")
    return f"<h2>Masks, round by round</h2><p>{key}</p>{''.join(rows)}"


def _mask_caption(record: RoundRecord, picture: int) -> str:
    """Which round, and that the round before stands where the guards refused what it found."""
    name = f"round {record.round}" if record.round else "class words"
    reasons = sorted({verdict.reason for verdict in record.verdicts if verdict.picture == picture and verdict.reason})
    kept = "the mask before" if record.round else "no mask"
    return f"{name}: {kept}, the new one was refused ({', '.join(reasons)})" if reasons else name


def _figure(uri: str, caption: str) -> str:
    return f'<figure><img src="{uri}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _curves(values: dict[str, Any]) -> str:
    history = values["history"]
    losses = [loss for record in history for loss in record["losses"]]
    loss = line_plot(
        {"each update": losses, "mean of 20": smoothed(losses, 20)}, title="Loss of the updates", x_label="update"
    )
    evaluation = line_plot(
        {"evaluation": [record["evaluation_loss"] for record in history]},
        title="Loss on the fixed evaluation batch",
        x_label="round",
    )
    overlap = line_plot(
        {"mean overlap": [record["mask_iou"] for record in history[1:]]},
        title="Masks: overlap with the round before",
        x_label="round",
        first=1,
        y_range=(0.0, 1.0),
    )
    return f"<h2>Training</h2>{loss}{evaluation}{overlap}"


def _leakage(values: dict[str, Any]) -> str:
    return (
        "<h2>Leakage</h2><p>Where each token's attention falls in the training pictures; the diagonal is what stays "
        f"inside its own mask.</p>{heat_table(values['labels'], values['leakage'])}"
    )


def _samples(report: QualityReport) -> str:
    parts = [f"<h3>{escape(name)}</h3>{_sample_row(sample)}" for name, sample in report.samples.items()]
    if len(report.samples) > 1:
        parts.append(f"<h3>together</h3>{_sample_row(report.together)}")
    return f"<h2>Samples in new scenes</h2>{''.join(parts)}"


def _sample_row(sample: SampleSet) -> str:
    return "".join(
        _figure(picture_uri(picture), prompt) for prompt, picture in zip(sample.prompts, sample.pictures, strict=True)
    )

"""The quality report: what a reviewer looks at before signing.

    report     what is said, as plain values      page    the same as one HTML page
    measures   likeness by an image-text encoder  plots   SVG and inline pictures
    sampling   pictures with learned tokens

Example:
    report = assess(backbone, training_set, config, state, encoder=None, seconds=61.0)
    Path("report.html").write_text(render_page(report), "utf-8")
"""

from trainer.quality.page import render_page
from trainer.quality.report import QualityReport, assess
from trainer.quality.sampling import sample_pictures

__all__ = ["QualityReport", "assess", "render_page", "sample_pictures"]

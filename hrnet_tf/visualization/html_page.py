"""Pages in one file: tables, curves, pictures, and nothing to load from elsewhere."""

import base64
import html
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from hrnet_tf.visualization.canvas import check_image

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --accent: #2962ff; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p { max-width: 60rem; }
pre { overflow-x: auto; border-left: 3px solid var(--accent); padding-left: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr { border-bottom: 1px solid var(--line); }
.cases { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .85rem; max-width: 36rem; }
img { max-width: 100%; display: block; border-radius: 4px; }
svg { max-width: 22rem; width: 100%; font-size: 11px; fill: currentColor; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts that are HTML."""
    # The policy keeps browsers from loading anything, should a part ask for it.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>{html.escape(title)}</h1>\n{''.join(parts)}</body></html>\n"
    )


def heading(text: str) -> str:
    """The title of a section."""
    return f"<h2>{html.escape(text)}</h2>\n"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>\n"


def preformatted(text: str) -> str:
    """Text whose lines and spaces stay as they are."""
    return f"<pre>{html.escape(text)}</pre>\n"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts; the first row is the header, and first cells are names."""
    lines = []
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        cells = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        lines.append(f"<tr>{cells}</tr>\n")
    return f'<div class="wide"><table>\n{"".join(lines)}</table></div>\n'


def jpeg(image: np.ndarray, quality: int = 80) -> str:
    """The address of an RGB image, uint8 [H, W, 3], that is the picture itself."""
    check_image(image, "image")
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def figure(address: str | None, caption: str) -> str:
    """A picture, see `jpeg`, over its caption; or the caption alone."""
    text = html.escape(caption)
    picture = f'<img src="{address}" alt="{text}">' if address else ""
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>\n"


def gallery(figures: Iterable[str]) -> str:
    """Figures side by side."""
    return f'<div class="cases">\n{"".join(figures)}</div>\n'


def diagonal_chart(x: np.ndarray, y: np.ndarray, x_name: str, y_name: str) -> str:
    """Points of shares x and y, [N], beside the diagonal, where both are the same."""
    side, left, gap = 260.0, 40.0, 34.0

    def place(across: float, up: float) -> str:
        return f"{left + across * side:.1f},{10 + (1 - up) * side:.1f}"

    points = [place(*point) for point in zip(x, y, strict=True)]
    dots = "".join(
        '<circle cx="{}" cy="{}" r="4" fill="var(--accent)"/>'.format(*point.split(","))
        for point in points
    )
    ticks = ""
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        across, up = left + share * side, 14 + (1 - share) * side
        ticks += f'<text x="{left - 6}" y="{up}" text-anchor="end">{share:g}</text>'
        ticks += (
            f'<text x="{across}" y="{side + 24}" text-anchor="middle">{share:g}</text>'
        )
    return (
        f'<svg viewBox="0 0 {left + side + 12} {side + gap + 14}" role="img" '
        f'aria-label="{html.escape(y_name)} over {html.escape(x_name)}">\n'
        f'<rect x="{left}" y="10" width="{side}" height="{side}" fill="none" '
        'stroke="var(--line)"/>\n'
        f'<polyline points="{place(0, 0)} {place(1, 1)}" fill="none" '
        'stroke="var(--line)" stroke-dasharray="4"/>\n'
        f'<polyline points="{" ".join(points)}" fill="none" '
        f'stroke="var(--accent)" stroke-width="2"/>{dots}\n{ticks}\n'
        f'<text x="{left + side / 2}" y="{side + gap + 8}" text-anchor="middle">'
        f"{html.escape(x_name)}</text>\n"
        f'<text x="12" y="{10 + side / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {10 + side / 2})">{html.escape(y_name)}</text>\n'
        "</svg>\n"
    )

"""Markdown pages as HTML that needs nothing from outside: no script, no font, no picture."""

from __future__ import annotations

import html

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2em; }
h1 { font-size: 1.4em; } h2 { font-size: 1.15em; margin-top: 2em; }
.scroll { overflow-x: auto; max-width: 100%; margin: 1em 0; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { border-bottom: 1.5px solid #444; font-weight: 600; text-align: left; } td:first-child { white-space: nowrap; } td, th { padding: 0.25em 0.7em; }
tr:nth-child(even) td { background: #f5f5f5; }
""".strip()


def html_of(markdown: str, deeper: int = 0) -> str:
    """The HTML of a Markdown text, its headings `deeper` levels below what they say; a table scrolls in a box of its own."""
    from markdown_it import MarkdownIt

    # Line breaks are the only HTML that our pages hold; all else that looks like HTML is text.
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + deeper)}"
    body = reader.renderer.render(tokens, reader.options, {}).replace("&lt;br&gt;", "<br>")
    return body.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")


def web_page(markdown: str) -> str:
    """One HTML document of a Markdown text with tables; its title is the text's first heading."""
    body = html_of(markdown)
    title = next((line.removeprefix("# ") for line in markdown.splitlines() if line.startswith("# ")), "")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )

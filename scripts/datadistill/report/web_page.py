"""Markdown pages as HTML that needs nothing from outside: no script, no font, no picture."""

from __future__ import annotations

import html

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2em; }
h1 { font-size: 1.4em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th { border-bottom: 1.5px solid #444; font-weight: 600; text-align: left; } td:first-child { white-space: nowrap; } td, th { padding: 0.25em 0.7em; }
tr:nth-child(even) td { background: #f5f5f5; }
""".strip()


def web_page(markdown: str) -> str:
    """One HTML document of a Markdown text with tables; its title is the text's first heading."""
    from markdown_it import MarkdownIt

    # Line breaks are the only HTML that our pages hold; all else that looks like HTML is text.
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = body.replace("&lt;br&gt;", "<br>")
    title = next((line.removeprefix("# ") for line in markdown.splitlines() if line.startswith("# ")), "")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )

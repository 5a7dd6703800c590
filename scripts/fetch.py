"""Fetch data sets and weights by name: resumes, checks, unpacks, and fetches nothing twice."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.data.downloads import check_space, choose, fetch_all, is_complete, read_downloads
from datadistill.errors import run_script
from datadistill.files import human_size, write_json


def main() -> None:
    """Say what is to be fetched and its size, fetch it, write the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--downloads", required=True, help="YAML list of what can be fetched (config/downloads.yaml)")
    parser.add_argument("--names", nargs="+", required=True, help="which of them")
    parser.add_argument("--root", required=True, help="folder to fetch into")
    parser.add_argument("--keep-archives", action="store_true", help="don't delete archives once unpacked")
    parser.add_argument("--dry-run", action="store_true", help="only say what is missing and what it needs")
    parser.add_argument("--output", help="where to write what was fetched, with checksums, as JSON")
    arguments = parser.parse_args()
    wanted = choose(read_downloads(arguments.downloads), arguments.names)
    root = Path(arguments.root)
    missing = [download for download in wanted if not is_complete(download, root)]
    for download in wanted:
        state = "to fetch" if download in missing else "there already"
        size = human_size(download.size) if download.size else "size unknown"
        print(f"{download.name}: {state}, {size}, {download.url}")
    needed = check_space(missing, root, keep_archives=arguments.keep_archives)
    print(f"{len(missing)} of {len(wanted)} to fetch; {human_size(needed)} of disk at the peak", flush=True)
    if arguments.dry_run:
        return
    records = fetch_all(wanted, root, keep_archives=arguments.keep_archives)
    if arguments.output:
        write_json(arguments.output, records, indent=1)


if __name__ == "__main__":
    run_script(main)

"""Write airports.csv.gz anew from the installed package `airportsdata` (pip install airportsdata).

All airports with an ICAO code, every field as the package has it, sorted by the code. The same data gives the same
content, and with the same zlib the same bytes.
"""

import csv
import gzip
import io
import sys
from pathlib import Path

import airportsdata

TARGET = Path(__file__).with_name("airports.csv.gz")


def main() -> None:
    airports = airportsdata.load("ICAO")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(next(iter(airports.values()))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(airports[code] for code in sorted(airports))
    with TARGET.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as packed:
        packed.write(text.getvalue().encode())
    size = TARGET.stat().st_size
    sys.stdout.write(f"{TARGET}: {len(airports):,} airports, {size:,} bytes, from {airportsdata.__version__}\n")


if __name__ == "__main__":
    main()

"""Writes files as a C table: embed.py OUTPUT NAME FILE... gives `const struct embedded NAME[]`, sorted by file name."""

import sys
from pathlib import Path

out, name, *files = sys.argv[1:]
text = ['#include "embedded.h"\n']
rows = []
for i, file in enumerate(sorted(files, key=lambda f: Path(f).name)):
    data = Path(file).read_bytes() + b"\0"
    lines = [", ".join(map(str, data[k : k + 24])) for k in range(0, len(data), 24)]
    text.append(f"static const char data_{i}[] = {{\n" + ",\n".join(lines) + "};\n")
    rows.append(f'    {{"{Path(file).name}", data_{i}, sizeof data_{i} - 1}},\n')
text.append(f"const struct embedded {name}[] = {{\n{''.join(rows)}    {{0}},\n}};\n")
Path(out).write_text("".join(text))

#!/usr/bin/env python3
"""Writes the files of the page as C++: bytes, the same in gzip where that is shorter, and an ETag.

  embed_page.py OUTPUT.cc NAME=FILE ...

NAME is what is served: index.html as /, everything else below /assets/. Run by the build.
"""

import gzip
import hashlib
import pathlib
import sys

CONTENT_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
                 ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
HEAD = """// Generated from server/dashboard/page by embed_page.py.
#include "server/dashboard/page_assets.h"

namespace meridian {
namespace {
"""
BYTES_A_LINE = 4096


def array(name, data):
    """`data` as a C++ array: a million small numbers compile faster than one long literal."""
    lines = [",".join(map(str, data[i:i + BYTES_A_LINE]))
             for i in range(0, len(data), BYTES_A_LINE)]
    return f"const unsigned char {name}[] = {{\n" + ",\n".join(lines or ["0"]) + "};\n"


def main():
    output, *pairs = sys.argv[1:]
    arrays, rows = [], []
    for i, pair in enumerate(sorted(pairs)):
        name, _, file = pair.partition("=")
        raw = pathlib.Path(file).read_bytes()
        packed = gzip.compress(raw, 9, mtime=0)
        if len(packed) >= len(raw):
            packed = b""
        path = "/" if name == "index.html" else "/assets/" + name
        arrays += [array(f"kRaw{i}", raw), array(f"kGzip{i}", packed)]
        rows.append(f'    {{"{path}", "{CONTENT_TYPES[pathlib.PurePath(name).suffix]}", '
                    f'"\\"{hashlib.sha256(raw).hexdigest()[:32]}\\"",\n'
                    f"     Text(kRaw{i}, {len(raw)}), Text(kGzip{i}, {len(packed)})}},\n")
    pathlib.Path(output).write_text(
        HEAD + "\n" + "\n".join(arrays) + """
std::string_view Text(const unsigned char* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

std::span<const PageAsset> PageAssets() {
  static const PageAsset assets[] = {
""" + "".join(rows) + """  };
  return assets;
}

}  // namespace meridian
""")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# buf lint (rules in proto/buf.yaml) over the protos, with the buf that package.json pins.
#
#   tests/repo/buf_lint.sh SOURCE_DIR WORK_DIR
#
# Exit codes: 0 clean, 77 skipped (no Node, or buf cannot be installed: no network), else findings.
# proto_lint.py holds the same core rules where this is skipped.
set -euo pipefail

source_dir=$1
work_dir=$2

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  echo "SKIPPED: Node is not installed, so buf cannot be (proto_lint.py checks the core rules)"
  exit 77
fi

buf=$work_dir/node_modules/.bin/buf
if ! cmp -s "$source_dir/tests/repo/package.json" "$work_dir/package.json" || [[ ! -x $buf ]]; then
  rm -rf "$work_dir"
  mkdir -p "$work_dir"
  cp "$source_dir/tests/repo/package.json" "$work_dir/"
  if ! npm install --prefix "$work_dir" --no-package-lock --no-audit --no-fund --ignore-scripts \
      --loglevel error --fetch-retries 1 --fetch-timeout 60000 </dev/null; then
    rm -f "$work_dir/package.json"
    echo "SKIPPED: npm cannot install buf here (proto_lint.py checks the core rules)"
    exit 77
  fi
fi

cd "$source_dir/proto"
"$buf" lint
echo "buf lint $("$buf" --version): no findings"

#!/usr/bin/env python3
"""Tests of check_includes.py on small trees."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import check_includes  # noqa: E402

TREE = {
    "common/base/CMakeLists.txt": "meridian_library(NAME base LAYER 0 HDRS clock.h SRCS clock.cc)",
    "common/base/clock.h": "#include <vector>\n",
    "common/base/clock.cc": '#include "common/base/clock.h"\n',
    "server/node/CMakeLists.txt":
        "meridian_library(NAME node LAYER 3 HDRS read.h SRCS read.cc\n"
        "  DEPS meridian::base  # The clock.\n  PRIVATE_DEPS meridian::proto GRPC)",
    "server/node/read.h": '#include "common/base/clock.h"\n',
    "server/node/read.cc": '#include "server/node/read.h"\n#include "a/v1/a.pb.h"\n',
    "client/cpp/CMakeLists.txt": "meridian_library(NAME client LAYER 4 HDRS client.h\n"
                                 "  DEPS meridian::proto)",
    "client/cpp/client.h": "\n",
    "server/CMakeLists.txt": "meridian_executable(NAME m SRCS node_main.cc DEPS meridian::node)",
    "server/node_main.cc": '#include "server/node/read.h"\n',
}


class CheckIncludesTest(unittest.TestCase):
    def findings(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {**TREE, **changes}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return check_includes.check(root)

    def assert_finds(self, text, changes):
        findings = self.findings(changes)
        self.assertEqual(len(findings), 1, findings)
        self.assertIn(text, findings[0])

    def test_a_good_tree_has_no_finding(self):
        self.assertEqual(self.findings({}), [])

    def test_upward_includes_are_found(self):
        self.assert_finds("base (layer 0) may not use node (layer 3)", {
            "common/base/CMakeLists.txt":
                "meridian_library(NAME base LAYER 0 HDRS clock.h SRCS clock.cc DEPS meridian::node)",
            "common/base/clock.cc": '#include "server/node/read.h"\n'})

    def test_undeclared_libraries_are_found(self):
        self.assert_finds("client does not declare base", {
            "client/cpp/client.h": '#include "common/base/clock.h"\n'})

    def test_headers_need_public_dependencies(self):
        self.assert_finds("node does not declare meridian::proto", {
            "server/node/read.h": '#include "a/v1/a.pb.h"\n'})

    def test_the_clients_public_headers_know_no_grpc(self):
        self.assert_finds("know no gRPC", {
            "client/cpp/client.h": "#include <grpcpp/grpcpp.h>\n"})

    def test_redis_is_known_in_one_folder(self):
        self.assert_finds("only server/l2", {
            "server/node/read.cc": "#include <hiredis/hiredis.h>\n"})
        self.assert_finds("only server/l2 and server/http_client", {
            "server/node/read.cc": "#include <event2/http.h>\n"})

    def test_nothing_includes_tests(self):
        self.assert_finds("nothing may include tests", {
            "server/node/read.cc": '#include "tests/support/fake_clock.h"\n'})

    def test_private_headers_belong_to_their_folder(self):
        changes = {"server/node/inner.h": '#include "common/base/clock.h"\n',
                   "server/node/read.cc": '#include "server/node/inner.h"\n'}
        self.assertEqual(self.findings(changes), [])
        self.assert_finds("server/node/inner.h: no library lists it", {
            **changes, "server/app/CMakeLists.txt":
                "meridian_library(NAME app LAYER 6 HDRS app.h DEPS meridian::node)",
            "server/app/app.h": '#include "server/node/inner.h"\n'})
        self.assert_finds("inner.h:1: hiredis", {
            **changes, "server/node/inner.h": "#include <hiredis/hiredis.h>\n"})

    def test_dead_and_missing_files_are_found(self):
        self.assert_finds("no target lists it", {"server/node/old.cc": "\n"})
        self.assert_finds("no target lists it", {"server/node/old.h": "\n"})
        self.assert_finds("gone.cc does not exist", {
            "common/base/CMakeLists.txt":
                "meridian_library(NAME base LAYER 0 HDRS clock.h SRCS clock.cc gone.cc)"})


if __name__ == "__main__":
    unittest.main()

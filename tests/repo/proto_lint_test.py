#!/usr/bin/env python3
"""Tests of proto_lint.py: every rule finds what it is for, and a clean file has no finding."""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import proto_lint  # noqa: E402

CLEAN = """
// A file.
syntax = "proto3";
package a.b.v1;
option go_package = "x";

// One.
message GetThingRequest {
  // Field.
  repeated bytes key_ids = 1;
  // Map.
  map<string, string> labels = 2;
  // Choice.
  oneof target {
    // Member.
    string name = 3;
  }
}
// Two.
message GetThingResponse {}
// Kinds of HTTPServers.
enum HTTPServerKind {
  // Zero.
  HTTP_SERVER_KIND_UNSPECIFIED = 0;
  // One.
  HTTP_SERVER_KIND_OLD = 1;
}
// Service.
service ThingService {
  // Call.
  rpc GetThing(stream GetThingRequest) returns (GetThingResponse);
}
"""

# (rule, text to replace in CLEAN, by what)
BROKEN = [
    ("SYNTAX_SPECIFIED", 'syntax = "proto3";', 'syntax = "proto2";'),
    ("PACKAGE_DEFINED", "package a.b.v1;", ""),
    ("PACKAGE_DIRECTORY_MATCH", "package a.b.v1;", "package a.c.v1;"),
    ("PACKAGE_VERSION_SUFFIX", "package a.b.v1;", "package a.b;"),
    ("PACKAGE_LOWER_SNAKE_CASE", "package a.b.v1;", "package a.B.v1;"),
    ("MESSAGE_PASCAL_CASE", "message GetThingResponse", "message get_thing"),
    ("FIELD_LOWER_SNAKE_CASE", "key_ids", "keyIds"),
    ("ONEOF_LOWER_SNAKE_CASE", "oneof target", "oneof Target"),
    ("ENUM_PASCAL_CASE", "enum HTTPServerKind", "enum kind"),
    ("ENUM_VALUE_PREFIX", "HTTP_SERVER_KIND_OLD", "OLD"),
    ("ENUM_VALUE_UPPER_SNAKE_CASE", "HTTP_SERVER_KIND_OLD", "HTTP_SERVER_KIND_Old"),
    ("ENUM_FIRST_VALUE_ZERO", "UNSPECIFIED = 0", "UNSPECIFIED = 2"),
    ("ENUM_ZERO_VALUE_SUFFIX", "HTTP_SERVER_KIND_UNSPECIFIED", "HTTP_SERVER_KIND_NONE"),
    ("ENUM_NO_ALLOW_ALIAS", "  // Zero.", "  option allow_alias = true;\n  // Zero."),
    ("SERVICE_SUFFIX", "service ThingService", "service Thing"),
    ("RPC_PASCAL_CASE", "rpc GetThing(", "rpc get_thing("),
    ("RPC_REQUEST_STANDARD_NAME", "(stream GetThingRequest)", "(Empty)"),
    ("RPC_RESPONSE_STANDARD_NAME", "(GetThingResponse)", "(Empty)"),
    ("COMMENT_MESSAGE", "// Two.\n", ""),
    ("COMMENT_FIELD", "  // Field.\n", ""),
    ("COMMENT_FIELD", "    // Member.\n", ""),
    ("COMMENT_ONEOF", "  // Choice.\n", ""),
    ("COMMENT_ENUM", "// Kinds of HTTPServers.\n", ""),
    ("COMMENT_ENUM_VALUE", "  // One.\n", ""),
    ("COMMENT_SERVICE", "// Service.\n", ""),
    ("COMMENT_RPC", "  // Call.\n", ""),
    ("IMPORT_NO_PUBLIC", "option go", 'import public "x.proto";\noption go'),
    ("PARSE", "repeated bytes", "required bytes"),
    ("PARSE", "service ThingService {", "service ThingService"),
]


def rules(text, path="a/b/v1/thing.proto"):
    return {finding.rule for finding in proto_lint.lint_text(path, text)}


class ProtoLintTest(unittest.TestCase):
    def test_a_clean_file_has_no_finding(self):
        self.assertEqual(proto_lint.lint_text("a/b/v1/thing.proto", CLEAN), [])

    def test_every_rule_finds_what_it_is_for(self):
        for rule, old, new in BROKEN:
            with self.subTest(rule=rule, old=old):
                self.assertIn(old, CLEAN)
                self.assertIn(rule, rules(CLEAN.replace(old, new, 1)))

    def test_file_names_are_lower_snake_case(self):
        self.assertIn("FILE_LOWER_SNAKE_CASE", rules(CLEAN, "a/b/v1/Thing.proto"))

    def test_a_blank_line_parts_a_comment_from_what_follows(self):
        self.assertIn("COMMENT_MESSAGE", rules(CLEAN.replace("// Two.\n", "// Two.\n\n")))

    def test_rules_between_files(self):
        one = proto_lint.File("a/b/v1/one.proto", CLEAN)
        two = proto_lint.File("a/b/v1/two.proto", CLEAN.replace('"x"', '"y"'))
        user = proto_lint.File("c/v1/user.proto", """syntax = "proto3";
            package c.v1;
            import "a/b/v1/one.proto";""")
        found = {finding.rule for finding in proto_lint.lint_files([one, two, user])}
        self.assertEqual(found, {"PACKAGE_SAME_GO_PACKAGE", "RPC_REQUEST_RESPONSE_UNIQUE",
                                 "IMPORT_USED"})


if __name__ == "__main__":
    unittest.main()

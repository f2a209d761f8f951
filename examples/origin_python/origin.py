#!/usr/bin/env python3
"""An origin for Meridian in Python: origin.v1.OriginService over a dictionary or a JSON file.

  apt-get install python3-grpcio python3-protobuf protobuf-compiler
  examples/origin_python/origin.py --listen 127.0.0.1:7501 --data values.json

`values.json` holds {"namespace": {"key": "value"}}. Nothing is generated beforehand: the messages come
from the project's protos by way of protoc's descriptors, when it starts. Then in a policy file:

  quotes: {ttl: 1m, origin: {address: "127.0.0.1:7501"}}
"""

import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError as missing:
    sys.exit(f"{missing}; on Debian: apt-get install python3-grpcio python3-protobuf")

PROTOS = pathlib.Path(__file__).resolve().parents[2] / "proto"
SERVICE = "meridian.origin.v1.OriginService"
FOUND, ABSENT, ERROR = 1, 2, 3  # meridian.origin.v1.LoadStatus


def messages():
    """The classes of BatchLoadRequest and BatchLoadResponse."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", "-I", PROTOS, f"--descriptor_set_out={out.name}",
                        "meridian/origin/v1/origin_service.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName(f"meridian.origin.v1.{name}"))
            for name in ("BatchLoadRequest", "BatchLoadResponse")]


class Origin:
    """Answers BatchLoad from a dictionary: replace `load` by your own source of truth."""

    def __init__(self, data):
        self._data = data

    def load(self, namespace, key):
        """The value, None when there is none; raises when it cannot say."""
        return self._data.get(namespace, {}).get(key.decode("utf-8", "replace"))

    def batch_load(self, request, context, response):
        for key in request.keys:
            result = response.results.add(key=key)
            try:
                value = self.load(request.namespace, key)
            except Exception as problem:  # pylint: disable=broad-except
                result.status = ERROR
                result.error = str(problem)
                continue
            if value is None:
                result.status = ABSENT
            else:
                result.status = FOUND
                result.value = value.encode()
        return response


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:7501", help="host:port; port 0: any")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="a JSON file")
    options = parser.parse_args()

    request_class, response_class = messages()
    origin = Origin(json.loads(options.data.read_text(encoding="utf-8")))
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {
        "BatchLoad": grpc.unary_unary_rpc_method_handler(
            lambda request, context: origin.batch_load(request, context, response_class()),
            request_deserializer=request_class.FromString,
            response_serializer=lambda response: response.SerializeToString())})])
    port = server.add_insecure_port(options.listen)
    if not port:
        sys.exit(f"cannot listen on {options.listen}")
    server.start()
    print(f"listens on {options.listen.rsplit(':', 1)[0]}:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()

"""grpc.health.v1 as the kubelet's probes ask it: HTTP/2 in plaintext, without any library of gRPC."""

import socket
import struct

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
SERVING = b"\x08\x01"  # HealthCheckResponse, field 1.


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def literal(name, value):
    """A header that no table knows (RFC 7541, 6.2.3), shorter than 127 bytes."""
    return b"\x10" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def request(address, service):
    headers = {":method": "POST", ":scheme": "http", ":path": "/grpc.health.v1.Health/Check",
               ":authority": address, "content-type": "application/grpc", "te": "trailers"}
    message = bytes([10, len(service)]) + service.encode() if service else b""
    return b"".join((
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(SETTINGS, 0, 0, b""),
        frame(HEADERS, END_HEADERS, 1, b"".join(literal(*pair) for pair in headers.items())),
        frame(DATA, END_STREAM, 1, struct.pack(">BI", 0, len(message)) + message)))


def reply(connection):
    """The bytes of the message that comes back; empty: an error."""
    message = b""
    with connection.makefile("rb") as stream:
        while head := stream.read(9):
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = stream.read(length)
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == DATA:
                message += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                break
    return message[5:]


def serving(address, service="", timeout=5):
    """Whether that service of host:port serves, asked in plaintext."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=timeout) as connection:
            connection.sendall(request(address, service))
            return reply(connection) == SERVING
    except OSError:
        return False

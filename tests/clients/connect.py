"""Resolves and connects RATE times a second until standard input ends, and counts the failures:
connect.py NAME RATE. It takes the first address, as most clients do that keep no list of others.
Prints "connected" once it has begun, then the two counts."""
import select
import socket
import sys
import time

good = bad = 0
begun = time.monotonic()
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        first = socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)[0][4]
        with socket.create_connection(first[:2], timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if not connection.recv(64).startswith(b"HTTP/1."):
                raise OSError("no answer")
        good += 1
    except OSError as error:
        bad += 1
        print("failed:", error, file=sys.stderr)
    if good + bad == 1:
        print("connected", flush=True)
    pause = begun + (good + bad) / int(sys.argv[2]) - time.monotonic()
    if pause > 0:
        time.sleep(pause)
print(good, bad)

"""Prints the first address of socket.getaddrinfo, COUNT times: pick.py NAME COUNT."""
import socket
import sys

for _ in range(int(sys.argv[2])):
    try:
        print(socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        print("error", error)

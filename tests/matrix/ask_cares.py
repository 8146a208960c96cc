# What the system's c-ares makes of a name: each datum on a line, or the error in its stead.
import select
import sys

import pycares

name, kind = sys.argv[1:]
empty = {pycares.errno.ARES_ENODATA: "NODATA", pycares.errno.ARES_ENOTFOUND: "NXDOMAIN"}
channel = pycares.Channel()


def told(result, error):
    if error is not None:
        print(empty.get(error) or pycares.errno.strerror(error))
    elif kind == "PTR":
        print(result.name)
    else:
        for datum in result:
            print(datum.host)


if kind == "PTR":
    channel.gethostbyaddr(name, told)
else:
    channel.query(name, getattr(pycares, "QUERY_TYPE_" + kind), told)
while True:
    readers, writers = channel.getsock()
    if not readers and not writers:
        break
    ready = select.select(readers, writers, [], channel.timeout())
    for reader in ready[0]:
        channel.process_fd(reader, pycares.ARES_SOCKET_BAD)
    for writer in ready[1]:
        channel.process_fd(pycares.ARES_SOCKET_BAD, writer)
    if not ready[0] and not ready[1]:
        channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)

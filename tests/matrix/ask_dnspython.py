# What dnspython makes of a name: each datum on a line, or the error in its stead.
import sys

import dns.exception
import dns.resolver

name, kind = sys.argv[1:]
try:
    if kind == "PTR":
        found = dns.resolver.resolve_address(name)
    else:
        found = dns.resolver.resolve(name, kind, search=False)
    for datum in found:
        print(datum)
except dns.resolver.NXDOMAIN:
    print("NXDOMAIN")
except dns.resolver.NoAnswer:
    print("NODATA")
except dns.exception.DNSException as error:
    print(error)

/* Which address a program gets to use: the first of getaddrinfo, one line for each look-up.
 * pick NAME FAMILY COUNT, FAMILY being 4, 6 or 0 for either. Built for glibc and for musl. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int wanted = atoi(argv[2]);
    struct addrinfo hints = {
        .ai_family = wanted == 4 ? AF_INET : wanted == 6 ? AF_INET6 : AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    for (int i = atoi(argv[3]); i > 0; i--) {
        struct addrinfo *found;
        int error = getaddrinfo(argv[1], "80", &hints, &found);
        if (error) {
            printf("nothing: %s\n", gai_strerror(error));
            continue;
        }
        char text[INET6_ADDRSTRLEN];
        const void *address = found->ai_family == AF_INET
            ? (const void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr
            : (const void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
        puts(inet_ntop(found->ai_family, address, text, sizeof text));
        freeaddrinfo(found);
    }
    return 0;
}

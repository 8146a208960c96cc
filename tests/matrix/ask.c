/* What a C library makes of a name: `ask NAME 4` or `ask NAME 6` prints each address of
 * getaddrinfo, `ask ADDRESS ptr` the name of getnameinfo; in their stead the error's name. Built
 * for glibc and for musl. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int failed(int error) {
    /* Both mean that there is nothing; only the second tells that the name exists. */
    if (error == EAI_NONAME) puts("NXDOMAIN");
    else if (error == -5) puts("NODATA"); /* EAI_NODATA, which not every header has. */
    else puts(gai_strerror(error));
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    int reverse = !strcmp(argv[2], "ptr");
    hints.ai_family = !strcmp(argv[2], "6") ? AF_INET6 : AF_INET;
    hints.ai_flags = reverse ? AI_NUMERICHOST : 0;
    int error = getaddrinfo(argv[1], 0, &hints, &found);
    if (error) return failed(error);
    for (struct addrinfo *each = found; each; each = each->ai_next) {
        char text[NI_MAXHOST];
        int flags = reverse ? NI_NAMEREQD : NI_NUMERICHOST;
        error = getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, 0, 0, flags);
        if (error) return failed(error);
        puts(text);
    }
    return 0;
}

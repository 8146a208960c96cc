/* Prints the first address of getaddrinfo, COUNT times: pick NAME COUNT 4|6|0. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    struct addrinfo hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_family = argv[3][0] == '4' ? AF_INET : argv[3][0] == '6' ? AF_INET6 : AF_UNSPEC;
    for (int n = atoi(argv[2]); n > 0; n--) {
        struct addrinfo *found;
        int error = getaddrinfo(argv[1], "80", &hints, &found);
        if (error) {
            printf("error %s\n", gai_strerror(error));
            continue;
        }
        char host[64];
        getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
        printf("%s\n", host);
        freeaddrinfo(found);
    }
    return 0;
}

// The least that a server of the binary protocol can cost: an epoll loop that answers every request with the same 100 bytes.
//
// Looks for nothing, checks nothing, and holds nothing; what it costs is the kernel's part and the walk over the frames.
// Usage: floor PORT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { header = 12, reply_magic = 0xAE, value = 100, reply = header + value, input_bytes = 1 << 16, connections_max = 4096 };

static unsigned char input[input_bytes];
static unsigned char output[input_bytes / header * reply];
// What a connection has sent of a request that is not complete. Requests of the benchmark are short.
static struct { int count; unsigned char bytes[4096]; } rest[connections_max];

static void leave(int connection) {
    rest[connection].count = 0;
    close(connection);
}

static void serve(int connection) {
    int held = rest[connection].count;
    memcpy(input, rest[connection].bytes, held);
    ssize_t received = recv(connection, input + held, sizeof input - held, 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received <= 0) {
        leave(connection);
        return;
    }
    size_t end = held + received, position = 0, made = 0;
    while (end - position >= header) {
        uint32_t length;
        memcpy(&length, input + position + 8, 4);
        if (length > sizeof rest->bytes - header) { leave(connection); return; }
        if (end - position < header + length) break;
        memset(output + made, 0, header);
        output[made] = reply_magic;
        memcpy(output + made + 4, input + position + 4, 4);
        uint32_t answer = value;
        memcpy(output + made + 8, &answer, 4);
        memset(output + made + header, 'v', value);
        made += reply;
        position += header + length;
    }
    rest[connection].count = end - position;
    memcpy(rest[connection].bytes, input + position, end - position);
    for (size_t sent = 0; sent < made;) {
        ssize_t count = send(connection, output + sent, made - sent, MSG_NOSIGNAL);
        if (count > 0) sent += count;
        else if (errno != EAGAIN && errno != EINTR) { leave(connection); return; }
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return 1;
    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int descriptor = events[i].data.fd;
            if (descriptor != listener) {
                serve(descriptor);
                continue;
            }
            int connection = accept(listener, NULL, NULL);
            if (connection < 0) continue;
            if (connection >= connections_max) { close(connection); continue; }
            setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            event.data.fd = connection;
            epoll_ctl(poller, EPOLL_CTL_ADD, connection, &event);
        }
    }
}

/*
 * The reference of the lock-step benchmark: what the kernel's calls alone cost a client. Level
 * triggered epoll, one receive and one send for each message that is ready, random masks.
 *
 *     client --echo 0|1 --connections N --ready K --per M --rounds R --size S --tls 0|1
 *
 * Prints one line of JSON: messages, and seconds of CPU time without the peer's.
 *
 * Linux only.  cc -O2 -o client client.c -lpthread -lssl -lcrypto  (or -DNO_TLS)
 */
#define _GNU_SOURCE
#include "peer.c" /* in one unit, as a library would be of no use here */

#include <errno.h>
#include <stdbool.h>
#include <sys/random.h>
#include <sys/resource.h>

enum { READ_SIZE = 256 * 1024, MASKS = 1024 };

static const char *certificate; /* NULL without TLS */

static int option(int count, char **given, const char *name)
{
    for (int i = 1; i + 1 < count; i += 2)
        if (strcmp(given[i] + 2, name) == 0)
            return atoi(given[i + 1]);
    fprintf(stderr, "client: --%s is missing\n", name);
    exit(1);
}

static const char *next_mask(void)
{
    static char pool[4 * MASKS];
    static size_t left = 0;
    if (left == 0) {
        for (size_t got = 0; got < sizeof pool;) {
            ssize_t more = getrandom(pool + got, sizeof pool - got, 0);
            if (more < 0)
                die("getrandom");
            got += (size_t)more;
        }
        left = MASKS;
    }
    return pool + 4 * --left;
}

static int open_connection(int port, TLS **stream)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char response[4096];
    size_t length = 0;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (void *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    TLS *tls = *stream = certificate == NULL ? NULL : tls_new_client(fd, certificate);
    if (stream_send(fd, tls, request, sizeof request - 1) < 0)
        die("send of a request");
    do {
        ssize_t got = stream_receive(fd, tls, response + length, sizeof response - 1 - length);
        if (got <= 0)
            die("recv of a response");
        length += (size_t)got;
        response[length] = '\0';
    } while (strstr(response, "\r\n\r\n") == NULL);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Sends one masked text of letters. */
static void reply(int fd, TLS *tls, const char *payload, int size)
{
    static char frame[MAX_HEADER + 4 + 65536];
    size_t start = frame_header((uint8_t *)frame, FIN | OP_TEXT, MASKED, (uint64_t)size) + 4;
    memcpy(frame + start - 4, next_mask(), 4);
    apply_mask(frame + start, payload, (size_t)size, frame + start - 4);
    if (stream_send(fd, tls, frame, start + (size_t)size) < 0)
        die("send");
}

/* Takes the whole frames of one read; returns how many there were. */
static int take(int fd, TLS *tls, bool echo, int size)
{
    static char buffer[READ_SIZE];
    static char payload[65536];
    int messages = 0;
    ssize_t got = stream_receive(fd, tls, buffer, sizeof buffer);
    if (got < 0)
        return errno == EAGAIN ? 0 : (die("recv"), 0);
    for (ssize_t pos = 0; pos < got; messages++) {
        const uint8_t *head = (uint8_t *)buffer + pos;
        ssize_t length = head[1], start = pos + 2;
        if (length == 126)
            length = head[2] << 8 | head[3], start += 2;
        if (head[0] != (FIN | OP_TEXT) || length != size || start + length > got)
            die("a frame that nobody expected");
        memcpy(payload, buffer + start, (size_t)length); /* the message as an object of its own */
        if (echo)
            reply(fd, tls, payload, size);
        pos = start + length;
    }
    return messages;
}

int main(int count, char **given)
{
    bool echo = option(count, given, "echo");
    int connections = option(count, given, "connections"), ready = option(count, given, "ready");
    int per = option(count, given, "per"), rounds = option(count, given, "rounds");
    int size = option(count, given, "size");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    char name[] = "/tmp/lockstep-XXXXXX";
    if (option(count, given, "tls"))
        close(mkstemp(name)), certificate = name;
    int port = peer_start(connections, certificate, 0), poll = epoll_create1(EPOLL_CLOEXEC);
    struct end {
        int fd;
        TLS *tls;
    } *ends = calloc((size_t)connections, sizeof *ends);
    for (int i = 0; i < connections; i++) {
        int fd = ends[i].fd = open_connection(port, &ends[i].tls);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = ends + i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
    peer_wait();
    if (certificate != NULL)
        unlink(certificate);
    int64_t begun = peer_clock(), peers = peer_spent();
    for (int round = 0; round < rounds; round++) {
        peer_step(ready, per, size);
        for (int left = ready * per; left > 0;) {
            struct epoll_event events[MAX_EVENTS];
            int found = epoll_wait(poll, events, MAX_EVENTS, -1);
            for (int i = 0; i < found; i++)
                left -= take(((struct end *)events[i].data.ptr)->fd,
                             ((struct end *)events[i].data.ptr)->tls, echo, size);
        }
    }
    int64_t own = peer_clock() - begun - (peer_spent() - peers);
    printf("{\"messages\": %d, \"cpu_seconds\": %.9f}\n", rounds * ready * per, own / 1e9);
    return 0;
}

/*
 * The reference client of the benchmarks: what the kernel's calls alone cost, as the limit for the
 * clients that are measured. One thread, epoll, random masks, every length checked.
 *
 *     client --scenario echo|blocking|fanin --port P --connections N --messages M --size S
 *            [--idle N] [--tls FILE]
 *
 * echo: each connection sends a text of S bytes, waits for its echo, M times. (blocking: the same,
 * to be compared with clients that do without an event loop.) fanin: each connection sends "go" and
 * takes what comes until the text "end". --idle: further connections, which are open and silent.
 * --tls: with TLS; the file has the certificate to trust. The CPU time (user + system) is counted
 * from the moment when all connections are open, and printed as one line of JSON.
 *
 * Linux only.  cc -O2 -o client client.c -lssl -lcrypto     (or: cc -O2 -DNO_TLS -o client client.c)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "frames.h"
#include "tls.h"

enum { READ_SIZE = 256 * 1024, MOVED = 16 * 1024, MAX_EVENTS = 512 };

struct connection {
    int fd;
    TLS *tls;          /* or NULL */
    uint32_t messages; /* received so far */
    struct buffer in;  /* the beginning of an unfinished frame */
    struct buffer out; /* what the socket did not take */
};

static bool echo;
static const char *certificate;
static uint32_t port, connection_count, idle_count, messages_each, size;
static struct connection *connections;
static uint32_t finished;
static uint64_t messages, reads;
static int epoll_fd;
static struct buffer work; /* what is read when nothing is left over from before */
static char *payload, *frame;

static void fail(const char *what)
{
    fprintf(stderr, "client: %s\n", what);
    exit(1);
}

static void *allocate(size_t count, size_t length)
{
    void *memory = calloc(count, length);
    if (memory == NULL)
        die("calloc");
    return memory;
}

/* ---- sending ---- */

/* A mask nobody can predict (RFC 6455 section 5.3), from a pool: a system call per 1024 masks. */
static uint32_t next_mask(void)
{
    static uint32_t pool[1024];
    static size_t left = 0;
    if (left == 0) {
        char *bytes = (char *)pool;
        for (size_t got = 0; got < sizeof pool;) {
            ssize_t more = getrandom(bytes + got, sizeof pool - got, 0);
            if (more < 0)
                die("getrandom");
            got += (size_t)more;
        }
        left = 1024;
    }
    return pool[--left];
}

static void watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0)
        die("epoll_ctl");
}

static void transmit(struct connection *c, const char *data, size_t length)
{
    ssize_t sent = 0;
    if (c->out.length == 0) {
        sent = stream_send(c->fd, c->tls, data, length);
        if (sent < 0 && errno != EAGAIN)
            die("send");
        if (sent < 0)
            sent = 0;
    }
    if ((size_t)sent == length)
        return;
    append(&c->out, data + sent, length - (size_t)sent);
    watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void on_writable(struct connection *c)
{
    ssize_t sent = stream_send(c->fd, c->tls, c->out.data, c->out.length);
    if (sent < 0 && errno == EAGAIN)
        return;
    if (sent < 0)
        die("send");
    c->out.length -= (size_t)sent;
    memmove(c->out.data, c->out.data + sent, c->out.length);
    if (c->out.length == 0)
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void send_frame(struct connection *c, int opcode, const char *data, size_t length)
{
    size_t header = frame_header((uint8_t *)frame, (uint8_t)(FIN | opcode), MASKED, length);
    uint32_t mask = next_mask();
    memcpy(frame + header, &mask, 4);
    apply_mask(frame + header + 4, data, length, frame + header);
    transmit(c, frame, header + 4 + length);
}

/* ---- receiving ---- */

static void on_message(struct connection *c, const char *data, size_t length)
{
    if (length == size && c->messages < messages_each) {
        c->messages++;
        messages++;
        if (echo && c->messages < messages_each)
            send_frame(c, OP_TEXT, payload, size);
        else if (echo)
            finished++;
    } else if (!echo && length == 3 && memcmp(data, "end", 3) == 0 &&
               c->messages == messages_each) {
        finished++;
    } else {
        fail("a message that nobody expected");
    }
}

static size_t on_frames(struct connection *c, const char *data, size_t length)
{
    size_t used = 0;
    while (length - used >= 2) {
        const uint8_t *h = (const uint8_t *)data + used;
        size_t body = h[1], header = 2;
        if (body & MASKED)
            fail("a masked frame from the server");
        if (body >= 126) {
            header = body == 126 ? 4 : 10;
            if (length - used < header)
                break;
            body = 0;
            for (size_t i = 2; i < header; i++)
                body = body << 8 | h[i];
        }
        if (body > size && body > 125)
            fail("a frame longer than what was asked for");
        if (length - used - header < body)
            break;
        if (h[0] == (FIN | OP_TEXT))
            on_message(c, data + used + header, body);
        else if (h[0] == (FIN | OP_PING))
            send_frame(c, OP_PONG, data + used + header, body);
        else
            fail("a frame that nobody expected");
        used += header + body;
    }
    return used;
}

/* True: TLS may hold more, of which epoll does not know. */
static bool on_readable(struct connection *c)
{
    work.length = 0;
    if (c->in.length < MOVED) { /* what is in the processor's cache is best */
        append(&work, c->in.data, c->in.length);
        c->in.length = 0;
    }
    struct buffer *b = c->in.length > 0 ? &c->in : &work;
    reserve(b, b->length + READ_SIZE);
    size_t room = b->capacity - b->length;
    ssize_t got = stream_receive(c->fd, c->tls, b->data + b->length, room);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got < 0)
        die("recv");
    if (got == 0)
        fail("the server went away");
    reads++;
    size_t length = b->length + (size_t)got;
    size_t used = on_frames(c, b->data, length);
    if (b == &work)
        append(&c->in, work.data + used, length - used);
    else
        memmove(b->data, b->data + used, length - used);
    c->in.length = length - used;
    return c->tls != NULL && (size_t)got == room;
}

/* ---- opening ---- */

static void open_connection(struct connection *c)
{
    /* The key and its answer are the example of RFC 6455 section 1.3. */
    static const char answer[] = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    char request[256], response[1024];
    int length = snprintf(request, sizeof request,
                          "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n", port);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->tls = certificate != NULL ? tls_new(c->fd) : NULL;
    if (stream_send(c->fd, c->tls, request, (size_t)length) != length)
        die("send");
    size_t have = 0;
    do { /* nothing follows the response before the first message was sent */
        ssize_t got = stream_receive(c->fd, c->tls, response + have, sizeof response - 1 - have);
        if (got <= 0)
            die("handshake");
        have += (size_t)got;
        response[have] = 0;
    } while (strstr(response, "\r\n\r\n") == NULL);
    if (strncmp(response, "HTTP/1.1 101 ", 13) != 0 || strstr(response, answer) == NULL)
        fail("the server refused the handshake");

    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl");
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(void)
{
    static struct epoll_event events[MAX_EVENTS];
    for (uint32_t i = 0; i < connection_count; i++) {
        if (echo)
            send_frame(&connections[i], OP_TEXT, payload, size);
        else
            send_frame(&connections[i], OP_TEXT, "go", 2);
    }
    while (finished < connection_count) {
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].events & EPOLLOUT)
                on_writable(events[i].data.ptr);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                while (on_readable(events[i].data.ptr))
                    ;
        }
    }
}

static void read_command_line(int argc, char **argv)
{
    const char *scenario = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        uint32_t n = (uint32_t)strtoul(value, NULL, 10);
        if (strcmp(name, "--scenario") == 0)
            scenario = value;
        else if (strcmp(name, "--port") == 0)
            port = n;
        else if (strcmp(name, "--connections") == 0)
            connection_count = n;
        else if (strcmp(name, "--messages") == 0)
            messages_each = n;
        else if (strcmp(name, "--size") == 0)
            size = n;
        else if (strcmp(name, "--idle") == 0)
            idle_count = n;
        else if (strcmp(name, "--tls") == 0)
            certificate = value;
    }
    echo = strcmp(scenario, "echo") == 0 || strcmp(scenario, "blocking") == 0;
    if ((!echo && strcmp(scenario, "fanin") != 0) || port == 0 || connection_count == 0 ||
        messages_each == 0 || size == 0)
        fail("usage: client --scenario echo|blocking|fanin --port P --connections N --messages M "
             "--size S [--idle N] [--tls FILE]");
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");

    if (certificate != NULL)
        tls_start(certificate, false, false);

    frame = allocate(1, size + 125 + MAX_HEADER);
    payload = allocate(1, size);
    memset(payload, 'x', size);
    connections = allocate(connection_count + idle_count, sizeof *connections);
    for (uint32_t i = 0; i < connection_count + idle_count; i++)
        open_connection(&connections[i]);

    double cpu = cpu_seconds(), wall = wall_seconds();
    run();
    cpu = cpu_seconds() - cpu;
    wall = wall_seconds() - wall;
    printf("{\"messages\": %llu, \"cpu_seconds\": %.6f, \"wall_seconds\": %.6f, \"reads\": %llu}\n",
           (unsigned long long)messages, cpu, wall, (unsigned long long)reads);
    return 0;
}

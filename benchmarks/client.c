/*
 * The reference client of the benchmarks: what the kernel's calls alone cost, as the limit for the
 * clients that are measured. One thread, epoll, random masks, every length checked.
 *
 *     client --scenario echo|fanin --port P --connections N --messages M --size S
 *
 * echo: each connection sends a text of S bytes, waits for its echo, M times. fanin: each
 * connection sends "go" and takes what comes until the text "end". The CPU time (user + system) is
 * counted from the moment when all connections are open, and printed as one line of JSON.
 *
 * Linux only.  cc -O2 -o client client.c
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

enum { READ_SIZE = 256 * 1024, MAX_EVENTS = 512, MAX_HEADER = 14 };
enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct connection {
    int fd;
    uint32_t messages; /* received so far */
    char *in;          /* the beginning of an unfinished frame */
    size_t in_length;
    char *out; /* what the socket did not take */
    size_t out_length;
};

static bool echo;
static uint32_t port, connection_count, messages_each, size;
static struct connection *connections;
static uint32_t finished;
static uint64_t messages, reads;
static int epoll_fd;
static char *work, *payload, *frame;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void fail(const char *what)
{
    fprintf(stderr, "client: %s\n", what);
    exit(1);
}

static void *allocate(size_t length)
{
    void *memory = malloc(length);
    if (memory == NULL)
        die("malloc");
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

static void transmit(struct connection *c, const char *data, size_t length)
{
    ssize_t sent = 0;
    if (c->out_length == 0) {
        sent = send(c->fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            die("send");
        if (sent < 0)
            sent = 0;
    }
    size_t rest = length - (size_t)sent;
    if (rest == 0)
        return;
    c->out = realloc(c->out, c->out_length + rest);
    if (c->out == NULL)
        die("realloc");
    memcpy(c->out + c->out_length, data + sent, rest);
    c->out_length += rest;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0)
        die("epoll_ctl");
}

static void on_writable(struct connection *c)
{
    ssize_t sent = send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN)
        return;
    if (sent < 0)
        die("send");
    c->out_length -= (size_t)sent;
    memmove(c->out, c->out + sent, c->out_length);
    if (c->out_length == 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void send_frame(struct connection *c, int opcode, const char *data, size_t length)
{
    uint8_t *h = (uint8_t *)frame;
    size_t header = 2;
    h[0] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        h[1] = (uint8_t)(0x80 | length);
    } else if (length < 65536) {
        h[1] = 0x80 | 126, h[2] = (uint8_t)(length >> 8), h[3] = (uint8_t)length;
        header = 4;
    } else {
        h[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            h[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
        header = 10;
    }
    uint32_t mask = next_mask();
    memcpy(frame + header, &mask, 4);
    header += 4;
    uint64_t mask64 = (uint64_t)mask << 32 | mask;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        word ^= mask64;
        memcpy(frame + header + i, &word, 8);
    }
    for (; i < length; i++)
        frame[header + i] = (char)(data[i] ^ frame[header - 4 + i % 4]);
    transmit(c, frame, header + length);
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
        if (body & 0x80)
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
        if (h[0] == (0x80 | OP_TEXT))
            on_message(c, data + used + header, body);
        else if (h[0] == (0x80 | OP_PING))
            send_frame(c, OP_PONG, data + used + header, body);
        else
            fail("a frame that nobody expected");
        used += header + body;
    }
    return used;
}

static void on_readable(struct connection *c)
{
    if (c->in_length > 0)
        memcpy(work, c->in, c->in_length);
    ssize_t got = recv(c->fd, work + c->in_length, READ_SIZE, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got < 0)
        die("recv");
    if (got == 0)
        fail("the server went away");
    reads++;
    size_t length = c->in_length + (size_t)got;
    size_t used = on_frames(c, work, length);
    c->in_length = length - used;
    if (c->in_length > 0) {
        if (c->in == NULL)
            c->in = allocate(size + 125 + MAX_HEADER);
        memcpy(c->in, work + used, c->in_length);
    }
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
    if (send(c->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        die("send");
    size_t have = 0;
    do { /* nothing follows the response before the first message was sent */
        ssize_t got = recv(c->fd, response + have, sizeof response - 1 - have, 0);
        if (got <= 0)
            die("handshake");
        have += (size_t)got;
        response[have] = 0;
    } while (strstr(response, "\r\n\r\n") == NULL);
    if (strncmp(response, "HTTP/1.1 101 ", 13) != 0 || strstr(response, answer) == NULL)
        fail("the server refused the handshake");

    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
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
                on_readable(events[i].data.ptr);
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
    }
    echo = strcmp(scenario, "echo") == 0;
    if ((!echo && strcmp(scenario, "fanin") != 0) || port == 0 || connection_count == 0 ||
        messages_each == 0 || size == 0)
        fail("usage: client --scenario echo|fanin --port P --connections N --messages M --size S");
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

    size_t longest = size + 125 + MAX_HEADER;
    work = allocate(READ_SIZE + longest);
    frame = allocate(longest);
    payload = allocate(size);
    memset(payload, 'x', size);
    connections = calloc(connection_count, sizeof *connections);
    if (connections == NULL)
        die("calloc");
    for (uint32_t i = 0; i < connection_count; i++)
        open_connection(&connections[i]);

    double cpu = cpu_seconds(), wall = wall_seconds();
    run();
    cpu = cpu_seconds() - cpu;
    wall = wall_seconds() - wall;
    printf("{\"messages\": %llu, \"cpu_seconds\": %.6f, \"wall_seconds\": %.6f, \"reads\": %llu}\n",
           (unsigned long long)messages, cpu, wall, (unsigned long long)reads);
    return 0;
}

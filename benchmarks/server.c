/*
 * The load server of the benchmarks: WebSocket on 127.0.0.1, one thread, epoll.
 *
 *     server [OPTIONS] echo                        sends every message back
 *     server [OPTIONS] push CLIENTS MESSAGES SIZE  waits for CLIENTS clients that each sent one
 *                                                  message, then sends MESSAGES texts of SIZE bytes
 *                                                  to each, then "end"
 *     server [OPTIONS] idle                        says nothing
 *
 *     --tls FILE     TLS; writes the certificate, which clients are to trust, to the file
 *     --tickets      gives out tickets to resume TLS sessions with
 *     --deflate      with echo: permessage-deflate. What a client has compressed goes back as it
 *                    is: the client's own stream, in order, is what its decompressor can read
 *
 * Prints "PORT n" and serves until its standard input ends or SIGTERM arrives. In every mode it
 * answers pings and closing handshakes. It is made to be faster than any client that is measured
 * against it, not to be complete: there is no limit on the size of a message.
 *
 * Linux only.  cc -O2 -o server server.c -lssl -lcrypto     (or: cc -O2 -DNO_TLS -o server server.c)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buffer.h"
#include "frames.h"
#include "handshake.h"
#include "tls.h"

enum { READ_SIZE = 256 * 1024, MAX_HEAD = 16 * 1024, MAX_EVENTS = 512, BACKLOG = 4096 };
/* While pushing, the kernel holds about this much unsent data per client, or four messages. */
enum { PUSH_SEND_BUFFER = 16 * 1024 };

/* ---- connections ---- */

struct connection {
    int fd;
    TLS *tls; /* or NULL */
    bool upgraded, ready; /* ready: it has sent the message that opens the gate */
    bool closing;         /* close once `out` is sent */
    bool pushing;         /* in the round robin */
    uint32_t pushed;      /* messages pushed so far */
    struct buffer in;     /* the beginning of an unfinished head or frame */
    struct buffer out;    /* what the socket did not take; nothing is read while there is some */
};

static enum { ECHO, PUSH, IDLE } mode;
static struct connection **connections; /* by descriptor */
static bool use_tls, deflate;
static size_t max_fds;
static int epoll_fd, listener;
static struct buffer work;  /* what is read when nothing is left over from before */
static struct buffer reply; /* the answers to one read: sent together */

static uint32_t push_clients, push_messages, ready_clients;
static struct buffer push_frame;
static struct connection **ring; /* those that can take a message now */
static size_t ring_length;

static void watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = c->fd};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0)
        die("epoll_ctl");
}

static void drop(struct connection *c)
{
    if (c->pushing)
        for (size_t i = 0; i < ring_length; i++)
            if (ring[i] == c)
                ring[i] = ring[--ring_length];
    connections[c->fd] = NULL;
    tls_free(c->tls);
    close(c->fd);
    release(&c->in);
    release(&c->out);
    free(c);
}

/* Sends all that the socket takes and keeps the rest. False: the connection is gone. */
static bool transmit(struct connection *c, const char *data, size_t length)
{
    ssize_t sent = stream_send(c->fd, c->tls, data, length);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            drop(c);
            return false;
        }
        sent = 0;
    }
    if ((size_t)sent < length) {
        append(&c->out, data + sent, length - (size_t)sent);
        watch(c, EPOLL_CTL_MOD, EPOLLOUT);
    } else if (c->closing) {
        drop(c);
        return false;
    }
    return true;
}

static bool on_writable(struct connection *c)
{
    ssize_t sent = stream_send(c->fd, c->tls, c->out.data, c->out.length);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return true;
        drop(c);
        return false;
    }
    memmove(c->out.data, c->out.data + sent, c->out.length - (size_t)sent);
    c->out.length -= (size_t)sent;
    if (c->out.length > 0)
        return true;
    if (c->closing) {
        drop(c);
        return false;
    }
    release(&c->out);
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (ready_clients == push_clients && c->ready && c->pushed <= push_messages) {
        c->pushing = true;
        ring[ring_length++] = c;
    }
    return true;
}

/* ---- pushing ---- */

static void open_the_gate(struct connection *c)
{
    if (mode != PUSH || c->ready)
        return;
    c->ready = true;
    if (++ready_clients < push_clients)
        return;
    int size = (int)push_frame.length * 4;
    if (size < PUSH_SEND_BUFFER)
        size = PUSH_SEND_BUFFER;
    for (size_t fd = 0; fd < max_fds; fd++) {
        c = connections[fd];
        if (c == NULL || !c->ready)
            continue;
        setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        c->pushing = true;
        ring[ring_length++] = c;
    }
}

/* One message to each client that can take one. */
static void push_round(void)
{
    static const char end[] = {(char)0x81, 3, 'e', 'n', 'd'};
    for (size_t i = 0; i < ring_length;) {
        struct connection *c = ring[i];
        bool last = false;
        if (c->out.length == 0) {
            last = c->pushed++ == push_messages;
            bool open = last ? transmit(c, end, sizeof end)
                             : transmit(c, push_frame.data, push_frame.length);
            if (!open)
                continue; /* another one has taken its place in the ring */
        }
        if (last || c->out.length > 0) { /* on_writable() brings it back */
            c->pushing = false;
            ring[i] = ring[--ring_length];
        } else {
            i++;
        }
    }
}

/* ---- frames (RFC 6455 section 5) ---- */

static void append_frame(struct buffer *b, uint8_t first, const void *payload, size_t length)
{
    uint8_t header[MAX_HEADER];
    append(b, header, frame_header(header, first, 0, length));
    append(b, payload, length);
}

static void fail(struct connection *c, int code)
{
    char payload[2] = {(char)(code >> 8), (char)code};
    append_frame(&reply, FIN | OP_CLOSE, payload, 2);
    c->closing = true;
}

static bool is_text(uint8_t first)
{
    return (first & 15) == OP_TEXT;
}

static void on_frame(struct connection *c, uint8_t first, char *payload, size_t length)
{
    int opcode = first & 15;
    switch (opcode) {
    case OP_TEXT:
    case OP_BINARY:
    case OP_CONT:
        if (mode == ECHO)
            append_frame(&reply, first, payload, length);
        open_the_gate(c);
        break;
    case OP_PING:
        append_frame(&reply, FIN | OP_PONG, payload, length);
        break;
    case OP_PONG:
        break;
    case OP_CLOSE:
        append_frame(&reply, FIN | OP_CLOSE, payload, length);
        c->closing = true;
        break;
    default:
        fail(c, 1002);
    }
}

/* Handles the frames in data[0..length); returns how many bytes it used. `need` is set to the
 * size of the unfinished frame at the end, as far as it is known. With --deflate every text must be
 * compressed (RFC 7692 section 6.1), or the benchmark would measure something else. */
static size_t on_frames(struct connection *c, char *data, size_t length, size_t *need)
{
    size_t used = 0;
    *need = 0;
    while (!c->closing && length - used >= 2) {
        uint8_t *h = (uint8_t *)data + used;
        bool compressed = h[0] & RSV1;
        if (h[0] & 0x30 || compressed != (deflate && is_text(h[0])) || !(h[1] & MASKED)) {
            fail(c, 1002);
            break;
        }
        uint64_t size = h[1] & 127;
        size_t header = size == 126 ? 8 : size == 127 ? 14 : 6;
        if (length - used < header)
            break;
        if (size >= 126) {
            size = 0;
            for (size_t i = 2; i < header - 4; i++)
                size = size << 8 | h[i];
        }
        if (size > SIZE_MAX / 2) {
            fail(c, 1009);
            break;
        }
        if (length - used - header < size) {
            *need = header + size;
            break;
        }
        char *payload = data + used + header;
        apply_mask(payload, payload, size, payload - 4);
        on_frame(c, h[0], payload, size);
        used += header + size;
    }
    return used;
}

/* ---- the opening handshake (RFC 6455 section 4.2) ---- */

/* Whether the client offers what the answer "permessage-deflate" accepts: all defaults. */
static bool can_deflate(const char *extensions)
{
    static const char *const demands[] = {"server_max_window_bits", "server_no_context_takeover"};
    if (extensions == NULL || strncmp(extensions, "permessage-deflate", 18) != 0)
        return false;
    for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
        const char *found = strstr(extensions, demands[i]);
        if (found != NULL && found < strstr(extensions, "\r\n"))
            return false;
    }
    return true;
}

/* Answers the request at the start of data; returns the bytes it used, 0 if it is unfinished. */
static size_t on_request(struct connection *c, char *data, size_t length)
{
    char *end = memmem(data, length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (length > MAX_HEAD)
            c->closing = true;
        return 0;
    }
    end[2] = 0; /* a C string, whose last line is complete */
    const char *key = header_value(data, "Sec-WebSocket-Key");
    size_t key_length = key == NULL ? 0 : strcspn(key, " \t\r");
    const char *extensions = header_value(data, "Sec-WebSocket-Extensions");
    if (key_length != 24 || (deflate && !can_deflate(extensions))) {
        static const char refusal[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
                                      "Connection: close\r\n\r\n";
        append(&reply, refusal, sizeof refusal - 1);
        c->closing = true;
        return length;
    }
    char accept[29], response[256];
    accept_key(key, accept);
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", accept,
                        deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    append(&reply, response, (size_t)size);
    c->upgraded = true;
    return (size_t)(end + 4 - data);
}

/* ---- the loop ---- */

/* True: TLS may hold more, of which epoll does not know. */
static bool on_readable(struct connection *c)
{
    struct buffer *b = c->in.length > 0 ? &c->in : &work;
    if (b->capacity - b->length < READ_SIZE / 2)
        reserve(b, b->length + READ_SIZE);
    size_t room = b->capacity - b->length;
    ssize_t got = stream_receive(c->fd, c->tls, b->data + b->length, room);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            drop(c);
        return false;
    }
    b->length += (size_t)got;

    reply.length = 0;
    size_t used = 0, need = 0;
    if (!c->upgraded)
        used = on_request(c, b->data, b->length);
    if (c->upgraded)
        used += on_frames(c, b->data + used, b->length - used, &need);

    size_t left = b->length - used;
    if (b == &work) {
        if (left > 0)
            append(&c->in, work.data + used, left);
        work.length = 0;
    } else if (left > 0) {
        memmove(b->data, b->data + used, left);
        b->length = left;
    } else {
        release(b);
    }
    if (left > 0 && need > 0)
        reserve(&c->in, need);

    bool more = c->tls != NULL && (size_t)got == room;
    if (reply.length > 0) {
        if (c->out.length == 0)
            return transmit(c, reply.data, reply.length) && more;
        append(&c->out, reply.data, reply.length);
    } else if (c->closing) {
        drop(c);
        return false;
    }
    return more;
}

static void on_accept(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* none left; or out of descriptors: those in the backlog wait */
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL)
            die("calloc");
        c->fd = fd;
        c->tls = use_tls ? tls_new(fd) : NULL;
        connections[fd] = c;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void on_stdin(void)
{
    char ignored[256];
    if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
        exit(0);
}

static void on_sigterm(int number)
{
    (void)number;
    _exit(0);
}

static void usage(void)
{
    fprintf(stderr, "usage: server [--tls FILE] [--tickets] [--deflate] "
                    "echo | push CLIENTS MESSAGES SIZE | idle\n");
    exit(2);
}

static uint32_t number(const char *text, const char *name)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != 0 || end == text || value > UINT32_MAX) {
        fprintf(stderr, "server: %s is not a number: %s\n", name, text);
        exit(2);
    }
    return (uint32_t)value;
}

static void read_command_line(int argc, char **argv)
{
    const char *certificate = NULL;
    bool tickets = false;
    for (; argc > 1 && strncmp(argv[1], "--", 2) == 0; argc--, argv++) {
        if (strcmp(argv[1], "--tls") == 0 && argc > 2)
            certificate = argv[2], argc--, argv++;
        else if (strcmp(argv[1], "--tickets") == 0)
            tickets = true;
        else if (strcmp(argv[1], "--deflate") == 0)
            deflate = true;
        else
            usage();
    }
    if (certificate != NULL)
        tls_start(certificate, true, tickets);
    use_tls = certificate != NULL;

    if (argc == 2 && strcmp(argv[1], "echo") == 0) {
        mode = ECHO;
    } else if (argc == 2 && strcmp(argv[1], "idle") == 0) {
        mode = IDLE;
    } else if (argc == 5 && strcmp(argv[1], "push") == 0) {
        mode = PUSH;
        push_clients = number(argv[2], "CLIENTS");
        push_messages = number(argv[3], "MESSAGES");
        uint32_t size = number(argv[4], "SIZE");
        struct buffer text = {0};
        for (uint32_t i = 0; i < size; i++) {
            char letter = (char)('a' + i % 26);
            append(&text, &letter, 1);
        }
        append_frame(&push_frame, FIN | OP_TEXT, text.data, size);
        release(&text);
    } else {
        usage();
    }
}

static void start(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit");
    max_fds = limit.rlim_cur < 1 << 20 ? limit.rlim_cur : 1 << 20;
    connections = calloc(max_fds, sizeof *connections);
    ring = calloc(max_fds, sizeof *ring);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connections == NULL || ring == NULL || epoll_fd < 0 || listener < 0)
        die("start");

    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, BACKLOG) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll_ctl");
    event.data.fd = STDIN_FILENO; /* refused for a file or /dev/null: then only SIGTERM ends it */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0 && errno != EPERM)
        die("epoll_ctl");

    signal(SIGTERM, on_sigterm);
    printf("PORT %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    start();
    static struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, ring_length > 0 ? 0 : -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                on_accept();
            else if (fd == STDIN_FILENO)
                on_stdin();
            else if (connections[fd] != NULL &&
                     (!(events[i].events & EPOLLOUT) || on_writable(connections[fd])) &&
                     events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                while (on_readable(connections[fd]))
                    ;
        }
        push_round();
    }
}

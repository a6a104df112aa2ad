/*
 * Send and receive on a socket, with TLS or without. Where OpenSSL's headers are missing, NO_TLS
 * leaves a plain socket. The functions return what send(2) and recv(2) would, errno included.
 */
#ifndef TLS_H
#define TLS_H
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifdef NO_TLS

typedef void TLS;

static ssize_t stream_send(int fd, TLS *tls, const void *data, size_t length)
{
    (void)tls;
    return send(fd, data, length, MSG_NOSIGNAL);
}

static ssize_t stream_receive(int fd, TLS *tls, void *data, size_t room)
{
    (void)tls;
    return recv(fd, data, room, 0);
}

static void tls_start(const char *certificate, bool server, bool tickets)
{
    (void)certificate, (void)server, (void)tickets;
    fprintf(stderr, "built without TLS\n");
    exit(1);
}

static TLS *tls_new(int fd)
{
    (void)fd;
    return NULL;
}

static inline TLS *tls_new_client(int fd, const char *certificate)
{
    (void)certificate;
    return tls_new(fd);
}

static inline void tls_free(TLS *tls)
{
    (void)tls;
}

#else

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

typedef SSL TLS;

static SSL_CTX *tls_context;
static bool tls_is_server;

static void tls_die(const char *what)
{
    fprintf(stderr, "%s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* 0, or -1 with errno, for a call that returned no data. */
static ssize_t tls_result(TLS *tls, int result)
{
    switch (SSL_get_error(tls, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = ECONNRESET;
        return -1;
    }
}

static ssize_t stream_send(int fd, TLS *tls, const void *data, size_t length)
{
    if (tls == NULL)
        return send(fd, data, length, MSG_NOSIGNAL);
    size_t total = 0;
    while (total < length) { /* a record at a time */
        ERR_clear_error();
        int sent = SSL_write(tls, (const char *)data + total, (int)(length - total));
        if (sent <= 0) {
            ssize_t result = tls_result(tls, sent);
            return total > 0 && result < 0 && errno == EAGAIN ? (ssize_t)total : result;
        }
        total += (size_t)sent;
    }
    return (ssize_t)total;
}

/* When it fills the room there may be more that the poller does not know of. */
static ssize_t stream_receive(int fd, TLS *tls, void *data, size_t room)
{
    if (tls == NULL)
        return recv(fd, data, room, 0);
    size_t total = 0;
    do {
        ERR_clear_error();
        int got = SSL_read(tls, (char *)data + total, (int)(room - total));
        if (got <= 0)
            return total > 0 ? (ssize_t)total : tls_result(tls, got);
        total += (size_t)got;
    } while (total < room && SSL_has_pending(tls));
    return (ssize_t)total;
}

/* A new key and a certificate for 127.0.0.1, valid for a day; the certificate goes to a file. */
static void tls_make_certificate(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    if (key == NULL || certificate == NULL)
        tls_die("certificate");
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"benchmark", -1,
                               -1, 0);
    X509_set_issuer_name(certificate, name);
    static const struct {
        int id;
        const char *value;
    } extensions[] = {
        {NID_subject_alt_name, "IP:127.0.0.1"},
        {NID_basic_constraints, "critical,CA:TRUE"},
        {NID_key_usage, "critical,digitalSignature,keyCertSign"},
        {NID_subject_key_identifier, "hash"},
    };
    X509V3_CTX about;
    X509V3_set_ctx_nodb(&about);
    X509V3_set_ctx(&about, certificate, certificate, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        X509_EXTENSION *extension =
            X509V3_EXT_conf_nid(NULL, &about, extensions[i].id, extensions[i].value);
        if (extension == NULL || !X509_add_ext(certificate, extension, -1))
            tls_die("certificate");
        X509_EXTENSION_free(extension);
    }
    FILE *file;
    if (!X509_sign(certificate, key, EVP_sha256()) ||
        SSL_CTX_use_certificate(tls_context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(tls_context, key) != 1)
        tls_die("certificate");
    if ((file = fopen(path, "w")) == NULL || !PEM_write_X509(file, certificate) || fclose(file) != 0)
        tls_die(path);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static SSL_CTX *tls_new_context(bool server)
{
    SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (context == NULL)
        tls_die("SSL_CTX_new");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(context, 1); /* one recv(2) per record, not two */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

static void tls_trust(SSL_CTX *context, const char *certificate)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(context, certificate, NULL) != 1)
        tls_die(certificate);
}

/* To be called once. The server writes the certificate, the client trusts it. */
static void tls_start(const char *certificate, bool server, bool tickets)
{
    signal(SIGPIPE, SIG_IGN); /* OpenSSL calls write(2) */
    tls_is_server = server;
    tls_context = tls_new_context(server);
    if (server) {
        if (!tickets) {
            SSL_CTX_set_options(tls_context, SSL_OP_NO_TICKET);
            SSL_CTX_set_num_tickets(tls_context, 0);
        }
        tls_make_certificate(certificate);
    } else {
        tls_trust(tls_context, certificate);
    }
}

static TLS *tls_over(SSL_CTX *context, int fd, bool server)
{
    TLS *tls = SSL_new(context);
    if (tls == NULL || SSL_set_fd(tls, fd) != 1)
        tls_die("SSL_new");
    if (server)
        SSL_set_accept_state(tls);
    else
        SSL_set_connect_state(tls);
    return tls;
}

/* The handshake happens with the first stream_send or stream_receive. */
static TLS *tls_new(int fd)
{
    return tls_over(tls_context, fd, tls_is_server);
}

/* The client's end, in a process that has started as a server. */
static inline TLS *tls_new_client(int fd, const char *certificate)
{
    static SSL_CTX *context;
    if (context == NULL) {
        context = tls_new_context(false);
        tls_trust(context, certificate);
    }
    return tls_over(context, fd, false);
}

/* Says close_notify if that is possible at once. */
static inline void tls_free(TLS *tls)
{
    if (tls == NULL)
        return;
    if (SSL_is_init_finished(tls)) {
        ERR_clear_error();
        SSL_shutdown(tls);
    }
    SSL_free(tls);
}

#endif
#endif

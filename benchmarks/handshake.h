/* What a server needs for the opening handshake (RFC 6455 section 4.2). */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ---- SHA-1 (FIPS 180-4) and base64 (RFC 4648), for the opening handshake only ---- */

static uint32_t rotate_left(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 80; t++)
        w[t] = rotate_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);

    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20)
            f = (b & c) | (~b & d), k = 0x5a827999;
        else if (t < 40)
            f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (t < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else
            f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t next = rotate_left(a, 5) + f + e + k + w[t];
        e = d, d = c, c = rotate_left(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* The digest of up to 119 bytes, which is at most two blocks with the padding. */
static void sha1_short(const uint8_t *data, size_t length, uint8_t digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t padded[128] = {0};
    size_t total = length + 9 <= 64 ? 64 : 128;
    memcpy(padded, data, length);
    padded[length] = 0x80;
    padded[total - 2] = (uint8_t)(length * 8 >> 8);
    padded[total - 1] = (uint8_t)(length * 8);
    for (size_t i = 0; i < total; i += 64)
        sha1_block(h, padded + i);
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* 20 bytes -> 28 characters and a NUL */
static void base64_digest(const uint8_t digest[20], char text[29])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t in[21] = {0};
    memcpy(in, digest, 20);
    for (int i = 0; i < 7; i++) {
        uint32_t group = (uint32_t)in[3 * i] << 16 | (uint32_t)in[3 * i + 1] << 8 | in[3 * i + 2];
        for (int j = 0; j < 4; j++)
            text[4 * i + j] = alphabet[group >> (18 - 6 * j) & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

/* What Sec-WebSocket-Accept says to a key of 24 characters. */
static void accept_key(const char *key, char accept[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t input[24 + sizeof guid - 1], digest[20];
    memcpy(input, key, 24);
    memcpy(input + 24, guid, sizeof guid - 1);
    sha1_short(input, sizeof input, digest);
    base64_digest(digest, accept);
}

/* The value in the head, up to the end of its line; NULL where there is none. */
static const char *header_value(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}
#endif

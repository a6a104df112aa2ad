/* Frames (RFC 6455 section 5.2), as server and client need them. */
#ifndef FRAMES_H
#define FRAMES_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OP_CONT = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { FIN = 0x80, RSV1 = 0x40, MASKED = 0x80, MAX_HEADER = 14 };

/* Writes the header, without the masking key; returns its size. `masked` is MASKED or 0. */
static size_t frame_header(uint8_t h[MAX_HEADER], uint8_t first, uint8_t masked, uint64_t length)
{
    h[0] = first;
    if (length < 126) {
        h[1] = (uint8_t)(masked | length);
        return 2;
    }
    if (length < 65536) {
        h[1] = masked | 126, h[2] = (uint8_t)(length >> 8), h[3] = (uint8_t)length;
        return 4;
    }
    h[1] = masked | 127;
    for (int i = 0; i < 8; i++)
        h[2 + i] = (uint8_t)(length >> (56 - 8 * i));
    return 10;
}

/* target and source may be the same. Section 5.3. */
static void apply_mask(char *target, const char *source, size_t length, const char key[4])
{
    uint32_t key32;
    memcpy(&key32, key, 4);
    uint64_t key64 = (uint64_t)key32 << 32 | key32;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, source + i, 8);
        word ^= key64;
        memcpy(target + i, &word, 8);
    }
    for (; i < length; i++)
        target[i] = (char)(source[i] ^ key[i % 4]);
}
#endif

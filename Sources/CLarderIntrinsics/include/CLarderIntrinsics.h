// Processor instructions that Swift has no name for. Header-only: every function is inlined into its caller.
#ifndef LARDER_INTRINSICS_H
#define LARDER_INTRINSICS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#endif

/// Asks the processor to fetch the cache line at `address` for reading. Any address is allowed, it never faults.
static inline void larder_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// The same for writing.
static inline void larder_prefetch_write(const void *address) { __builtin_prefetch(address, 1, 3); }

/// Tells the processor that this is a spin loop.
static inline void larder_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/// Whether `larder_crc32c` may be called on this processor.
static inline int larder_has_crc32c(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
    return 1;
#else
    return 0;
#endif
}

#if defined(__x86_64__)
/// CRC-32C of blocks of 1,536 bytes, as many as there are; `*bytes` and `*count` move on behind them.
///
/// The instruction takes three cycles and one can begin in each, so three runs of 512 bytes are summed side by side. A sum is moved past
/// the runs behind it by a product with x^(8 * 512 * runs - 33) modulo the polynomial, both bit-reflected.
/// Source: V. Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel 2011.
__attribute__((target("sse4.2,pclmul")))
static inline uint64_t larder_crc32c_blocks(uint64_t crc, const uint8_t **bytes, size_t *count) {
    const uint8_t *p = *bytes;
    size_t left = *count;
    for (; left >= 1536; left -= 1536, p += 1536) {
        uint64_t first = crc, second = 0, third = 0, word;
        for (size_t i = 0; i < 512; i += 8) {
            memcpy(&word, p + i, 8);
            first = _mm_crc32_u64(first, word);
            memcpy(&word, p + 512 + i, 8);
            second = _mm_crc32_u64(second, word);
            memcpy(&word, p + 1024 + i, 8);
            third = _mm_crc32_u64(third, word);
        }
        __m128i past_two = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)first), _mm_cvtsi64_si128(0x170076FA), 0);
        __m128i past_one = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)second), _mm_cvtsi64_si128(0xDD7E3B0C), 0);
        word = (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(past_two, past_one));
        crc = _mm_crc32_u64(0, word) ^ third;
    }
    *bytes = p;
    *count = left;
    return crc;
}
#endif

/// CRC-32C (Castagnoli) of `count` bytes, continuing from `crc`, which is the raw register: callers invert it
/// before the first and after the last call. Only when `larder_has_crc32c()`.
#if defined(__x86_64__)
__attribute__((target("sse4.2")))
#endif
static inline uint32_t larder_crc32c(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *p = (const uint8_t *)bytes;
#if defined(__x86_64__)
    uint64_t wide = crc;
    if (count >= 1536 && __builtin_cpu_supports("pclmul")) wide = larder_crc32c_blocks(crc, &p, &count);
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
        p += 8;
        count -= 8;
    }
    crc = (uint32_t)wide;
    if (count >= 4) {
        uint32_t word;
        memcpy(&word, p, 4);
        crc = _mm_crc32_u32(crc, word);
        p += 4;
        count -= 4;
    }
    while (count > 0) {
        crc = _mm_crc32_u8(crc, *p);
        p += 1;
        count -= 1;
    }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = __crc32cd(crc, word);
        p += 8;
        count -= 8;
    }
    while (count > 0) {
        crc = __crc32cb(crc, *p);
        p += 1;
        count -= 1;
    }
#else
    (void)p;
    (void)count;
#endif
    return crc;
}

/// Bit i is set when `tags[i] == tag`, for the 16 bytes at `tags`.
static inline uint32_t larder_match16(const void *tags, uint8_t tag) {
#if defined(__x86_64__)
    __m128i line = _mm_loadu_si128((const __m128i *)tags);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8((char)tag)));
#else
    uint32_t mask = 0;
    for (int i = 0; i < 16; i++) mask |= (uint32_t)(((const uint8_t *)tags)[i] == tag) << i;
    return mask;
#endif
}

/// Whether each of the 16 bytes at `bytes` is one of `a-z A-Z 0-9 - . / = _`.
static inline int larder_are_path_bytes16(const void *bytes) {
#if defined(__x86_64__)
    __m128i line = _mm_loadu_si128((const __m128i *)bytes);
    // Compares as signed, so that bytes from 0x80 on are below every bound.
    __m128i lower = _mm_or_si128(line, _mm_set1_epi8(0x20));
    __m128i letters = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)), _mm_cmpgt_epi8(_mm_set1_epi8('z' + 1), lower));
    // `-` to `9` are neighbours in ASCII and all allowed: `- . / 0 ... 9`.
    __m128i digits = _mm_and_si128(_mm_cmpgt_epi8(line, _mm_set1_epi8('-' - 1)), _mm_cmpgt_epi8(_mm_set1_epi8('9' + 1), line));
    __m128i others = _mm_or_si128(_mm_cmpeq_epi8(line, _mm_set1_epi8('=')), _mm_cmpeq_epi8(line, _mm_set1_epi8('_')));
    return _mm_movemask_epi8(_mm_or_si128(letters, _mm_or_si128(digits, others))) == 0xFFFF;
#else
    int all = 1;
    for (int i = 0; i < 16; i++) {
        uint8_t byte = ((const uint8_t *)bytes)[i], lower = byte | 0x20;
        all &= (lower >= 'a' && lower <= 'z') || (byte >= '-' && byte <= '9') || byte == '=' || byte == '_';
    }
    return all;
#endif
}

/// Asks the processor for what every cell with `tag` refers to, in the bucket of a hash table at `bucket` (see
/// BucketArray.swift): twelve 32-bit references in granules of 8 bytes from `base`, then twelve tags, then how many references
/// went past the bucket. Three lines of each, which is where keys and values of a common size end.
///
/// Returns whether there is none here, and may be one in the next bucket.
///
/// Called without the lock that guards the bucket, so what it reads may be half of one write and half of another. It does
/// nothing with it but name lines to fetch, which never faults.
__attribute__((no_sanitize("thread")))
static inline int larder_prefetch_match(const void *bucket, uint8_t tag, const void *base) {
    uint32_t matches = larder_match16((const uint8_t *)bucket + 48, tag) & 0xFFF;
    if (matches == 0) return ((const volatile uint32_t *)bucket)[15] != 0;
    for (; matches != 0; matches &= matches - 1) {
        uint32_t reference = ((const volatile uint32_t *)bucket)[__builtin_ctz(matches)];
        const uint8_t *entry = (const uint8_t *)base + (uint64_t)reference * 8;
        __builtin_prefetch(entry, 0, 3);
        __builtin_prefetch(entry + 64, 0, 3);
        __builtin_prefetch(entry + 128, 0, 3);
    }
    return 0;
}

// What follows reads memory that another thread may be changing meanwhile, and may so see half of one change and half of another:
// see VersionedLock.swift. Each word is loaded once; the pointers need no alignment.

typedef uint32_t larder_unaligned32 __attribute__((aligned(1)));
typedef uint64_t larder_unaligned64 __attribute__((aligned(1)));

__attribute__((no_sanitize("thread")))
static inline uint32_t larder_load32_racing(const void *address) {
    return *(const volatile larder_unaligned32 *)address;
}

__attribute__((no_sanitize("thread")))
static inline uint64_t larder_load64_racing(const void *address) {
    return *(const volatile larder_unaligned64 *)address;
}

/// `larder_match16` of such memory.
__attribute__((no_sanitize("thread")))
static inline uint32_t larder_match16_racing(const void *tags, uint8_t tag) {
    uint64_t copy[2] = {larder_load64_racing(tags), larder_load64_racing((const uint8_t *)tags + 8)};
    return larder_match16(copy, tag);
}

/// Whether `count` bytes of such memory are those at `own`, which nobody changes.
__attribute__((no_sanitize("thread")))
static inline int larder_equal_racing(const void *shared, const void *own, ptrdiff_t count) {
    const uint8_t *left = (const uint8_t *)shared, *right = (const uint8_t *)own;
    uint64_t word;
    for (; count >= 8; count -= 8, left += 8, right += 8) {
        memcpy(&word, right, 8);
        if (larder_load64_racing(left) != word) return 0;
    }
    for (; count > 0; count--, left++, right++) {
        if (*(const volatile uint8_t *)left != *right) return 0;
    }
    return 1;
}

#endif

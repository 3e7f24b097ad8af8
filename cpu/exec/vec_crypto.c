/*
 * AES, PCLMULQDQ, SHA and GFNI on XMM registers (SDM Vol. 2; FIPS 197, FIPS 180-4). The host's instruction where it has
 * one, asked when the block is built; otherwise portable code with the same result, plain rather than fast.
 */
#include <cpuid.h>

#include "cpu/exec/vec_forms.h"

/* ---- portable twins -------------------------------------------------------------------------------------- */

union words {
	vec128 v;
	u32 d[4];
	u64 q[2];
	u8 b[16];
};

static u32 rol32(u32 v, unsigned n)
{
	return v << n | v >> (32 - n);
}

/* Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
static u8 gf_mul(u8 x, u8 y)
{
	unsigned r = 0, m = x;

	for (; y; y >>= 1, m = m << 1 ^ (m & 0x80 ? 0x11b : 0))
		r ^= y & 1 ? m : 0;
	return (u8)r;
}

/* x^254, which is 1/x, and 0 for 0. */
static u8 gf_inverse(u8 x)
{
	u8 r = 1;

	for (unsigned i = 0; i < 7; i++) {
		x = gf_mul(x, x);
		r = gf_mul(r, x);
	}
	return r;
}

static u8 rol8(u8 v, unsigned n)
{
	return (u8)(v << n | v >> (8 - n));
}

static u8 sub_byte(u8 x)
{
	u8 v = gf_inverse(x);
	return v ^ rol8(v, 1) ^ rol8(v, 2) ^ rol8(v, 3) ^ rol8(v, 4) ^ 0x63;
}

static u8 inv_sub_byte(u8 x)
{
	return gf_inverse(rol8(x, 1) ^ rol8(x, 3) ^ rol8(x, 6) ^ 0x05);
}

/* SubBytes after ShiftRows, or their inverses. */
static union words aes_sub_shift(union words s, bool inverse)
{
	union words r;

	for (unsigned i = 0; i < 16; i++)
		r.b[i] = inverse ? inv_sub_byte(s.b[(i * 13) & 15]) : sub_byte(s.b[(i * 5) & 15]);
	return r;
}

/* Each column multiplied by the polynomial whose coefficients are @c. */
static union words aes_mix(union words s, const u8 c[4])
{
	union words r;

	for (unsigned i = 0; i < 16; i++) {
		r.b[i] = 0;
		for (unsigned k = 0; k < 4; k++)
			r.b[i] ^= gf_mul(c[k], s.b[(i & 12) | ((i + k) & 3)]);
	}
	return r;
}

static const u8 mix_forward[4] = {2, 3, 1, 1}, mix_inverse[4] = {14, 11, 13, 9};

static vec128 soft_aesenc(vec128 a, vec128 b)
{
	union words s = {a};
	s = aes_mix(aes_sub_shift(s, false), mix_forward);
	return _mm_xor_si128(s.v, b);
}

static vec128 soft_aesenclast(vec128 a, vec128 b)
{
	union words s = {a};
	return _mm_xor_si128(aes_sub_shift(s, false).v, b);
}

static vec128 soft_aesdec(vec128 a, vec128 b)
{
	union words s = {a};
	s = aes_mix(aes_sub_shift(s, true), mix_inverse);
	return _mm_xor_si128(s.v, b);
}

static vec128 soft_aesdeclast(vec128 a, vec128 b)
{
	union words s = {a};
	return _mm_xor_si128(aes_sub_shift(s, true).v, b);
}

static vec128 soft_aesimc(vec128 b)
{
	union words s = {b};
	return aes_mix(s, mix_inverse).v;
}

/* With a round constant of 0. */
static vec128 soft_aeskeygen(vec128 b)
{
	union words s = {b}, r;

	for (unsigned i = 0; i < 4; i++) {
		r.b[i] = sub_byte(s.b[4 + i]);
		r.b[8 + i] = sub_byte(s.b[12 + i]);
	}
	r.d[1] = rol32(r.d[0], 24);
	r.d[3] = rol32(r.d[2], 24);
	return r.v;
}

static NOINLINE vec128 soft_pclmul(vec128 a, vec128 b, u64 imm)
{
	union words x = {a}, y = {b}, r = {.q = {0, 0}};
	u64 p = x.q[imm & 1], q = y.q[imm >> 4 & 1];

	for (unsigned i = 0; i < 64; i++) {
		if (!(q >> i & 1))
			continue;
		r.q[0] ^= p << i;
		r.q[1] ^= i ? p >> (64 - i) : 0;
	}
	return r.v;
}

static vec128 soft_sha1nexte(vec128 a, vec128 b)
{
	union words x = {a}, y = {b};
	y.d[3] += rol32(x.d[3], 30);
	return y.v;
}

static vec128 soft_sha1msg1(vec128 a, vec128 b)
{
	union words x = {a}, y = {b};
	union words r = {.d = {y.d[2] ^ x.d[0], y.d[3] ^ x.d[1], x.d[0] ^ x.d[2], x.d[1] ^ x.d[3]}};
	return r.v;
}

static vec128 soft_sha1msg2(vec128 a, vec128 b)
{
	union words x = {a}, y = {b}, r;

	r.d[3] = rol32(x.d[3] ^ y.d[2], 1);
	r.d[2] = rol32(x.d[2] ^ y.d[1], 1);
	r.d[1] = rol32(x.d[1] ^ y.d[0], 1);
	r.d[0] = rol32(x.d[0] ^ r.d[3], 1);
	return r.v;
}

static u32 sha1_f(unsigned part, u32 b, u32 c, u32 d)
{
	switch (part) {
	case 0: return (b & c) ^ (~b & d);
	case 2: return (b & c) ^ (b & d) ^ (c & d);
	default: return b ^ c ^ d;
	}
}

static vec128 soft_sha1rnds4(vec128 va, vec128 vb, u64 imm)
{
	static const u32 constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	union words x = {va}, w = {vb};
	u32 a = x.d[3], b = x.d[2], c = x.d[1], d = x.d[0], e = 0;

	for (unsigned i = 0; i < 4; i++) {
		u32 t = sha1_f(imm & 3, b, c, d) + rol32(a, 5) + w.d[3 - i] + e + constants[imm & 3];
		e = d;
		d = c;
		c = rol32(b, 30);
		b = a;
		a = t;
	}
	union words r = {.d = {d, c, b, a}};
	return r.v;
}

static u32 sha256_sigma(u32 v, unsigned r1, unsigned r2, u32 last)
{
	return rol32(v, 32 - r1) ^ rol32(v, 32 - r2) ^ last;
}

static vec128 soft_sha256rnds2(vec128 va, vec128 vb, vec128 xmm0)
{
	union words x = {va}, y = {vb}, wk = {xmm0};
	u32 a = y.d[3], b = y.d[2], c = x.d[3], d = x.d[2], e = y.d[1], f = y.d[0], g = x.d[1], h = x.d[0];

	for (unsigned i = 0; i < 2; i++) {
		u32 t = ((e & f) ^ (~e & g)) + sha256_sigma(e, 6, 11, rol32(e, 7)) + wk.d[i] + h;
		h = g;
		g = f;
		f = e;
		e = t + d;
		d = t + ((a & b) ^ (a & c) ^ (b & c)) + sha256_sigma(a, 2, 13, rol32(a, 10));
		u32 next = d;
		d = c;
		c = b;
		b = a;
		a = next;
	}
	union words r = {.d = {f, e, b, a}};
	return r.v;
}

static vec128 soft_sha256msg1(vec128 a, vec128 b)
{
	union words x = {a}, y = {b}, r;

	for (unsigned i = 0; i < 4; i++) {
		u32 w = i < 3 ? x.d[i + 1] : y.d[0];
		r.d[i] = x.d[i] + sha256_sigma(w, 7, 18, w >> 3);
	}
	return r.v;
}

static vec128 soft_sha256msg2(vec128 a, vec128 b)
{
	union words x = {a}, y = {b}, r;

	for (unsigned i = 0; i < 4; i++) {
		u32 w = i < 2 ? y.d[2 + i] : r.d[i - 2];
		r.d[i] = x.d[i] + sha256_sigma(w, 17, 19, w >> 10);
	}
	return r.v;
}

/* ---- the host's own ------------------------------------------------------------------------------------------- */

#define HOST2(op)                                                                                 \
	static ALWAYS_INLINE vec128 host_##op(vec128 a, vec128 b)                                  \
	{                                                                                          \
		asm(#op " %1, %0" : "+x"(a) : "x"(b));                                              \
		return a;                                                                           \
	}
HOST2(aesenc)
HOST2(aesenclast)
HOST2(aesdec)
HOST2(aesdeclast)
HOST2(sha1nexte)
HOST2(sha1msg1)
HOST2(sha1msg2)
HOST2(sha256msg1)
HOST2(sha256msg2)

static ALWAYS_INLINE vec128 host_aesimc(vec128 b)
{
	vec128 r;
	asm("aesimc %1, %0" : "=x"(r) : "x"(b));
	return r;
}

static ALWAYS_INLINE vec128 host_aeskeygen(vec128 b)
{
	vec128 r;
	asm("aeskeygenassist $0, %1, %0" : "=x"(r) : "x"(b));
	return r;
}

static ALWAYS_INLINE vec128 host_sha256rnds2(vec128 a, vec128 b, vec128 xmm0)
{
	asm("sha256rnds2 %2, %1, %0" : "+x"(a) : "x"(b), "Yz"(xmm0));
	return a;
}

#define IMM_CASE(op, value, n)                                                                    \
	case value: asm(#op " %2, %1, %0" : "+x"(a) : "x"(b), "i"(n)); break;

static ALWAYS_INLINE vec128 host_sha1rnds4(vec128 a, vec128 b, u64 imm)
{
	switch (imm & 3) {
		IMM_CASE(sha1rnds4, 0, 0)
		IMM_CASE(sha1rnds4, 1, 1)
		IMM_CASE(sha1rnds4, 2, 2)
		IMM_CASE(sha1rnds4, 3, 3)
	}
	return a;
}

static ALWAYS_INLINE vec128 host_pclmul(vec128 a, vec128 b, u64 imm)
{
	switch (imm & 0x11) {
		IMM_CASE(pclmulqdq, 0x00, 0x00)
		IMM_CASE(pclmulqdq, 0x01, 0x01)
		IMM_CASE(pclmulqdq, 0x10, 0x10)
		IMM_CASE(pclmulqdq, 0x11, 0x11)
	}
	return a;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static bool host_has_aes(void)
{
	return __builtin_cpu_supports("aes");
}

static bool host_has_pclmul(void)
{
	return __builtin_cpu_supports("pclmul");
}

static bool host_has_sha(void)
{
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & BIT(29));
}

#define CRYPTO(name, has, host, soft)                                                             \
	VEC_HANDLERS(host_##name, X, 16A, host)                                                    \
	VEC_HANDLERS(soft_##name, X, 16A, soft)                                                    \
	VEC_GEN(name)                                                                              \
	{                                                                                          \
		static const struct vec_form native = VEC_FORM(host_##name),                        \
					     portable = VEC_FORM(soft_##name);                      \
		vec_emit_form(b, in, has() ? &native : &portable, 1);                               \
	}
/* With a VEX form. */
#define CRYPTO_AVX(name, has, host, soft)                                                         \
	CRYPTO(name, has, host, soft)                                                              \
	AVX_128(host_##name, 16, host)                                                             \
	AVX_256(host_##name, host)                                                                 \
	AVX_128(soft_##name, 16, soft)                                                             \
	AVX_256(soft_##name, soft)                                                                 \
	VEC_GEN(v##name)                                                                           \
	{                                                                                          \
		static const struct avx_forms native = {AVX_FORMS(host_##name)},                    \
					      portable = {AVX_FORMS(soft_##name)};                  \
		avx_emit(b, in, has() ? &native : &portable);                                       \
	}
#define CRYPTO2_AVX(name, has) CRYPTO_AVX(name, has, host_##name(a, b), soft_##name(a, b))
#define CRYPTO2(name, has) CRYPTO(name, has, host_##name(a, b), soft_##name(a, b))

CRYPTO2_AVX(aesenc, host_has_aes)
CRYPTO2_AVX(aesenclast, host_has_aes)
CRYPTO2_AVX(aesdec, host_has_aes)
CRYPTO2_AVX(aesdeclast, host_has_aes)
CRYPTO_AVX(aesimc, host_has_aes, host_aesimc(b), soft_aesimc(b))
/* The round constant goes into the rotated words only. */
#define RCON _mm_setr_epi32(0, (u8)imm, 0, (u8)imm)
CRYPTO_AVX(aeskeygenassist, host_has_aes, _mm_xor_si128(host_aeskeygen(b), RCON),
       _mm_xor_si128(soft_aeskeygen(b), RCON))
CRYPTO_AVX(pclmulqdq, host_has_pclmul, host_pclmul(a, b, imm), soft_pclmul(a, b, imm))
CRYPTO2(sha1nexte, host_has_sha)
CRYPTO2(sha1msg1, host_has_sha)
CRYPTO2(sha1msg2, host_has_sha)
CRYPTO(sha1rnds4, host_has_sha, host_sha1rnds4(a, b, imm), soft_sha1rnds4(a, b, imm))
CRYPTO(sha256rnds2, host_has_sha, host_sha256rnds2(a, b, cpu_xmm0(cpu)), soft_sha256rnds2(a, b, cpu_xmm0(cpu)))
CRYPTO2(sha256msg1, host_has_sha)
CRYPTO2(sha256msg2, host_has_sha)

/* ---- GFNI: portable only ----------------------------------------------------------------------------------------- */

static NOINLINE vec128 gf2p8_mul(vec128 a, vec128 b)
{
	union words x = {a}, y = {b};

	for (unsigned i = 0; i < 16; i++)
		x.b[i] = gf_mul(x.b[i], y.b[i]);
	return x.v;
}

/* Each byte of @a (or its inverse) times the 8x8 bit matrix in its quadword of @b, plus @imm. */
static vec128 gf2p8_affine(vec128 a, vec128 b, u64 imm, bool invert)
{
	union words x = {a}, y = {b}, r;

	for (unsigned i = 0; i < 16; i++) {
		u8 v = invert ? gf_inverse(x.b[i]) : x.b[i];
		r.b[i] = (u8)imm;
		for (unsigned k = 0; k < 8; k++)
			r.b[i] ^= (u8)(__builtin_parity(y.b[(i & 8) + 7 - k] & v) << k);
	}
	return r.v;
}

VEC_LEGACY(gf2p8mulb, 16A, gf2p8_mul(a, b))
VEC_LEGACY(gf2p8affineqb, 16A, gf2p8_affine(a, b, imm, false))
VEC_LEGACY(gf2p8affineinvqb, 16A, gf2p8_affine(a, b, imm, true))

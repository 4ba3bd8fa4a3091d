#include "drivers/hasher.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_KEY_BYTES = 16 };

typedef const void *digest_function(void);
typedef unsigned char *hmac_function(const void *digest, const void *key, int key_len, const unsigned char *data, size_t n, unsigned char *out, unsigned int *out_len);

struct openssl {
    struct rf_hasher hasher;
    const char *key;
    int n_key;
    digest_function *sha256;
    hmac_function *hmac;
};

static bool hash(void *self, const uint8_t *bytes, size_t n_bytes, uint8_t out[RF_HASH_BYTES]) {
    const struct openssl *openssl = self;
    unsigned int n_out = 0;
    return openssl->hmac(openssl->sha256(), openssl->key, openssl->n_key, bytes, n_bytes, out, &n_out) && n_out == RF_HASH_BYTES;
}

static enum rf_code load(struct openssl *openssl, struct rf_error *err) {
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libcrypto.so.1.1", RTLD_NOW | RTLD_LOCAL);
    void *sha256 = library ? dlsym(library, "EVP_sha256") : NULL, *hmac = library ? dlsym(library, "HMAC") : NULL;
    if (!sha256 || !hmac) {
        rf_fail(err, RF_CONFIG, "\"mask\" of the job asks for a hash, and OpenSSL's libcrypto cannot be loaded");
        return rf_hint(err, "On Debian or Ubuntu: apt-get install libssl3.");
    }
    memcpy(&openssl->sha256, &sha256, sizeof sha256); /* POSIX: a pointer to an object holds one to a function */
    memcpy(&openssl->hmac, &hmac, sizeof hmac);
    return RF_OK;
}

/* A short key could be found by trying, and with it what was hashed. */
static enum rf_code take_key(const struct rf_job *job, struct openssl *openssl, struct rf_arena *arena, struct rf_error *err) {
    const char *key = getenv(job->mask_key_env);
    size_t n_key = key ? strlen(key) : 0;
    if (n_key == 0) {
        rf_fail(err, RF_CONFIG, "\"mask\" of the job asks for a hash, and the environment variable %s, which \"mask_key_env\" names, is not set", job->mask_key_env);
        return rf_hint(err, "Set it to a secret of at least %d bytes, as `openssl rand -hex 32` gives one.", LEAST_KEY_BYTES);
    }
    if (n_key < LEAST_KEY_BYTES || n_key > INT_MAX) {
        rf_fail(err, RF_CONFIG, "the key in the environment variable %s has fewer than %d bytes", job->mask_key_env, LEAST_KEY_BYTES);
        return rf_hint(err, "A short key can be found by trying: take one as `openssl rand -hex 32` gives it.");
    }
    openssl->key = rf_arena_copy(arena, key);
    openssl->n_key = (int)n_key;
    return openssl->key ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_hasher_open(const struct rf_job *job, struct rf_arena *arena, const struct rf_hasher **out, struct rf_error *err) {
    struct openssl *openssl = rf_arena_take(arena, sizeof *openssl);
    if (!openssl) return rf_no_memory(err);
    openssl->hasher = (struct rf_hasher){.hash = hash, .self = openssl};
    RF_TRY(take_key(job, openssl, arena, err));
    RF_TRY(load(openssl, err));
    *out = &openssl->hasher;
    return RF_OK;
}

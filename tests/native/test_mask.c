/* What a mask sends in place of a value, and rows of which fields are hashed on their way, however they are cut. */
#include "core/mask.h"

#include "core/copy_binary.h"
#include "drivers/hasher.h"
#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

static const char *written(const char *word) {
    static char copy[64];
    struct rf_mask mask = {0};
    struct rf_text text = {0};
    if (!rf_mask_read(word, &mask)) return NULL;
    rf_mask_write(&mask, &text);
    rf_copy_text(copy, sizeof copy, whole(&text));
    rf_text_free(&text);
    return copy;
}

TEST(a_mask_is_read_as_it_is_written) {
    static const char *const words[] = {"drop", "redact", "hash", "truncate:1", "truncate:1000000"};
    for (size_t i = 0; i < N_OF(words); i++) assert_string_equal(needed((void *)(uintptr_t)written(words[i])), words[i]);
}

TEST(what_is_no_mask_is_not_read_as_one) {
    static const char *const words[] = {"", "Hash", "hash ", "truncate", "truncate:", "truncate:0", "truncate:-1", "truncate:+1", "truncate: 1", "truncate:1 ", "truncate:1000001", "truncate:99999999"};
    for (size_t i = 0; i < N_OF(words); i++) assert_null(written(words[i]));
}

/* ---- columns ---- */

TEST(a_masked_column_says_what_arrives) {
    struct facts facts;
    make_facts(&facts, ",\"mask\":{\"amount\":\"redact\",\"note\":\"truncate:2\",\"id\":\"hash\"}");
    assert_code(rf_mask_columns(&facts.job, &facts.source, &facts.arena, &facts.err), RF_OK, &facts.err);
    const struct rf_column *id = &facts.source.columns[0], *amount = &facts.source.columns[1], *note = &facts.source.columns[2];
    assert_string_equal(id->masked, "\"id\"::pg_catalog.text");
    assert_true(id->hashed && strcmp(id->identity, "text") == 0 && id->not_null);
    assert_string_equal(amount->masked, "CASE WHEN false THEN \"amount\" END");
    assert_true(!amount->not_null && strcmp(amount->identity, "numeric") == 0);
    assert_string_equal(note->masked, "pg_catalog.left(\"note\"::pg_catalog.text, 2)");
    assert_false(note->hashed);
    drop_facts(&facts);
}

TEST(a_column_that_is_dropped_is_not_read) {
    struct facts facts;
    make_facts(&facts, ",\"mask\":{\"amount\":\"drop\"}");
    assert_code(rf_mask_columns(&facts.job, &facts.source, &facts.arena, &facts.err), RF_OK, &facts.err);
    assert_int_equal(facts.source.n_columns, 2);
    assert_string_equal(facts.source.columns[1].name, "note");
    drop_facts(&facts);
}

TEST(a_text_is_redacted_to_a_text_and_null_stays_null) {
    struct facts facts;
    make_facts(&facts, ",\"mask\":{\"note\":\"redact\"}");
    assert_code(rf_mask_columns(&facts.job, &facts.source, &facts.arena, &facts.err), RF_OK, &facts.err);
    assert_string_equal(facts.source.columns[2].masked, "CASE WHEN \"note\" IS NOT NULL THEN '***'::pg_catalog.text END");
    drop_facts(&facts);
}

TEST(a_mask_of_a_column_that_is_not_read_is_refused) {
    struct facts facts;
    make_facts(&facts, ",\"mask\":{\"Note\":\"redact\"}");
    assert_code(rf_mask_columns(&facts.job, &facts.source, &facts.arena, &facts.err), RF_CONFIG, &facts.err);
    assert_contains(facts.err.message, "\"Note\"");
    drop_facts(&facts);
}

TEST(only_a_hash_may_hide_a_key) {
    struct facts facts;
    make_facts(&facts, ",\"mask\":{\"a\":\"redact\",\"b\":\"truncate:9\",\"c\":\"drop\",\"d\":\"hash\"}");
    static const char *const refused[] = {"a", "b", "c"}, *const accepted[] = {"d", "e"};
    for (size_t i = 0; i < N_OF(refused); i++) assert_code(rf_mask_check_key(&facts.job, refused[i], &facts.err), RF_CONFIG, &facts.err);
    for (size_t i = 0; i < N_OF(accepted); i++) assert_code(rf_mask_check_key(&facts.job, accepted[i], &facts.err), RF_OK, &facts.err);
    drop_facts(&facts);
}

/* ---- the library ---- */

static void open_hasher(struct facts *facts, const char *key, const struct rf_hasher **hasher) {
    make_facts(facts, ",\"mask\":{\"note\":\"hash\"},\"mask_key_env\":\"ROWFERRY_TEST_KEY\"");
    setenv("ROWFERRY_TEST_KEY", key, 1);
    assert_code(rf_hasher_open(&facts->job, &facts->arena, hasher, &facts->err), RF_OK, &facts->err);
}

/* Source: RFC 4231, test cases 1, 3, 4, 6 and 7; the keys of the others are shorter than this program takes. */
TEST(values_are_hashed_as_rfc_4231_has_them) {
    char ascending[26] = "", long_key[132] = "", eleven[21] = "", aa[21] = "", dd[51] = "", cd[51] = "";
    for (int i = 0; i < 25; i++) ascending[i] = (char)(i + 1);
    memset(long_key, 0xaa, 131), memset(eleven, 0x0b, 20), memset(aa, 0xaa, 20), memset(dd, 0xdd, 50), memset(cd, 0xcd, 50);
    const struct { const char *key, *data, *hash; } cases[] = {
        {eleven, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {aa, dd, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {ascending, cd, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {long_key, "Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {long_key, "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        const struct rf_hasher *hasher;
        uint8_t hash[RF_HASH_BYTES];
        char hex[2 * RF_HASH_BYTES + 1];
        open_hasher(&facts, cases[i].key, &hasher);
        assert_true(hasher->hash(hasher->self, (const uint8_t *)cases[i].data, strlen(cases[i].data), hash));
        for (int n = 0; n < RF_HASH_BYTES; n++) snprintf(hex + 2 * n, 3, "%02x", hash[n]);
        assert_string_equal(hex, cases[i].hash);
        drop_facts(&facts);
    }
}

TEST(a_key_that_is_missing_or_short_is_refused_and_not_shown) {
    struct facts facts;
    const struct rf_hasher *hasher;
    make_facts(&facts, ",\"mask\":{\"note\":\"hash\"},\"mask_key_env\":\"ROWFERRY_TEST_KEY\"");
    unsetenv("ROWFERRY_TEST_KEY");
    assert_code(rf_hasher_open(&facts.job, &facts.arena, &hasher, &facts.err), RF_CONFIG, &facts.err);
    assert_contains(facts.err.message, "ROWFERRY_TEST_KEY");
    setenv("ROWFERRY_TEST_KEY", "hunter2", 1);
    assert_code(rf_hasher_open(&facts.job, &facts.arena, &hasher, &facts.err), RF_CONFIG, &facts.err);
    assert_lacks(facts.err.message, "hunter2");
    drop_facts(&facts);
}

TEST(another_key_makes_another_fingerprint_which_does_not_hold_it) {
    static const char *const keys[] = {"0123456789abcdef", "0123456789abcdeg"};
    struct rf_text lines[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        struct facts facts;
        const struct rf_hasher *hasher;
        open_hasher(&facts, keys[i], &hasher);
        assert_code(rf_mask_fingerprint(&facts.job, hasher, &lines[i], &facts.err), RF_OK, &facts.err);
        assert_contains(whole(&lines[i]), "mask \"note\" hash key ");
        assert_lacks(lines[i].data, keys[i]);
        drop_facts(&facts);
    }
    assert_string_not_equal(lines[0].data, lines[1].data);
    for (int i = 0; i < 2; i++) rf_text_free(&lines[i]);
}

/* ---- rows ---- */

/* In place of a hash: how many bytes were hashed, and which they are, as far as there is room. */
static bool tell(void *self, const uint8_t *bytes, size_t n_bytes, uint8_t out[RF_HASH_BYTES]) {
    (void)self;
    memset(out, 0, RF_HASH_BYTES);
    out[0] = (uint8_t)n_bytes;
    memcpy(out + 1, bytes, n_bytes < RF_HASH_BYTES - 1 ? n_bytes : RF_HASH_BYTES - 1);
    return true;
}

static const struct rf_hasher TELLER = {.hash = tell};

static void add_hash_of(struct rf_text *out, const char *value) {
    uint8_t hash[RF_HASH_BYTES];
    tell(NULL, (const uint8_t *)value, strlen(value), hash);
    for (int i = 0; i < RF_HASH_BYTES; i++) rf_text_addf(out, "%02x", hash[i]);
}

static void add_binary(struct rf_text *out, const char *value) {
    rf_copy_add_number(out, value ? (uint32_t)strlen(value) : UINT32_MAX, 4);
    if (value) rf_text_add(out, value);
}

/* Rows of (hashed, passed, hashed) with a fourth field that the statement added; `hash` gives them as they come out. */
static void make_binary(struct rf_text *out, bool hash) {
    static const char *const rows[][4] = {{"Clara", "note", "", "1"}, {NULL, "", "a longer text than that", NULL}, {"", NULL, NULL, "4"}};
    rf_text_add_bytes(out, (const char *)rf_copy_header, RF_COPY_HEADER_BYTES);
    for (size_t row = 0; row < N_OF(rows); row++) {
        rf_copy_add_number(out, 4, 2);
        for (int i = 0; i < 4; i++) {
            const char *value = rows[row][i];
            bool hashes = hash && value && (i == 0 || i == 2);
            if (hashes) rf_copy_add_number(out, 2 * RF_HASH_BYTES, 4);
            if (hashes) add_hash_of(out, value);
            else add_binary(out, value);
        }
    }
    rf_text_add_bytes(out, (const char *)rf_copy_trailer, RF_COPY_TRAILER_BYTES);
}

static void make_csv(struct rf_text *out, bool hash) {
    if (!hash) {
        rf_text_add(out, "Clara,\"no\"\"te, of\ntwo lines\",\"\",1\n,\"\",\"say \"\"hi\"\", then\n\",\n\"\"\"\",plain,a b,4\n");
        return;
    }
    add_hash_of(out, "Clara");
    rf_text_add(out, ",\"no\"\"te, of\ntwo lines\",");
    add_hash_of(out, "");
    rf_text_add(out, ",1\n,\"\",");
    add_hash_of(out, "say \"hi\", then\n");
    rf_text_add(out, ",\n");
    add_hash_of(out, "\"");
    rf_text_add(out, ",plain,");
    add_hash_of(out, "a b");
    rf_text_add(out, ",4\n");
}

/* Feeds `rows` in pieces of n_bytes, and holds what comes out to `expected`. */
static void feed(const struct facts *facts, const struct rf_text *given, const struct rf_text *expected, bool csv, size_t n_bytes) {
    struct rf_hash_rows rows;
    struct rf_text all = {0};
    struct rf_error err;
    rf_hash_rows_begin(&rows, &TELLER, &facts->source, false, csv);
    enum rf_code code = RF_OK;
    for (size_t at = 0; at < given->length && code == RF_OK; at += n_bytes) {
        size_t n = given->length - at < n_bytes ? given->length - at : n_bytes;
        code = rf_hash_rows_take(&rows, (const uint8_t *)given->data + at, n, &err);
        if (code == RF_OK && rows.out.length > 0) rf_text_add_bytes(&all, rows.out.data, rows.out.length);
    }
    bool is_whole = rf_hash_rows_whole(&rows);
    bool short_of = all.failed, same = !short_of && all.length == expected->length && memcmp(all.data, expected->data, all.length) == 0;
    rf_hash_rows_end(&rows);
    rf_text_free(&all);
    assert_code(code, RF_OK, &err);
    assert_true(is_whole);
    if (!short_of) assert_true(same);
}

static void make_hashed(struct facts *facts) {
    make_facts(facts, ",\"mask\":{\"id\":\"hash\",\"note\":\"hash\"}");
    assert_code(rf_mask_columns(&facts->job, &facts->source, &facts->arena, &facts->err), RF_OK, &facts->err);
}

static void feed_each_way(void (*make)(struct rf_text *out, bool hash), bool csv) {
    struct facts facts;
    struct rf_text given = {0}, expected = {0};
    make_hashed(&facts);
    make(&given, false);
    make(&expected, true);
    needed(given.failed || expected.failed ? NULL : given.data);
    for (size_t n = 1; n <= given.length; n++) feed(&facts, &given, &expected, csv, n);
    rf_text_free(&given);
    rf_text_free(&expected);
    drop_facts(&facts);
}

TEST(of_binary_rows_only_what_is_hashed_changes_however_they_are_cut) {
    feed_each_way(make_binary, false);
}

TEST(of_csv_only_what_is_hashed_changes_however_it_is_cut) {
    feed_each_way(make_csv, true);
}

TEST(of_keys_those_columns_are_hashed_that_are) {
    struct facts facts;
    struct rf_hash_rows rows;
    make_hashed(&facts);
    facts.source.keys[0] = 1; /* amount, which is not */
    rf_hash_rows_begin(&rows, &TELLER, &facts.source, true, true);
    assert_code(rf_hash_rows_take(&rows, (const uint8_t *)"7\n", 2, &facts.err), RF_OK, &facts.err);
    bool passed = rows.out.length == 2 && memcmp(rows.out.data, "7\n", 2) == 0;
    rf_hash_rows_end(&rows);
    assert_true(passed);
    drop_facts(&facts);
}

TEST(what_is_no_row_or_ends_within_one_is_not_taken_for_whole) {
    static const struct { const char *bytes; size_t n; enum rf_code code; } cases[] = {
        {"PGCOPX\n\377\r\n\0\0\0\0\0\0\0\0\0", 19, RF_INTERNAL},                   /* another signature */
        {"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\377\377\377\376", 25, RF_INTERNAL}, /* a length of -2 */
        {"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\0", 21, RF_INTERNAL},               /* no field */
        {"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\377\377\0", 22, RF_INTERNAL},         /* more behind the end */
        {"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\5ab", 27, RF_OK},
        {"PGCOPY\n\377", 8, RF_OK},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        struct rf_hash_rows rows;
        make_hashed(&facts);
        rf_hash_rows_begin(&rows, &TELLER, &facts.source, false, false);
        enum rf_code code = rf_hash_rows_take(&rows, (const uint8_t *)cases[i].bytes, cases[i].n, &facts.err);
        bool is_whole = code == RF_OK && rf_hash_rows_whole(&rows);
        rf_hash_rows_end(&rows);
        assert_code(code, cases[i].code, &facts.err);
        assert_false(is_whole);
        drop_facts(&facts);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_is_read_as_it_is_written),
        cmocka_unit_test(what_is_no_mask_is_not_read_as_one),
        cmocka_unit_test(a_masked_column_says_what_arrives),
        cmocka_unit_test(a_column_that_is_dropped_is_not_read),
        cmocka_unit_test(a_text_is_redacted_to_a_text_and_null_stays_null),
        cmocka_unit_test(a_mask_of_a_column_that_is_not_read_is_refused),
        cmocka_unit_test(only_a_hash_may_hide_a_key),
        cmocka_unit_test(values_are_hashed_as_rfc_4231_has_them),
        cmocka_unit_test(a_key_that_is_missing_or_short_is_refused_and_not_shown),
        cmocka_unit_test(another_key_makes_another_fingerprint_which_does_not_hold_it),
        cmocka_unit_test(of_binary_rows_only_what_is_hashed_changes_however_they_are_cut),
        cmocka_unit_test(of_csv_only_what_is_hashed_changes_however_it_is_cut),
        cmocka_unit_test(of_keys_those_columns_are_hashed_that_are),
        cmocka_unit_test(what_is_no_row_or_ends_within_one_is_not_taken_for_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

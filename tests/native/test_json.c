/* JSON as it is written: names and commas, what is escaped, digits; and nothing at all when memory was short. */
#include "core/json.h"

#include "units.h"

#include <cjson/cJSON.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static void is_written(struct rf_text *json, const char *expected) {
    char *text = needed(rf_json_take(json));
    assert_string_equal(text, expected);
    assert_null(json->data);
    free(text);
}

TEST(values_are_parted_by_commas_at_every_depth) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    rf_json_text(&json, "a", "b");
    rf_json_open(&json, "list", '[');
    rf_json_integer(&json, NULL, 1);
    rf_json_null(&json, NULL);
    rf_json_open(&json, NULL, '{');
    rf_json_close(&json, '}');
    rf_json_open(&json, NULL, '[');
    rf_json_close(&json, ']');
    rf_json_close(&json, ']');
    rf_json_flag(&json, "yes", true);
    rf_json_flag(&json, "no", false);
    rf_json_text(&json, "none", NULL);
    rf_json_close(&json, '}');
    is_written(&json, "{\"a\":\"b\",\"list\":[1,null,{},[]],\"yes\":true,\"no\":false,\"none\":null}");
}

/* Another's parser gets back what was written. */
TEST(a_text_reads_back_as_it_was_whatever_bytes_it_holds) {
    char every_byte[256];
    for (int i = 0; i < 255; i++) every_byte[i] = (char)(i + 1);
    every_byte[255] = '\0';
    const char *texts[] = {"", "{", "[", "\"", "\\", "a,\"b\":", "line\nbreak\ttab", "Größe 漢字 🦀", every_byte};
    for (size_t i = 0; i < N_OF(texts); i++) {
        struct rf_text json = {0};
        rf_json_open(&json, NULL, '{');
        rf_json_text(&json, texts[i], texts[i]);
        rf_json_text(&json, "next", "x");
        rf_json_close(&json, '}');
        char *text = needed(rf_json_take(&json));
        cJSON *read = needed(cJSON_Parse(text));
        assert_int_equal(cJSON_GetArraySize(read), 2);
        assert_string_equal(read->child->string, texts[i]);
        assert_string_equal(read->child->valuestring, texts[i]);
        cJSON_Delete(read);
        free(text);
    }
}

static void number_is(double value, const char *expected) {
    struct rf_text json = {0};
    rf_json_number(&json, NULL, value);
    is_written(&json, expected);
}

TEST(a_number_has_a_point_and_six_digits_at_most_in_every_locale) {
    const char *german = setlocale(LC_ALL, "de_DE.UTF-8"); /* NULL where it is not installed */
    number_is(0, "0");
    number_is(-0.0, "0");
    number_is(1.5, "1.5");
    number_is(-1.5, "-1.5");
    number_is(-0.25, "-0.25");
    number_is(0.000001, "0.000001");
    number_is(0.00000049, "0");
    number_is(0.9999999, "1");
    number_is(-0.9999999, "-1");
    number_is(12.050, "12.05");
    number_is(86400, "86400");
    number_is(9007199254740992, "9007199254740992");
    if (german) setlocale(LC_ALL, "C");
}

TEST(an_integer_keeps_every_digit) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '[');
    rf_json_integer(&json, NULL, INT64_MAX);
    rf_json_integer(&json, NULL, INT64_MIN);
    rf_json_close(&json, ']');
    is_written(&json, "[9223372036854775807,-9223372036854775808]");
}

TEST(a_text_that_lacks_a_part_is_not_handed_out) {
    struct rf_text json = {.failed = true};
    rf_json_text(&json, NULL, "x");
    assert_null(rf_json_take(&json));
    assert_false(json.failed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_parted_by_commas_at_every_depth),
        cmocka_unit_test(a_text_reads_back_as_it_was_whatever_bytes_it_holds),
        cmocka_unit_test(a_number_has_a_point_and_six_digits_at_most_in_every_locale),
        cmocka_unit_test(an_integer_keeps_every_digit),
        cmocka_unit_test(a_text_that_lacks_a_part_is_not_handed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

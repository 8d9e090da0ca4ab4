/* Values against fields: what passes becomes what, what does not is said how. */

#include "api/validate.h"
#include "tests/unit/test.h"

static const struct {
    struct field field;
    const char *in, *out; /* out NULL: refused, `type` says how */
    const char *type;
} rows[] = {
    {{.type = FIELD_TEXT}, "\"a\"", "\"a\"", NULL},
    {{.type = FIELD_TEXT}, "1", NULL, "string_type"},
    {{.type = FIELD_INTEGER}, "12", "12", NULL},
    {{.type = FIELD_INTEGER}, "-12", "-12", NULL},
    {{.type = FIELD_INTEGER}, "\"12\"", "12", NULL},
    {{.type = FIELD_INTEGER}, "12.0", "12", NULL},
    {{.type = FIELD_INTEGER}, "true", "1", NULL},
    {{.type = FIELD_INTEGER}, "1.5", NULL, "int_from_float"},
    {{.type = FIELD_INTEGER}, "\"1.5\"", NULL, "int_parsing"},
    {{.type = FIELD_INTEGER}, "\"0x10\"", NULL, "int_parsing"},
    {{.type = FIELD_INTEGER}, "\"nan\"", NULL, "int_parsing"},
    {{.type = FIELD_INTEGER}, "1e300", NULL, "int_parsing_size"},
    {{.type = FIELD_INTEGER}, "18446744073709551615", NULL, "int_parsing_size"},
    {{.type = FIELD_INTEGER}, "[]", NULL, "int_type"},
    {{.type = FIELD_INTEGER, .has_min = true, .min = 1}, "0", NULL, "greater_than_equal"},
    {{.type = FIELD_INTEGER, .has_max = true, .max = 9}, "10", NULL, "less_than_equal"},
    {{.type = FIELD_NUMBER}, "0.1", "0.1", NULL},
    {{.type = FIELD_NUMBER}, "\"1e3\"", "1000.0", NULL},
    {{.type = FIELD_NUMBER}, "\"1e999\"", NULL, "float_parsing"},
    {{.type = FIELD_NUMBER}, "{}", NULL, "float_type"},
    {{.type = FIELD_BOOLEAN}, "\"YES\"", "true", NULL},
    {{.type = FIELD_BOOLEAN}, "0", "false", NULL},
    {{.type = FIELD_BOOLEAN}, "2", NULL, "bool_parsing"},
    {{.type = FIELD_BOOLEAN}, "[]", NULL, "bool_type"},
    {{.type = FIELD_TIME}, "\"2026-01-02T03:04:05.678Z\"", "\"2026-01-02T03:04:05.678Z\"", NULL},
    {{.type = FIELD_TIME}, "\"2026-01-02\"", "\"2026-01-02\"", NULL},
    {{.type = FIELD_TIME}, "\"tomorrow\"", NULL, "datetime_from_date_parsing"},
    {{.type = FIELD_TIME}, "\"2026-01-02T03:04:05'; DROP\"", NULL, "datetime_from_date_parsing"},
    {{.type = FIELD_CHOICE, .values = "a|b"}, "\"b\"", "\"b\"", NULL},
    {{.type = FIELD_CHOICE, .values = "a|b"}, "\"a|b\"", NULL, "literal_error"},
    {{.type = FIELD_OBJECT}, "{\"x\":[1]}", "{\"x\":[1]}", NULL},
    {{.type = FIELD_OBJECT}, "\"{}\"", NULL, "dict_type"},
    {{.type = FIELD_TEXTS}, "[\"a\",\"b\"]", "[\"a\",\"b\"]", NULL},
    {{.type = FIELD_TEXTS}, "\"a\"", NULL, "list_type"},
    {{.type = FIELD_LIST, .sub = FIELDS_BUDGET_WINDOW}, "[1]", NULL, "model_attributes_type"},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct db_wait w = {.wake_fd = -1};
        struct arena arena;
        struct store s;
        arena_init(&arena, NULL, 1024 * 1024);
        assert_true(store_init(&s, NULL, NULL, &arena, &w));
        yyjson_mut_val *errors = row_list(&s), *loc = row_list(&s);
        yyjson_mut_val *v = store_json(&s, str_of(rows[i].in));
        assert_non_null(v);
        v = validate_value(&s, &rows[i].field, v, loc, errors);
        if (rows[i].out) {
            assert_int_equal(yyjson_mut_arr_size(errors), 0);
            assert_str(row_json(&s, v), rows[i].out);
        } else {
            assert_int_equal(yyjson_mut_arr_size(errors), 1);
            assert_str(row_text(yyjson_mut_arr_get_first(errors), "type"), rows[i].type);
        }
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Values, links, versions, statuses and handles behave as the header says. */
#include "support.h"

static void versions_are_those_of_the_header(void **state) {
    char text[32];
    (void)state;
    assert_int_equal(tea_abi_version(), TEA_ABI_VERSION);
    snprintf(text, sizeof text, "%d.%d.%d", TEA_VERSION_MAJOR, TEA_VERSION_MINOR, TEA_VERSION_PATCH);
    assert_text(tea_version(), text);
}

static void statuses_have_names(void **state) {
    tea_str name = {NULL, 0};
    (void)state;
    assert_ok(tea_status_name(TEA_STATUS_BAD_SNAPSHOT, &name));
    assert_text(name, "BAD_SNAPSHOT");
    assert_status(tea_status_name(12345, &name), TEA_STATUS_INVALID_ARGUMENT);
    /* Out-parameters are written on success only. */
    assert_text(name, "BAD_SNAPSHOT");
    assert_says("12345");
}

/* {"a/b~": [true, -7, 18446744073709551615, 0.1], "bytes": 0x00ff, "nested": {"text": "ü\n"}, "empty": []} */
static tea_value *assorted(void) {
    tea_value *value;
    tea_payload all;
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_map(value, 4));
    assert_ok(tea_value_put_str(value, TEA_STR("a/b~")));
    assert_ok(tea_value_put_array(value, 4));
    assert_ok(tea_value_put_bool(value, true));
    assert_ok(tea_value_put_i64(value, -7));
    assert_ok(tea_value_put_u64(value, UINT64_MAX));
    assert_ok(tea_value_put_f64(value, 0.1));
    assert_status(tea_value_payload(value, &all), TEA_STATUS_VALUE_INCOMPLETE);
    assert_ok(tea_value_put_str(value, TEA_STR("bytes")));
    assert_ok(tea_value_put_bytes(value, (const uint8_t *)"\0\xff", 2));
    assert_ok(tea_value_put_str(value, TEA_STR("nested")));
    assert_ok(tea_value_put_payload(value, tea_json("{\"text\":\"\\u00fc\\n\"}")));
    assert_ok(tea_value_put_str(value, TEA_STR("empty")));
    assert_ok(tea_value_put_array(value, 0));
    assert_status(tea_value_put_nil(value), TEA_STATUS_VALUE_COMPLETE);
    return value;
}

static void values_are_put_together_and_read_back(void **state) {
    tea_value *value = assorted();
    tea_payload all, part;
    tea_str text;
    const uint8_t *bytes;
    size_t count;
    bool yes;
    int64_t negative;
    uint64_t large;
    double number;
    tea_type type;
    (void)state;
    all = data_of(value);
    assert_ok(tea_payload_count(all, &count));
    assert_int_equal(count, 4);
    assert_ok(tea_payload_get(all, TEA_STR("/a~1b~0/0"), &part));
    assert_ok(tea_payload_bool(part, &yes));
    assert_true(yes);
    assert_ok(tea_payload_get(all, TEA_STR("/a~1b~0/1"), &part));
    assert_ok(tea_payload_i64(part, &negative));
    assert_int_equal(negative, -7);
    assert_status(tea_payload_u64(part, &large), TEA_STATUS_WRONG_TYPE);
    assert_ok(tea_payload_get(all, TEA_STR("/a~1b~0/2"), &part));
    assert_ok(tea_payload_u64(part, &large));
    assert_true(large == UINT64_MAX);
    assert_status(tea_payload_i64(part, &negative), TEA_STATUS_WRONG_TYPE);
    assert_ok(tea_payload_get(all, TEA_STR("/a~1b~0/3"), &part));
    assert_ok(tea_payload_f64(part, &number));
    assert_true(number == 0.1);
    assert_ok(tea_payload_get(all, TEA_STR("/bytes"), &part));
    assert_ok(tea_payload_bytes(part, &bytes, &count));
    assert_int_equal(count, 2);
    assert_memory_equal(bytes, "\0\xff", 2);
    assert_status(tea_payload_str(part, &text), TEA_STATUS_WRONG_TYPE);
    assert_ok(tea_payload_type(part, &type));
    assert_int_equal(type, TEA_TYPE_BYTES);
    assert_ok(tea_payload_get(all, TEA_STR("/nested/text"), &part));
    assert_ok(tea_payload_str(part, &text));
    assert_text(text, "\xc3\xbc\n");
    assert_status(tea_payload_get(all, TEA_STR("/nested/none"), &part), TEA_STATUS_NOT_FOUND);
    assert_status(tea_payload_get(all, TEA_STR("nested"), &part), TEA_STATUS_INVALID_ARGUMENT);
    assert_status(tea_payload_get(all, TEA_STR("/bytes/0"), &part), TEA_STATUS_WRONG_TYPE);
    assert_ok(tea_value_free(value));
}

static void values_convert_to_json_and_back(void **state) {
    tea_value *value = assorted(), *json, *back;
    tea_payload part, rest;
    tea_str text;
    size_t count;
    (void)state;
    assert_ok(tea_value_convert(data_of(value), TEA_FORMAT_JSON, &json));
    part = data_of(json);
    text.ptr = (const char *)part.ptr;
    text.len = part.len;
    assert_text(text, "{\"a/b~\":[true,-7,18446744073709551615,0.1],\"bytes\":[0,255],"
                      "\"nested\":{\"text\":\"\xc3\xbc\\n\"},\"empty\":[]}");
    assert_status(tea_payload_get(part, TEA_STR("/bytes"), &rest), TEA_STATUS_BAD_FORMAT);
    assert_ok(tea_value_convert(part, TEA_FORMAT_MSGPACK, &back));
    assert_ok(tea_payload_get(data_of(back), TEA_STR("/a~1b~0"), &part));
    assert_ok(tea_payload_enter(part, &rest));
    for (count = 0; tea_payload_next(&rest, &part) == TEA_STATUS_OK; count++) {}
    assert_int_equal(count, 4);
    assert_ok(tea_value_free(back));
    assert_ok(tea_value_free(json));
    assert_ok(tea_value_free(value));
}

static void equal_values_have_equal_bytes(void **state) {
    static const uint8_t nan[] = {0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0};
    const uint64_t odd = 0xfff8000000000001;
    double number;
    tea_value *value;
    (void)state;
    /* Participants may compute NaNs with different bits. */
    memcpy(&number, &odd, sizeof number);
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_f64(value, number));
    assert_int_equal(data_of(value).len, sizeof nan);
    assert_memory_equal(data_of(value).ptr, nan, sizeof nan);
    assert_ok(tea_value_free(value));
    /* Integers take their shortest form, also if the caller wrote a longer one. */
    assert_ok(tea_value_convert(tea_msgpack("\xd3\0\0\0\0\0\0\0\5", 9), TEA_FORMAT_MSGPACK, &value));
    assert_int_equal(data_of(value).len, 1);
    assert_ok(tea_value_free(value));
}

static void all_limits_of_nesting_are_one(void **state) {
    tea_value *value, *copy, *outer;
    int level;
    (void)state;
    assert_ok(tea_value_new(&value));
    for (level = 0; level < 63; level++) assert_ok(tea_value_put_array(value, 1));
    assert_status(tea_value_put_array(value, 1), TEA_STATUS_INVALID_ARGUMENT);
    assert_ok(tea_value_put_str(value, TEA_STR("deep")));
    assert_ok(tea_value_convert(data_of(value), TEA_FORMAT_MSGPACK, &copy));
    assert_ok(tea_value_new(&outer));
    assert_ok(tea_value_put_array(outer, 1));
    assert_status(tea_value_put_payload(outer, data_of(copy)), TEA_STATUS_INVALID_ARGUMENT);
    assert_ok(tea_value_free(outer));
    assert_ok(tea_value_free(copy));
    assert_ok(tea_value_free(value));
}

static void an_empty_text_needs_no_pointer(void **state) {
    tea_str none = {NULL, 0}, text;
    tea_value *value;
    tea_payload part;
    (void)state;
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_array(value, 2));
    assert_ok(tea_value_put_str(value, none));
    assert_ok(tea_value_put_bytes(value, NULL, 0));
    assert_ok(tea_payload_get(data_of(value), none, &part));
    assert_ok(tea_payload_get(part, TEA_STR("/0"), &part));
    assert_ok(tea_payload_str(part, &text));
    assert_text(text, "");
    assert_status(tea_payload_get(part, tea_text(NULL), &part), TEA_STATUS_NULL_POINTER);
    assert_ok(tea_value_free(value));
}

static void invalid_bytes_are_refused(void **state) {
    static const uint8_t cut[] = {0x92, 1}, deep[] = {0x91}, ext[] = {0xd4, 1, 1}, two[] = {1, 2};
    uint8_t nested[200];
    const uint8_t *bytes;
    tea_value *value = NULL;
    tea_payload data, part;
    size_t count;
    (void)state;
    memset(nested, 0x91, sizeof nested);
    assert_status(tea_value_convert(tea_msgpack(cut, 2), 1, &value), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_value_convert(tea_msgpack(deep, 1), 1, &value), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_value_convert(tea_msgpack(ext, 3), 1, &value), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_value_convert(tea_msgpack(two, 2), 1, &value), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_value_convert(tea_msgpack(nested, 200), 1, &value), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_value_convert(tea_json("{"), 0, &value), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_value_convert(tea_json("\"\xff\""), 0, &value), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_value_convert(tea_json("1"), 2, &value), TEA_STATUS_INVALID_ARGUMENT);
    assert_null(value);
    data = tea_msgpack(cut, 2);
    assert_status(tea_payload_get(data, TEA_STR("/1"), &part), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_payload_enter(data, &part), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_payload_get(tea_msgpack(nested, 200), TEA_STR("/0/0"), &part), TEA_STATUS_BAD_FORMAT);
    assert_status(tea_payload_bytes(tea_nil(), &bytes, &count), TEA_STATUS_WRONG_TYPE);
    data.format = 9;
    assert_status(tea_payload_count(data, &count), TEA_STATUS_INVALID_ARGUMENT);
    data.ptr = NULL;
    data.format = TEA_FORMAT_MSGPACK;
    assert_status(tea_payload_count(data, &count), TEA_STATUS_NULL_POINTER);
}

static void texts_that_are_no_utf8_are_refused_everywhere(void **state) {
    static const char bytes[] = "a\xff";
    tea_str bad = TEA_STR(bytes);
    tea_value *value;
    tea_app *app;
    uint8_t modules[1];
    size_t side;
    (void)state;
    assert_status(tea_app_new(bad, 1, &app), TEA_STATUS_INVALID_UTF8);
    assert_status(tea_link_parse(bad, 0, &value), TEA_STATUS_INVALID_UTF8);
    assert_status(tea_qr(bad, modules, 1, &side), TEA_STATUS_INVALID_UTF8);
    assert_status(tea_payload_get(tea_nil(), bad, NULL), TEA_STATUS_NULL_POINTER);
    assert_ok(tea_value_new(&value));
    assert_status(tea_value_put_str(value, bad), TEA_STATUS_INVALID_UTF8);
    assert_says("UTF-8");
    bad.len = SIZE_MAX;
    assert_status(tea_value_put_str(value, bad), TEA_STATUS_INVALID_ARGUMENT);
    assert_ok(tea_value_free(value));
}

/* As messengers, mail programs and people change links. */
static void changed_links_lead_back_or_are_refused(void **state) {
    static const char *const frames[] = {"%s.", "(%s)", "\"%s\"", "<%s>", "\xe2\x80\x9e%s\xe2\x80\x9c", " %s\r\n", "%s&amp;x",
                                         "%%22%s%%22"};
    tea_value *made, *parts;
    tea_payload part;
    tea_str text;
    char link[256], changed[300], *hash;
    size_t at;
    (void)state;
    assert_ok(tea_link_make(tea_json("{\"reflector\":\"wss://h:1\",\"app\":\"app\",\"name\":\"a/b+c & d\",\"password\":\"p w\"}"),
                            &made));
    assert_ok(tea_payload_str(data_of(made), &text));
    snprintf(link, sizeof link, "%.*s", TEA_PRINT(text));
    assert_ok(tea_value_free(made));
    for (at = 0; at < sizeof frames / sizeof *frames; at++) {
        snprintf(changed, sizeof changed, frames[at], link);
        assert_ok(tea_link_parse(tea_text(changed), TEA_FORMAT_MSGPACK, &parts));
        assert_ok(tea_payload_get(data_of(parts), TEA_STR("/name"), &part));
        assert_ok(tea_payload_str(part, &text));
        assert_text(text, "a/b+c & d");
        assert_ok(tea_payload_get(data_of(parts), TEA_STR("/password"), &part));
        assert_ok(tea_payload_str(part, &text));
        assert_text(text, "p w");
        assert_ok(tea_value_free(parts));
    }
    assert_non_null(hash = strchr(link, '#'));
    *hash = 0;
    assert_status(tea_link_parse(tea_text(link), 0, &parts), TEA_STATUS_BAD_LINK);
    assert_says("expected a password behind #, found none");
}

static void links_come_apart_and_together(void **state) {
    tea_value *parts, *link;
    tea_payload part;
    tea_str text;
    static uint8_t modules[TEA_QR_MAX_MODULES];
    size_t side = 0;
    (void)state;
    assert_ok(tea_link_make(tea_json("{\"reflector\":\"ws://h:1\",\"app\":\"app\",\"name\":\"Tea /\",\"options\":"
                                     "{\"x\":[1]},\"password\":\"p w\"}"), &link));
    assert_ok(tea_payload_str(data_of(link), &text));
    assert_ok(tea_link_parse(text, TEA_FORMAT_MSGPACK, &parts));
    assert_ok(tea_value_free(link));
    assert_ok(tea_payload_get(data_of(parts), TEA_STR("/name"), &part));
    assert_ok(tea_payload_str(part, &text));
    assert_text(text, "Tea /");
    assert_ok(tea_payload_get(data_of(parts), TEA_STR("/password"), &part));
    assert_ok(tea_payload_str(part, &text));
    assert_text(text, "p w");
    assert_ok(tea_payload_get(data_of(parts), TEA_STR("/options/x/0"), &part));
    assert_ok(tea_link_make(data_of(parts), &link));
    assert_ok(tea_payload_str(data_of(link), &text));
    assert_ok(tea_value_free(parts));
    assert_ok(tea_link_parse(text, TEA_FORMAT_MSGPACK, &parts));
    assert_ok(tea_qr(text, modules, sizeof modules, &side));
    assert_in_range(side, 21, 177);
    /* The corner of a finder is dark, and the ring around its core is light. */
    assert_int_equal(modules[0], 1);
    assert_int_equal(modules[side + 1], 0);
    assert_status(tea_qr(text, modules, 10, &side), TEA_STATUS_BUFFER_TOO_SMALL);
    assert_ok(tea_value_free(parts));
    assert_ok(tea_value_free(link));
    assert_status(tea_link_parse(TEA_STR("https://a/b/c"), 0, &parts), TEA_STATUS_BAD_LINK);
    assert_says("teatime://");
    /* As people type it: refused with what it may mean, and never another room or one without encryption. */
    assert_status(tea_link_parse(TEA_STR("TeaTime://h:1/app/Tea k\xc3\xbc" "che#sesame"), 0, &parts), TEA_STATUS_BAD_LINK);
    assert_says("the reflector ws://h:1, the room \"Tea k\xc3\xbc" "che\" and its password");
    assert_status(tea_link_make(tea_json("{\"reflector\":\"http://x\",\"app\":\"a\",\"name\":\"b\"}"), &link),
                  TEA_STATUS_BAD_ADDRESS);
    assert_status(tea_link_make(tea_json("{\"app\":\"a\"}"), &link), TEA_STATUS_BAD_LINK);
}

static void configurations_are_checked_when_they_are_made(void **state) {
    tea_app *app, *empty;
    tea_config *config, *other;
    tea_session_id one, two;
    tea_badge badge;
    tea_value *link;
    char name[200];
    (void)state;
    memset(name, 'x', sizeof name);
    name[199] = 0;
    assert_ok(tea_app_new(TEA_STR(TEA_CHAT_APP), 1, &app));
    assert_ok(tea_app_add_chat(app));
    assert_status(tea_config_new(app, TEA_STR(""), tea_json("{}"), &config), TEA_STATUS_BAD_NAME);
    assert_status(tea_config_new(app, tea_text(name), tea_json("{}"), &config), TEA_STATUS_BAD_NAME);
    assert_status(tea_config_new(app, TEA_STR("a"), tea_json("3"), &config), TEA_STATUS_BAD_OPTIONS);
    assert_ok(tea_config_new(app, TEA_STR("a"), tea_json("{}"), &config));
    assert_status(tea_app_add_chat(app), TEA_STATUS_BAD_APP);
    /* Options as a map and as an array lead to the same session, and so do equal configs. */
    assert_ok(tea_config_new(app, TEA_STR("a"), tea_json("[1200,false]"), &other));
    assert_ok(tea_config_session_id(config, &one));
    assert_ok(tea_config_session_id(other, &two));
    assert_memory_equal(&one, &two, sizeof one);
    assert_status(tea_config_set_password(config, TEA_STR("")), TEA_STATUS_BAD_PASSWORD);
    assert_status(tea_config_set_ticks_per_second(config, 0), TEA_STATUS_BAD_TICKS);
    assert_status(tea_config_set_agent(config, tea_text(name)), TEA_STATUS_BAD_AGENT);
    assert_status(tea_config_set_view_data(config, tea_json("[")), TEA_STATUS_BAD_FORMAT);
    assert_ok(tea_config_set_password(config, TEA_STR("pw")));
    assert_ok(tea_config_set_view_data(config, tea_json("{\"name\":\"me\"}")));
    assert_ok(tea_config_badge(config, &badge));
    assert_int_equal(strlen(badge.word), 5);
    assert_int_equal(strlen(badge.text), strlen("#a0b1c2/#d3e4f5 tokim"));
    assert_ok(tea_config_link(config, TEA_STR("localhost:9"), &link));
    tea_str text;
    tea_config *same;
    assert_ok(tea_payload_str(data_of(link), &text));
    assert_ok(tea_config_from_link(app, text, &same));
    assert_ok(tea_config_session_id(config, &one));
    assert_ok(tea_config_session_id(same, &two));
    assert_memory_equal(&one, &two, sizeof one);
    assert_ok(tea_config_free(same));
    assert_status(tea_config_from_link(app, TEA_STR("teatime://h/teatime.chat/a"), &same), TEA_STATUS_BAD_LINK);
    assert_ok(tea_value_free(link));
    assert_ok(tea_config_free(config));
    assert_ok(tea_config_free(other));
    assert_ok(tea_app_free(app));
    assert_ok(tea_app_new(TEA_STR("empty"), 1, &empty));
    assert_status(tea_config_new(empty, TEA_STR("a"), tea_nil(), &config), TEA_STATUS_BAD_APP);
    assert_ok(tea_app_free(empty));
}

static void models_are_checked_when_they_are_added(void **state) {
    tea_model model;
    tea_app *app;
    (void)state;
    memset(&model, 0, sizeof model);
    assert_ok(tea_app_new(TEA_STR("a"), 1, &app));
    assert_status(tea_app_add_model(app, &model), TEA_STATUS_INVALID_ARGUMENT);
    assert_says("size");
    model.size = sizeof model;
    assert_status(tea_app_add_model(app, &model), TEA_STATUS_NULL_POINTER);
    assert_says("init");
    model.handler_count = 1;
    assert_status(tea_app_add_model(app, &model), TEA_STATUS_NULL_POINTER);
    assert_says("handlers");
    assert_ok(tea_app_free(app));
}

static void freed_and_wrong_handles_are_refused(void **state) {
    tea_value *value, *next;
    tea_app *app;
    tea_payload data;
    tea_config *config = NULL;
    (void)state;
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_free(value));
    assert_status(tea_value_free(value), TEA_STATUS_WRONG_HANDLE);
    assert_status(tea_value_payload(value, &data), TEA_STATUS_WRONG_HANDLE);
    /* Another object takes its place in the table. The old handle stays wrong. */
    assert_ok(tea_value_new(&next));
    assert_status(tea_value_put_nil(value), TEA_STATUS_WRONG_HANDLE);
    assert_ok(tea_value_put_nil(next));
    assert_ok(tea_app_new(TEA_STR("a"), 1, &app));
    assert_status(tea_value_free((tea_value *)app), TEA_STATUS_WRONG_HANDLE);
    assert_status(tea_app_free((tea_app *)next), TEA_STATUS_WRONG_HANDLE);
    assert_status(tea_config_new((tea_app *)(uintptr_t)0x123456789, TEA_STR("a"), tea_nil(), &config),
                  TEA_STATUS_WRONG_HANDLE);
    assert_status(tea_session_leave((tea_session *)(uintptr_t)-1), TEA_STATUS_WRONG_HANDLE);
    assert_status(tea_session_free((tea_session *)(void *)&data), TEA_STATUS_WRONG_HANDLE);
    assert_null(config);
    assert_ok(tea_app_free(app));
    assert_ok(tea_value_free(next));
}

static void maths_functions_give_the_bits_that_models_get(void **state) {
    (void)state;
    /* The results of musl. Those of glibc differ in the last bit. */
    assert_true(tea_math_sin(0.5) == 0.479425538604203);
    assert_true(tea_math_hypot(3.0, 4.0) == 5.0);
    assert_true(tea_math_atan2(1.0, 0.0) == 1.5707963267948966);
    assert_true(tea_math_pow(2.0, 10.0) == 1024.0);
    assert_true(tea_math_rem(-7.0, 4.0) == -3.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_those_of_the_header),
        cmocka_unit_test(statuses_have_names),
        cmocka_unit_test(values_are_put_together_and_read_back),
        cmocka_unit_test(values_convert_to_json_and_back),
        cmocka_unit_test(equal_values_have_equal_bytes),
        cmocka_unit_test(all_limits_of_nesting_are_one),
        cmocka_unit_test(an_empty_text_needs_no_pointer),
        cmocka_unit_test(invalid_bytes_are_refused),
        cmocka_unit_test(texts_that_are_no_utf8_are_refused_everywhere),
        cmocka_unit_test(links_come_apart_and_together),
        cmocka_unit_test(changed_links_lead_back_or_are_refused),
        cmocka_unit_test(configurations_are_checked_when_they_are_made),
        cmocka_unit_test(models_are_checked_when_they_are_added),
        cmocka_unit_test(freed_and_wrong_handles_are_refused),
        cmocka_unit_test(maths_functions_give_the_bits_that_models_get),
    };
    return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}

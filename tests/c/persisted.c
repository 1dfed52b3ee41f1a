/* Data that outlives the version of an app, in C: three versions of a board. */
#include "support.h"

/*
 * The persisted data: version 1 has the title as a text, version 2 a map of title and stars, and
 * version 3 a map of titles and stars.
 */
struct board {
    char title[32];
    uint64_t stars;
    uint32_t version;
};
static const uint32_t versions[] = {0, 1, 2, 3};
static char *huge;
/* The status and data that an init got from tea_cx_persisted. */
static tea_status begun_with;
/* Whether the last migration has its bug. */
static bool curses_are_fatal = true;

static tea_reflector *reflector;
static tea_str url;

static int start(void **state) {
    (void)state;
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &reflector));
    assert_ok(tea_reflector_url(reflector, &url));
    return 0;
}

static int stop(void **state) {
    (void)state;
    assert_ok(tea_reflector_free(reflector));
    assert_int_equal(objects, 0);
    return 0;
}

static void title_of(struct board *board, tea_payload text) {
    tea_str title;
    assert_ok(tea_payload_str(text, &title));
    snprintf(board->title, sizeof board->title, "%.*s", TEA_PRINT(title));
}

static void put_board(const struct board *board, uint32_t version, tea_value *value) {
    if (version == 1) {
        assert_ok(tea_value_put_str(value, tea_text(board->title)));
        return;
    }
    assert_ok(tea_value_put_map(value, 2));
    assert_ok(tea_value_put_str(value, version == 2 ? TEA_STR("title") : TEA_STR("titles")));
    if (version > 2) assert_ok(tea_value_put_array(value, 1));
    assert_ok(tea_value_put_str(value, tea_text(board->title)));
    assert_ok(tea_value_put_str(value, TEA_STR("stars")));
    assert_ok(tea_value_put_u64(value, board->stars));
}

static void read_board(struct board *board, uint32_t version, tea_payload data) {
    static const char *const paths[] = {"", "", "/title", "/titles/0"};
    tea_payload part;
    assert_ok(tea_payload_get(data, tea_text(paths[version]), &part));
    title_of(board, part);
    if (version == 1) return;
    assert_ok(tea_payload_get(data, TEA_STR("/stars"), &part));
    assert_ok(tea_payload_u64(part, &board->stars));
}

static tea_status persist(const struct board *board, tea_cx *cx) {
    tea_value *value;
    tea_status status;
    assert_ok(tea_value_new(&value));
    put_board(board, board->version, value);
    status = tea_cx_persist(cx, data_of(value));
    assert_ok(tea_value_free(value));
    return status;
}

static void *board_new(void *user_data) {
    struct board *board = calloc(1, sizeof *board);
    objects++;
    board->version = *(const uint32_t *)user_data;
    return board;
}

static void *board_init(tea_cx *cx, tea_payload options, void *user_data) {
    struct board *board = board_new(user_data);
    tea_value *before;
    (void)options;
    snprintf(board->title, sizeof board->title, "new");
    begun_with = tea_cx_persisted(cx, TEA_FORMAT_MSGPACK, &before);
    if (begun_with == TEA_STATUS_OK) {
        read_board(board, board->version, data_of(before));
        assert_ok(tea_value_free(before));
    }
    assert_ok(tea_cx_subscribe(cx, TEA_STR("board"), TEA_STR("rename"), 0));
    assert_ok(tea_cx_subscribe(cx, TEA_STR("board"), TEA_STR("wrong"), 1));
    return board;
}

/* Data that cannot be persisted is refused, and changes nothing. */
static void persist_wrongly(tea_cx *cx) {
    tea_value *value = NULL;
    uint64_t note;
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_bytes(value, (const uint8_t *)huge, 1024 * 1024));
    assert_status(tea_cx_persist(cx, data_of(value)), TEA_STATUS_PERSISTED_TOO_LARGE);
    assert_says("at most 1048576");
    assert_ok(tea_value_free(value));
    assert_status(tea_cx_persist(cx, tea_msgpack("\x92\x01", 2)), TEA_STATUS_BAD_FORMAT);
    value = NULL;
    assert_status(tea_cx_persisted(cx, TEA_FORMAT_MSGPACK, &value), TEA_STATUS_NOT_FOUND);
    assert_status(tea_cx_persisted(cx, 9, &value), TEA_STATUS_INVALID_ARGUMENT);
    assert_null(value);
    assert_ok(tea_cx_create(cx, TEA_STR("note"), tea_nil(), &note));
}

static int32_t board_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    struct board *board = model;
    if (handler == 1) {
        persist_wrongly(cx);
        return 0;
    }
    title_of(board, argument);
    board->stars += board->version;
    return (int32_t)persist(board, cx);
}

static int32_t board_save(const void *model, tea_value *state) {
    put_board(model, 3, state);
    return 0;
}

static void *board_load(tea_payload state, void *user_data) {
    struct board *board = board_new(user_data);
    read_board(board, 3, state);
    return board;
}

static int32_t board_query(const void *model, uint16_t query, tea_payload argument, tea_value *answer) {
    (void)query, (void)argument;
    return board_save(model, answer);
}

static void board_free(void *board) {
    objects--;
    free(board);
}

static void *note_init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)options;
    assert_status(tea_cx_persist(cx, tea_json("1")), TEA_STATUS_NOT_ROOT);
    return board_new(user_data);
}

static int32_t one_to_two(tea_payload old, tea_value *migrated, void *user_data) {
    struct board board = {"", *(const uint64_t *)user_data, 2};
    title_of(&board, old);
    put_board(&board, 2, migrated);
    return 0;
}

static int32_t two_to_three(tea_payload old, tea_value *migrated, void *user_data) {
    struct board board = {"", 0, 3};
    (void)user_data;
    read_board(&board, 2, old);
    if (curses_are_fatal && !strcmp(board.title, "cursed")) return 5;
    put_board(&board, 3, migrated);
    return 0;
}

static tea_app *board_app(uint32_t version, bool persists) {
    static const tea_str handlers[] = {{"rename", 6}, {"wrong", 5}}, queries[] = {{"board", 5}};
    static const uint64_t stars = 40;
    const tea_migration migrations[] = {{1, one_to_two, (void *)&stars}, {2, two_to_three, NULL}};
    tea_model board, note;
    tea_app *app;
    memset(&board, 0, sizeof board);
    board.size = sizeof board;
    board.id = TEA_STR("board");
    board.handlers = handlers;
    board.handler_count = 2;
    board.queries = queries;
    board.query_count = 1;
    board.user_data = (void *)&versions[version];
    board.init = board_init;
    board.handle = board_handle;
    board.save = board_save;
    board.load = board_load;
    board.query = board_query;
    board.free = board_free;
    note = board;
    note.id = TEA_STR("note");
    note.init = note_init;
    assert_ok(tea_app_new(TEA_STR("test.board"), version, &app));
    assert_ok(tea_app_add_model(app, &board));
    assert_ok(tea_app_add_model(app, &note));
    if (persists) assert_ok(tea_app_persists(app, version, migrations, version - 1));
    return app;
}

static void assert_board(tea_payload data, const char *title, uint64_t stars) {
    struct board board = {"", 0, 3};
    read_board(&board, 3, data);
    assert_string_equal(board.title, title);
    assert_int_equal(board.stars, stars);
}

static void migrations_lead_from_every_version_to_the_newest_or_say_why_not(void **state) {
    tea_app *app = board_app(3, true), *none = board_app(3, false);
    tea_value *migrated = NULL;
    int format = TEA_FORMAT_MSGPACK;
    (void)state;
    assert_ok(tea_app_migrate(app, 1, tea_json("\"tea\""), format, &migrated));
    assert_board(data_of(migrated), "tea", 40);
    assert_ok(tea_value_free(migrated));
    assert_ok(tea_app_migrate(app, 2, tea_json("{\"title\":\"tea\",\"stars\":7}"), format, &migrated));
    assert_board(data_of(migrated), "tea", 7);
    assert_ok(tea_value_free(migrated));
    assert_ok(tea_app_migrate(app, 3, tea_json("{\"titles\":[\"tea\"],\"stars\":8}"), format, &migrated));
    assert_board(data_of(migrated), "tea", 8);
    assert_ok(tea_value_free(migrated));
    migrated = NULL;
    assert_status(tea_app_migrate(app, 4, tea_nil(), format, &migrated), TEA_STATUS_MIGRATION);
    assert_says("has version 4");
    assert_status(tea_app_migrate(app, 0, tea_nil(), format, &migrated), TEA_STATUS_MIGRATION);
    assert_status(tea_app_migrate(app, 1, tea_json("\"cursed\""), format, &migrated), TEA_STATUS_MIGRATION);
    assert_says("from version 2 to version 3");
    assert_says("returned 5");
    assert_status(tea_app_migrate(none, 1, tea_nil(), format, &migrated), TEA_STATUS_NOT_DECLARED);
    assert_status(tea_app_migrate(app, 1, tea_json("{"), format, &migrated), TEA_STATUS_BAD_FORMAT);
    assert_null(migrated);
    /* Once the app is in use, nothing can be declared. */
    assert_status(tea_app_persists(app, 4, NULL, 0), TEA_STATUS_BAD_APP);
    assert_ok(tea_app_free(none));
    assert_ok(tea_app_free(app));
}

static void versions_that_do_not_rise_are_refused(void **state) {
    const tea_migration back[] = {{2, two_to_three, NULL}, {1, two_to_three, NULL}};
    const tea_migration nothing[] = {{1, NULL, NULL}};
    tea_app *app = board_app(3, false);
    tea_config *config = NULL;
    (void)state;
    assert_status(tea_app_persists(app, 3, nothing, 1), TEA_STATUS_NULL_POINTER);
    assert_status(tea_app_persists(app, 3, NULL, 1), TEA_STATUS_NULL_POINTER);
    assert_ok(tea_app_persists(app, 3, back, 2));
    assert_status(tea_config_new(app, TEA_STR("room"), tea_nil(), &config), TEA_STATUS_BAD_APP);
    assert_says("version 1");
    assert_null(config);
    assert_ok(tea_app_free(app));
}

static void data_that_cannot_be_persisted_is_refused_and_a_snapshot_has_the_data_before(void **state) {
    tea_app *app = board_app(2, true), *none = board_app(2, false);
    tea_sync_step steps[3];
    int at;
    (void)state;
    assert_non_null(huge = calloc(1024, 1024));
    memset(steps, 0, sizeof steps);
    for (at = 0; at < 3; at++) {
        steps[at].kind = TEA_SYNC_KIND_PUBLISH;
        steps[at].scope = TEA_STR("board");
        steps[at].event = at == 1 ? TEA_STR("wrong") : TEA_STR("rename");
        steps[at].payload = tea_json("\"tea\"");
    }
    assert_ok(tea_sync_test(app, tea_nil(), 1, steps, 3));
    /* Without a declaration the handler fails. */
    assert_status(begun_with, TEA_STATUS_NOT_FOUND);
    assert_status(tea_sync_test(none, tea_nil(), 1, steps, 1), TEA_STATUS_FAULT);
    assert_status(begun_with, TEA_STATUS_NOT_DECLARED);
    free(huge);
    assert_ok(tea_app_free(none));
    assert_ok(tea_app_free(app));
}

static tea_session *board_with(uint32_t version, const char *room, const char *password, tea_payload options) {
    tea_app *app = board_app(version, true);
    tea_config *config;
    tea_session *session;
    assert_ok(tea_config_new(app, tea_text(room), options, &config));
    if (password) assert_ok(tea_config_set_password(config, tea_text(password)));
    assert_ok(tea_session_join(config, url, &session));
    assert_ok(tea_config_free(config));
    assert_ok(tea_app_free(app));
    return session;
}

static tea_session *board_session(uint32_t version, const char *room, const char *password) {
    return board_with(version, room, password, tea_nil());
}

static void rename_to(tea_session *session, const char *json) {
    uint64_t receipt;
    bool applied = false;
    tea_event event;
    assert_ok(tea_session_publish(session, TEA_STR("board"), TEA_STR("rename"), tea_json(json), &receipt));
    while (!applied) {
        assert_ok(tea_session_wait(session, 100000));
        assert_ok(tea_session_step(session, 100000));
        assert_ok(tea_session_is_applied(session, receipt, &applied));
    }
    event = wait_for(session, TEA_EVENT_KIND_PERSISTED);
    assert_true(event.seq > 0);
}

static void assert_shows(tea_session *session, const char *title, uint64_t stars) {
    tea_value *answer;
    assert_ok(tea_session_query(session, TEA_ROOT_MODEL, TEA_STR("board"), tea_nil(), TEA_FORMAT_MSGPACK, &answer));
    assert_board(data_of(answer), title, stars);
    assert_ok(tea_value_free(answer));
}

static void a_new_version_begins_with_what_the_old_one_persisted(void **state) {
    const char *passwords[] = {NULL, "secret"}, *rooms[] = {"open", "closed"};
    int round;
    (void)state;
    for (round = 0; round < 2; round++) {
        tea_session *first = board_session(1, rooms[round], passwords[round]), *second, *third;
        tea_event event;
        char word[256];
        wait_for(first, TEA_EVENT_KIND_VIEW_READY);
        assert_shows(first, "new", 0);
        rename_to(first, "\"tea\"");
        second = board_session(2, rooms[round], passwords[round]);
        wait_for(second, TEA_EVENT_KIND_VIEW_READY);
        assert_shows(second, "tea", 40);
        /* A client with the old version learns of the new one, and stays in its own session. */
        event = wait_for(first, TEA_EVENT_KIND_NEWER_VERSION);
        assert_int_equal(event.version, 2);
        snprintf(word, sizeof word, "%.*s", TEA_PRINT(event.message));
        assert_non_null(strstr(word, "update"));
        rename_to(second, "\"coffee\"");
        assert_shows(first, "tea", 1);
        third = board_session(3, rooms[round], passwords[round]);
        wait_for(third, TEA_EVENT_KIND_VIEW_READY);
        assert_shows(third, "coffee", 42);
        assert_ok(tea_session_free(third));
        assert_ok(tea_session_free(second));
        assert_ok(tea_session_free(first));
    }
}

static void data_is_stored_beside_that_of_newer_versions_until_the_room_is_full(void **state) {
    tea_session *first = board_session(1, "three", NULL);
    bool unpersisted = true;
    uint32_t version = 9;
    uint64_t receipt;
    tea_event event;
    char word[256];
    int number;
    (void)state;
    assert_ok(tea_session_has_unpersisted(first, &unpersisted));
    assert_false(unpersisted);
    wait_for(first, TEA_EVENT_KIND_VIEW_READY);
    rename_to(first, "\"tea\"");
    assert_ok(tea_session_has_unpersisted(first, &unpersisted));
    assert_false(unpersisted);
    assert_ok(tea_session_newer_version(first, &version));
    assert_int_equal(version, 0);
    for (version = 2; version <= 3; version++) {
        tea_session *newer = board_session(version, "three", NULL);
        wait_for(newer, TEA_EVENT_KIND_VIEW_READY);
        rename_to(newer, "\"newer\"");
        assert_ok(tea_session_free(newer));
    }
    rename_to(first, "\"late\"");
    assert_ok(tea_session_has_unpersisted(first, &unpersisted));
    assert_false(unpersisted);
    assert_ok(tea_session_newer_version(first, &version));
    assert_int_equal(version, 3);
    assert_ok(tea_session_free(first));
    /* With other options there are further sessions. The room takes the data of 16. */
    for (number = 3; number < 17; number++) {
        snprintf(word, sizeof word, "%d", number);
        first = board_with(1, "three", NULL, tea_json(word));
        wait_for(first, TEA_EVENT_KIND_VIEW_READY);
        if (number < 16) {
            /* What is persisted already is not persisted again. */
            snprintf(word, sizeof word, "\"more %d\"", number);
            rename_to(first, word);
            assert_ok(tea_session_free(first));
        }
    }
    assert_ok(tea_session_publish(first, TEA_STR("board"), TEA_STR("rename"), tea_json("\"most\""), &receipt));
    event = wait_for(first, TEA_EVENT_KIND_NOT_PERSISTED);
    assert_int_equal(event.status, TEA_STATUS_OK);
    snprintf(word, sizeof word, "%.*s", TEA_PRINT(event.message));
    assert_non_null(strstr(word, "the room is full"));
    assert_ok(tea_session_has_unpersisted(first, &unpersisted));
    assert_true(unpersisted);
    assert_ok(tea_session_free(first));
}

static void a_migration_that_fails_ends_the_join_and_loses_nothing(void **state) {
    tea_session *second = board_session(2, "cursed", NULL), *third;
    tea_event event;
    (void)state;
    wait_for(second, TEA_EVENT_KIND_VIEW_READY);
    rename_to(second, "\"cursed\"");
    third = board_session(3, "cursed", NULL);
    do event = wait_for(third, TEA_EVENT_KIND_CONNECTION);
    while (event.connection != TEA_CONNECTION_FAILED);
    assert_int_equal(event.status, TEA_STATUS_MIGRATION);
    assert_status(tea_session_failure(third), TEA_STATUS_MIGRATION);
    assert_says("from version 2 to version 3");
    assert_ok(tea_session_free(third));
    assert_shows(second, "cursed", 2);
    /* Without the bug, the session begins with the persisted data. */
    curses_are_fatal = false;
    third = board_session(3, "cursed", NULL);
    wait_for(third, TEA_EVENT_KIND_VIEW_READY);
    assert_shows(third, "cursed", 2);
    assert_ok(tea_session_free(third));
    assert_ok(tea_session_free(second));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_lead_from_every_version_to_the_newest_or_say_why_not),
        cmocka_unit_test(versions_that_do_not_rise_are_refused),
        cmocka_unit_test(data_that_cannot_be_persisted_is_refused_and_a_snapshot_has_the_data_before),
        cmocka_unit_test(a_new_version_begins_with_what_the_old_one_persisted),
        cmocka_unit_test(data_is_stored_beside_that_of_newer_versions_until_the_room_is_full),
        cmocka_unit_test(a_migration_that_fails_ends_the_join_and_loses_nothing),
    };
    return cmocka_run_group_tests_name("persisted", tests, start, stop);
}

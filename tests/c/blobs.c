/* Blobs beside sessions in C, against a reflector in the same process. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <unistd.h>

#include "support.h"

enum { LARGE = 5 * 1000 * 1000, HANDLE = 125, SECONDS = 1000 * 1000 };

static tea_reflector *reflector;
static tea_str url;
static tea_app *app;
static uint8_t *large;
static char folder[] = "/tmp/teatime-blobs-XXXXXX";

static int start(void **state) {
    uint32_t random = 1;
    int at;
    (void)state;
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &reflector));
    assert_ok(tea_reflector_url(reflector, &url));
    app = tally_app(false);
    assert_non_null(large = malloc(LARGE));
    for (at = 0; at < LARGE; at++) large[at] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int stop(void **state) {
    (void)state;
    free(large);
    assert_ok(tea_app_free(app));
    assert_ok(tea_reflector_free(reflector));
    assert_int_equal(rmdir(folder), 0); /* it is empty */
    assert_int_equal(objects, 0);
    return 0;
}

static tea_blobs *blobs_at(tea_str address, const char *room, const char *password) {
    tea_config *config;
    tea_blobs *blobs;
    assert_ok(tea_config_new(app, tea_text(room), tea_nil(), &config));
    if (password) assert_ok(tea_config_set_password(config, tea_text(password)));
    assert_ok(tea_blobs_new(config, address, &blobs));
    assert_ok(tea_config_free(config));
    return blobs;
}

static tea_blobs *blobs_of(const char *room, const char *password) { return blobs_at(url, room, password); }

/* Waits until a transfer is over, and returns its status. */
static tea_status end_of(tea_transfer *transfer) {
    bool over = false;
    tea_status status = tea_transfer_wait(transfer, (uint64_t)60 * SECONDS, &over);
    if (status == TEA_STATUS_OK) assert_true(over);
    return status;
}

static void handle_of(tea_transfer *transfer, char *text) {
    tea_str handle;
    assert_ok(end_of(transfer));
    assert_ok(tea_transfer_handle(transfer, &handle));
    assert_int_equal(handle.len, HANDLE);
    memcpy(text, handle.ptr, HANDLE);
    text[HANDLE] = 0;
}

/* Stores some bytes. The text has room for the handle and a terminating zero. */
static void store(tea_blobs *blobs, const void *bytes, size_t count, char *text) {
    tea_transfer *transfer;
    assert_ok(tea_blobs_store(blobs, bytes, count, &transfer));
    handle_of(transfer, text);
    assert_ok(tea_transfer_free(transfer));
}

static void assert_fetched(tea_blobs *blobs, const char *text, const void *wanted, size_t count) {
    tea_transfer *transfer;
    const uint8_t *bytes;
    size_t found;
    assert_ok(tea_blobs_fetch(blobs, tea_text(text), &transfer));
    assert_ok(end_of(transfer));
    assert_ok(tea_transfer_bytes(transfer, &bytes, &found));
    assert_int_equal(found, count);
    assert_memory_equal(bytes, wanted, count);
    assert_ok(tea_transfer_free(transfer));
}

static void path_in(char path[256], const char *name) { snprintf(path, 256, "%s/%s", folder, name); }

static void five_megabytes_come_back_and_progress_grows(void **state) {
    const char *passwords[] = {NULL, "secret"};
    size_t round;
    (void)state;
    for (round = 0; round < 2; round++) {
        tea_blobs *mine = blobs_of("photos", passwords[round]), *theirs = blobs_of("photos", passwords[round]);
        uint64_t done = 0, total = 0, before = 0, size;
        char text[HANDLE + 1], again[HANDLE + 1];
        tea_transfer *transfer;
        bool over = false, owns;
        assert_ok(tea_blobs_store(mine, large, LARGE, &transfer));
        while (!over) {
            assert_ok(tea_transfer_wait(transfer, 1000, &over));
            assert_ok(tea_transfer_progress(transfer, &done, &total));
            assert_true(done >= before && done <= total);
            assert_true(total == 0 || total == LARGE);
            before = done;
        }
        assert_int_equal(done, LARGE);
        handle_of(transfer, text);
        assert_ok(tea_transfer_free(transfer));
        assert_int_equal(strncmp(text, "teatime-blob:", 13), 0);
        assert_ok(tea_blob_size(tea_text(text), &size));
        assert_int_equal(size, LARGE);
        assert_ok(tea_blobs_owns(theirs, tea_text(text), &owns));
        assert_true(owns);
        assert_fetched(theirs, text, large, LARGE);
        /* Equal content is stored once. */
        store(theirs, large, LARGE, again);
        assert_string_equal(text, again);
        store(mine, NULL, 0, text);
        assert_fetched(theirs, text, large, 0);
        assert_ok(tea_blobs_free(theirs));
        assert_ok(tea_blobs_free(mine));
    }
}

struct calls {
    atomic_int count;
    tea_transfer *transfer;
};

static void called(void *user_data) { ((struct calls *)user_data)->count++; }

static void a_waker_hears_of_progress_and_of_the_end(void **state) {
    tea_blobs *blobs = blobs_of("waker", NULL);
    static struct calls calls;
    tea_transfer *transfer;
    char text[HANDLE + 1];
    int at_once;
    (void)state;
    assert_ok(tea_blobs_store(blobs, large, LARGE, &transfer));
    assert_ok(tea_transfer_set_waker(transfer, called, &calls));
    assert_true((at_once = calls.count) >= 1);
    handle_of(transfer, text);
    /* This waits for a running call of the waker. */
    assert_ok(tea_transfer_set_waker(transfer, NULL, NULL));
    assert_ok(tea_transfer_free(transfer));
    /* A waker that is set late is called immediately. */
    calls.count = 0;
    assert_ok(tea_blobs_fetch(blobs, tea_text(text), &transfer));
    assert_ok(end_of(transfer));
    assert_ok(tea_transfer_set_waker(transfer, called, &calls));
    assert_true(calls.count >= 1);
    assert_ok(tea_transfer_free(transfer));
    assert_ok(tea_blobs_free(blobs));
}

static void files_are_stored_and_fetched(void **state) {
    tea_blobs *blobs = blobs_of("files", NULL);
    char from[256], to[256], text[HANDLE + 1], other[HANDLE + 1];
    const uint8_t *none;
    tea_transfer *transfer;
    tea_str handle;
    size_t count;
    uint8_t *read;
    FILE *file;
    (void)state;
    path_in(from, "from");
    path_in(to, "to");
    assert_non_null(file = fopen(from, "wb"));
    assert_int_equal(fwrite(large, 1, LARGE, file), LARGE);
    assert_int_equal(fclose(file), 0);
    assert_ok(tea_blobs_store_file(blobs, tea_text(from), &transfer));
    handle_of(transfer, text);
    assert_status(tea_transfer_bytes(transfer, &none, &count), TEA_STATUS_WRONG_TYPE);
    assert_ok(tea_transfer_free(transfer));
    store(blobs, large, LARGE, other);
    assert_string_equal(text, other);
    assert_ok(tea_blobs_fetch_file(blobs, tea_text(text), tea_text(to), &transfer));
    assert_ok(end_of(transfer));
    assert_status(tea_transfer_handle(transfer, &handle), TEA_STATUS_WRONG_TYPE);
    assert_ok(tea_transfer_bytes(transfer, &none, &count));
    assert_int_equal(count, 0);
    assert_ok(tea_transfer_free(transfer));
    assert_non_null(read = malloc(LARGE + 1));
    assert_non_null(file = fopen(to, "rb"));
    assert_int_equal(fread(read, 1, LARGE + 1, file), LARGE);
    assert_memory_equal(read, large, LARGE);
    free(read);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(unlink(from), 0);
    /* A file that does not exist, and one that cannot be made. */
    assert_ok(tea_blobs_store_file(blobs, tea_text(from), &transfer));
    assert_status(end_of(transfer), TEA_STATUS_IO);
    assert_says("from");
    assert_ok(tea_transfer_free(transfer));
    assert_ok(tea_blobs_fetch_file(blobs, tea_text(text), TEA_STR("/dev/null/nowhere"), &transfer));
    assert_status(end_of(transfer), TEA_STATUS_IO);
    assert_ok(tea_transfer_free(transfer));
    assert_int_equal(unlink(to), 0);
    assert_ok(tea_blobs_free(blobs));
}

static void a_blob_that_is_too_large_is_refused_before_anything_is_sent(void **state) {
    tea_blobs *blobs = blobs_of("large", NULL);
    uint64_t done, total;
    tea_transfer *transfer;
    char path[256];
    FILE *file;
    (void)state;
    /* The reflector in memory accepts 64 MiB. The file is sparse. */
    path_in(path, "sparse");
    assert_non_null(file = fopen(path, "wb"));
    assert_int_equal(ftruncate(fileno(file), 64 * 1024 * 1024 + 1), 0);
    assert_int_equal(fclose(file), 0);
    assert_ok(tea_blobs_store_file(blobs, tea_text(path), &transfer));
    assert_status(end_of(transfer), TEA_STATUS_BLOB_TOO_LARGE);
    assert_says("67108865");
    assert_says("67108864");
    /* The status stays the same. */
    assert_status(end_of(transfer), TEA_STATUS_BLOB_TOO_LARGE);
    assert_ok(tea_transfer_progress(transfer, &done, &total));
    assert_int_equal(done, 0);
    assert_ok(tea_transfer_free(transfer));
    assert_int_equal(unlink(path), 0);
    assert_ok(tea_blobs_free(blobs));
}

static void a_cancelled_transfer_ends_at_once(void **state) {
    /* No server answers there, so the transfer would try for six seconds. */
    tea_blobs *blobs = blobs_at(TEA_STR("ws://127.0.0.1:1"), "cancel", NULL);
    tea_transfer *transfer;
    tea_str handle = TEA_STR("untouched");
    bool over = true;
    (void)state;
    assert_ok(tea_blobs_store(blobs, large, LARGE, &transfer));
    assert_ok(tea_transfer_wait(transfer, 0, &over));
    assert_false(over);
    assert_status(tea_transfer_handle(transfer, &handle), TEA_STATUS_NOT_FOUND);
    assert_text(handle, "untouched");
    assert_ok(tea_transfer_cancel(transfer));
    assert_status(end_of(transfer), TEA_STATUS_CANCELLED);
    assert_ok(tea_transfer_cancel(transfer));
    assert_status(tea_transfer_handle(transfer, &handle), TEA_STATUS_CANCELLED);
    assert_ok(tea_transfer_free(transfer));
    assert_status(tea_transfer_free(transfer), TEA_STATUS_WRONG_HANDLE);
    /* A transfer that is freed meanwhile, and one whose tea_blobs are freed meanwhile. */
    assert_ok(tea_blobs_store(blobs, large, LARGE, &transfer));
    assert_ok(tea_transfer_free(transfer));
    assert_ok(tea_blobs_store(blobs, large, LARGE, &transfer));
    assert_ok(tea_blobs_free(blobs));
    assert_status(tea_blobs_free(blobs), TEA_STATUS_WRONG_HANDLE);
    assert_status(end_of(transfer), TEA_STATUS_UNREACHABLE);
    assert_ok(tea_transfer_free(transfer));
}

static void unknown_foreign_and_invalid_handles_have_different_statuses(void **state) {
    tea_blobs *blobs = blobs_of("handles", "secret"), *other = blobs_of("handles", "guessed");
    tea_transfer *transfer = NULL;
    char text[HANDLE + 1];
    bool owns = true;
    uint64_t size = 7;
    tea_reflector *empty;
    tea_blobs *elsewhere;
    tea_str address;
    (void)state;
    store(blobs, large, 1000, text);
    /* The same room at an empty reflector. */
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &empty));
    assert_ok(tea_reflector_url(empty, &address));
    elsewhere = blobs_at(address, "handles", "secret");
    assert_ok(tea_blobs_fetch(elsewhere, tea_text(text), &transfer));
    assert_status(end_of(transfer), TEA_STATUS_UNKNOWN_BLOB);
    assert_ok(tea_transfer_free(transfer));
    assert_ok(tea_blobs_free(elsewhere));
    assert_ok(tea_reflector_free(empty));
    /* Another password, and a wrong digit in the mark of the room. */
    assert_ok(tea_blobs_owns(other, tea_text(text), &owns));
    assert_false(owns);
    assert_ok(tea_blobs_fetch(other, tea_text(text), &transfer));
    assert_status(end_of(transfer), TEA_STATUS_OTHER_SESSION);
    assert_ok(tea_transfer_free(transfer));
    text[HANDLE - 1] = text[HANDLE - 1] == '0' ? '1' : '0';
    assert_ok(tea_blobs_fetch(blobs, tea_text(text), &transfer));
    assert_status(end_of(transfer), TEA_STATUS_OTHER_SESSION);
    assert_ok(tea_transfer_free(transfer));
    text[HANDLE - 1] = 'x';
    transfer = NULL;
    assert_status(tea_blobs_fetch(blobs, tea_text(text), &transfer), TEA_STATUS_BAD_BLOB_HANDLE);
    assert_status(tea_blobs_fetch_file(blobs, TEA_STR(""), tea_text(folder), &transfer), TEA_STATUS_BAD_BLOB_HANDLE);
    assert_null(transfer);
    assert_status(tea_blob_size(TEA_STR("teatime-blob:"), &size), TEA_STATUS_BAD_BLOB_HANDLE);
    assert_status(tea_blobs_owns(blobs, TEA_STR("no"), &owns), TEA_STATUS_BAD_BLOB_HANDLE);
    /* A size that not every language can count: its first digit is too large. */
    text[HANDLE - 1] = '0';
    text[13 + 64] = '8';
    assert_status(tea_blob_size(tea_text(text), &size), TEA_STATUS_BAD_BLOB_HANDLE);
    assert_int_equal(size, 7);
    assert_ok(tea_blobs_free(other));
    assert_ok(tea_blobs_free(blobs));
}

/* Does something with each file of a folder, and returns their number. */
static int each_file(const char *name, void (*act)(const char *path)) {
    DIR *directory = opendir(name);
    struct dirent *entry;
    char path[1024];
    int count = 0;
    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        act(path);
        count++;
    }
    assert_int_equal(closedir(directory), 0);
    return count;
}

static void damage(const char *path) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 20, SEEK_SET), 0);
    assert_int_equal(fwrite("wrong", 1, 5, file), 5);
    assert_int_equal(fclose(file), 0);
}

static void look(const char *path) { assert_int_equal(access(path, R_OK), 0); }

static void removed(const char *path) { assert_int_equal(unlink(path), 0); }

static void cached_pieces_need_no_reflector_and_are_checked(void **state) {
    tea_blobs *blobs, *offline;
    tea_reflector *own;
    tea_transfer *transfer;
    tea_str address;
    char cache[256], text[HANDLE + 1];
    (void)state;
    path_in(cache, "cache");
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &own));
    assert_ok(tea_reflector_url(own, &address));
    blobs = blobs_at(address, "cache", "secret");
    assert_status(tea_blobs_set_cache(blobs, TEA_STR("/dev/null/nowhere"), LARGE), TEA_STATUS_IO);
    assert_ok(tea_blobs_set_cache(blobs, tea_text(cache), 2 * LARGE));
    store(blobs, large, LARGE, text);
    assert_fetched(blobs, text, large, LARGE);
    assert_true(each_file(cache, look) > LARGE / (256 * 1024));
    offline = blobs_at(TEA_STR("ws://127.0.0.1:1"), "cache", "secret");
    assert_ok(tea_blobs_set_cache(offline, tea_text(cache), 2 * LARGE));
    assert_fetched(offline, text, large, LARGE);
    /* Wrong bytes are never passed on: they are fetched again, and without a reflector not at all. */
    each_file(cache, damage);
    assert_fetched(blobs, text, large, LARGE);
    each_file(cache, damage);
    assert_ok(tea_blobs_fetch(offline, tea_text(text), &transfer));
    assert_status(end_of(transfer), TEA_STATUS_UNREACHABLE);
    assert_ok(tea_transfer_free(transfer));
    each_file(cache, removed);
    assert_int_equal(rmdir(cache), 0);
    assert_ok(tea_blobs_free(offline));
    assert_ok(tea_blobs_free(blobs));
    assert_ok(tea_reflector_free(own));
}

/* A model that holds the handle of the newest photo, as a text. */
struct album {
    char photo[HANDLE + 1];
};

static void *album_new(void) {
    struct album *album = calloc(1, sizeof *album);
    objects++;
    return album;
}

static void *album_init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)options, (void)user_data;
    assert_ok(tea_cx_subscribe(cx, TEA_STR("album"), TEA_STR("photo"), 0));
    return album_new();
}

static int32_t album_take(struct album *album, tea_payload text) {
    tea_str photo;
    if (tea_payload_str(text, &photo) || photo.len > HANDLE) return 1;
    memset(album->photo, 0, sizeof album->photo);
    memcpy(album->photo, photo.ptr, photo.len);
    return 0;
}

static int32_t album_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    (void)cx, (void)handler;
    return album_take(model, argument);
}

static int32_t album_save(const void *model, tea_value *state) {
    return (int32_t)tea_value_put_str(state, tea_text(((const struct album *)model)->photo));
}

static void *album_load(tea_payload state, void *user_data) {
    void *album = album_new();
    (void)user_data;
    assert_int_equal(album_take(album, state), 0);
    return album;
}

static int32_t album_query(const void *model, uint16_t query, tea_payload argument, tea_value *answer) {
    (void)query, (void)argument;
    return album_save(model, answer);
}

static void album_free(void *album) {
    objects--;
    free(album);
}

static tea_app *album_app(void) {
    static const tea_str names[] = {{"photo", 5}};
    tea_model model;
    tea_app *made;
    memset(&model, 0, sizeof model);
    model.size = sizeof model;
    model.id = TEA_STR("album");
    model.handlers = model.queries = names;
    model.handler_count = model.query_count = 1;
    model.init = album_init;
    model.handle = album_handle;
    model.save = album_save;
    model.load = album_load;
    model.query = album_query;
    model.free = album_free;
    assert_ok(tea_app_new(TEA_STR("test.album"), 1, &made));
    assert_ok(tea_app_add_model(made, &model));
    return made;
}

/* Waits until an album has a photo, and returns it. */
static void photo_of(tea_session *session, char *text) {
    int steps;
    text[0] = 0;
    for (steps = 0; steps < 300 && !text[0]; steps++) {
        tea_value *answer;
        tea_str photo;
        assert_ok(tea_session_step(session, 100000));
        assert_ok(tea_session_query(session, TEA_ROOT_MODEL, TEA_STR("photo"), tea_nil(), TEA_FORMAT_MSGPACK,
                                    &answer));
        assert_ok(tea_payload_str(data_of(answer), &photo));
        snprintf(text, HANDLE + 1, "%.*s", TEA_PRINT(photo));
        assert_ok(tea_value_free(answer));
        if (!text[0]) assert_ok(tea_session_wait(session, 100000));
    }
    assert_int_equal(strlen(text), HANDLE);
}

static void a_handle_in_an_event_and_in_a_model_leads_a_late_joiner_to_the_blob(void **state) {
    tea_app *album = album_app();
    tea_session *first = join(album, url, tea_nil()), *late;
    tea_config *config;
    tea_blobs *mine, *theirs;
    char text[HANDLE + 1], found[HANDLE + 1];
    tea_value *value;
    (void)state;
    assert_ok(tea_config_new(album, TEA_STR("room"), tea_nil(), &config));
    assert_ok(tea_blobs_new(config, url, &mine));
    store(mine, large, LARGE, text);
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_str(value, tea_text(text)));
    assert_ok(tea_session_publish(first, TEA_STR("album"), TEA_STR("photo"), data_of(value), NULL));
    assert_ok(tea_value_free(value));
    photo_of(first, found);
    assert_string_equal(found, text);
    /* From now on the model is in a snapshot. */
    assert_ok(tea_session_request_vote(first));
    wait_for(first, TEA_EVENT_KIND_VERDICT);
    late = join(album, url, tea_nil());
    photo_of(late, found);
    assert_ok(tea_blobs_new(config, url, &theirs));
    assert_fetched(theirs, found, large, LARGE);
    assert_ok(tea_blobs_free(theirs));
    assert_ok(tea_blobs_free(mine));
    assert_ok(tea_config_free(config));
    assert_ok(tea_session_free(late));
    assert_ok(tea_session_free(first));
    assert_ok(tea_app_free(album));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_megabytes_come_back_and_progress_grows),
        cmocka_unit_test(a_waker_hears_of_progress_and_of_the_end),
        cmocka_unit_test(files_are_stored_and_fetched),
        cmocka_unit_test(a_blob_that_is_too_large_is_refused_before_anything_is_sent),
        cmocka_unit_test(a_cancelled_transfer_ends_at_once),
        cmocka_unit_test(unknown_foreign_and_invalid_handles_have_different_statuses),
        cmocka_unit_test(cached_pieces_need_no_reflector_and_are_checked),
        cmocka_unit_test(a_handle_in_an_event_and_in_a_model_leads_a_late_joiner_to_the_blob),
    };
    return cmocka_run_group_tests_name("blobs", tests, start, stop);
}

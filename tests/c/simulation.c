/*
 * The simulator finds the bugs planted in models in C, names model and field, and passes a correct model. The first
 * half is an example of an app's own test.
 */
/* For mkdtemp. */
#define _POSIX_C_SOURCE 200809L
#include "support.h"

#include <teatime_testing.h>
#include <time.h>

/* A poll: users vote for one of eight colours. The root model "poll" counts, and keeps the newest ballot. */
struct poll {
    uint64_t votes[8], total, ballot, planted;
};
enum { NOTHING, STATIC, RAND, CLOCK, REFUSES };

static void *poll_init(tea_cx *cx, tea_payload options, void *user_data) {
    struct poll *poll = calloc(1, sizeof *poll);
    (void)user_data;
    if (tea_payload_u64(options, &poll->planted) || tea_cx_subscribe(cx, TEA_STR("poll"), TEA_STR("vote"), 0)) {
        free(poll);
        return NULL;
    }
    return poll;
}

static uint64_t number_at(tea_payload state, const char *path) {
    uint64_t number = 0;
    if (tea_payload_get(state, tea_text(path), &state) == TEA_STATUS_OK) tea_payload_u64(state, &number);
    return number;
}

/* Version 2 persists an object; version 1 persisted the total alone. */
static int32_t from_number(tea_payload old, tea_value *migrated, void *user_data) {
    uint64_t total;
    (void)user_data;
    if (tea_payload_u64(old, &total)) return 1;
    tea_value_put_map(migrated, 1);
    tea_value_put_str(migrated, TEA_STR("total"));
    return tea_value_put_u64(migrated, total);
}

/* Begins with the total of version 1. */
static void *poll_goes_on(tea_cx *cx, tea_payload options, void *user_data) {
    struct poll *poll = poll_init(cx, options, user_data);
    tea_value *before;
    if (poll && tea_cx_persisted(cx, TEA_FORMAT_MSGPACK, &before) == TEA_STATUS_OK) {
        poll->total = number_at(data_of(before), "/total");
        (void)tea_value_free(before);
    }
    return poll;
}

static int32_t poll_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    static uint64_t ballots; /* the bug: the state of the model does not include it */
    struct poll *poll = model;
    uint64_t colour;
    (void)handler;
    if (tea_payload_u64(argument, &colour) || colour >= 8) return 1;
    poll->votes[colour]++;
    poll->total++;
    if (poll->planted == STATIC) poll->ballot = ballots++;
    else if (poll->planted == RAND) poll->ballot = (uint64_t)rand();
    else if (poll->planted == CLOCK) poll->ballot = (uint64_t)time(NULL);
    else return tea_cx_random_below(cx, 1000, &poll->ballot);
    return 0;
}

static int32_t poll_save(const void *model, tea_value *state) {
    const struct poll *poll = model;
    int at;
    if (poll->planted == REFUSES && poll->total > 3) return 9;
    tea_value_put_map(state, 4);
    tea_value_put_str(state, TEA_STR("votes"));
    tea_value_put_array(state, 8);
    for (at = 0; at < 8; at++) tea_value_put_u64(state, poll->votes[at]);
    tea_value_put_str(state, TEA_STR("total"));
    tea_value_put_u64(state, poll->total);
    tea_value_put_str(state, TEA_STR("ballot"));
    tea_value_put_u64(state, poll->ballot);
    tea_value_put_str(state, TEA_STR("planted"));
    return tea_value_put_u64(state, poll->planted);
}

static void *poll_load(tea_payload state, void *user_data) {
    struct poll *poll = calloc(1, sizeof *poll);
    char path[16];
    int at;
    (void)user_data;
    for (at = 0; at < 8; at++) {
        snprintf(path, sizeof path, "/votes/%d", at);
        poll->votes[at] = number_at(state, path);
    }
    poll->total = number_at(state, "/total");
    poll->ballot = number_at(state, "/ballot");
    poll->planted = number_at(state, "/planted");
    return poll;
}

/* An action asks a query that leads back to it, and the status it gets. */
static tea_player *asking;
static tea_status within;

static int32_t poll_query(const void *model, uint16_t query, tea_payload argument, tea_value *answer) {
    (void)query, (void)argument;
    if (asking) within = tea_player_publish(asking, TEA_STR("poll"), TEA_STR("vote"), tea_nil());
    return tea_value_put_u64(answer, ((const struct poll *)model)->total);
}

static tea_app *poll_app_with(void *(*init)(tea_cx *, tea_payload, void *), uint32_t version) {
    static const tea_migration migrations[] = {{1, from_number, NULL}};
    static const tea_str handlers[] = {{"vote", 4}}, queries[] = {{"total", 5}};
    tea_model poll;
    tea_app *app;
    memset(&poll, 0, sizeof poll);
    poll.size = sizeof poll;
    poll.id = TEA_STR("poll");
    poll.handlers = handlers;
    poll.handler_count = 1;
    poll.queries = queries;
    poll.query_count = 1;
    poll.init = init;
    poll.handle = poll_handle;
    poll.save = poll_save;
    poll.load = poll_load;
    poll.query = poll_query;
    poll.free = free;
    assert_ok(tea_app_new(TEA_STR("org.example.poll"), version, &app));
    assert_ok(tea_app_add_model(app, &poll));
    if (version > 1) assert_ok(tea_app_persists(app, version, migrations, 1));
    return app;
}

static tea_app *poll_app(void) { return poll_app_with(poll_init, 1); }

/* An action of a user. It returns 0 if it succeeds. */
static int32_t vote(tea_player *player, void *user_data) {
    uint64_t colour;
    char json[24];
    (void)user_data;
    if (tea_player_below(player, 8, &colour) != TEA_STATUS_OK) return 1;
    snprintf(json, sizeof json, "%d", (int)colour);
    return tea_player_publish(player, TEA_STR("poll"), TEA_STR("vote"), tea_json(json));
}

/* The check at the end of a seed: each accepted vote was counted once. Callbacks return a code, because an assertion
 * of cmocka would jump out of them. */
static int32_t all_are_counted(tea_player *player, void *user_data) {
    uint64_t accepted, total;
    tea_value *answer;
    if (tea_player_count(player, TEA_STR("poll"), TEA_STR("vote"), &accepted) != TEA_STATUS_OK) return 2;
    if (tea_player_query(player, TEA_ROOT_MODEL, TEA_STR("total"), tea_nil(), TEA_FORMAT_MSGPACK, &answer) !=
        TEA_STATUS_OK)
        return 3;
    if (tea_payload_u64(data_of(answer), &total) != TEA_STATUS_OK) total = UINT64_MAX;
    if (tea_value_free(answer) != TEA_STATUS_OK) return 4;
    ++*(int *)user_data;
    return accepted != total;
}

static void a_correct_model_passes_all_seeds(void **state) {
    tea_action action = {1, vote, NULL};
    tea_simulation simulation;
    tea_simulation_report report;
    tea_app *app = poll_app();
    int checked = 0;
    (void)state;
    memset(&simulation, 0, sizeof simulation);
    simulation.size = sizeof simulation;
    simulation.options = tea_json("0");
    simulation.actions = &action;
    simulation.action_count = 1;
    simulation.check = all_are_counted;
    simulation.check_data = &checked;
    simulation.seeds = 20;
    assert_ok(tea_simulate(app, &simulation, &report));
    assert_ok(tea_app_free(app));
    assert_int_equal(report.runs, 20);
    assert_true(report.client_hours > 1.0);
    assert_true(report.events > 1000 && report.compared > 1000 && report.synced > 1000);
    /* The first seed is played twice. */
    assert_true(report.checked > 20);
    assert_int_equal(checked, report.checked);
}

/* Version 1 has counted forty votes. */
static int32_t forty_are_there(tea_player *player, void *user_data) {
    uint64_t accepted, total = 0;
    tea_value *answer;
    (void)user_data;
    if (tea_player_count(player, TEA_STR("poll"), TEA_STR("vote"), &accepted) != TEA_STATUS_OK) return 2;
    if (tea_player_query(player, TEA_ROOT_MODEL, TEA_STR("total"), tea_nil(), TEA_FORMAT_MSGPACK, &answer) !=
        TEA_STATUS_OK)
        return 3;
    (void)tea_payload_u64(data_of(answer), &total);
    (void)tea_value_free(answer);
    return total != accepted + 40;
}

static void says(const char *const *parts);

static void sessions_begin_with_what_an_older_version_has_persisted(void **state) {
    static const char *const wrong[] = {"cannot be migrated from version 1 to version 2", NULL};
    tea_action action = {1, vote, NULL};
    tea_simulation simulation;
    tea_simulation_report report;
    tea_app *app = poll_app_with(poll_goes_on, 2);
    (void)state;
    memset(&simulation, 0, sizeof simulation);
    simulation.size = sizeof simulation;
    simulation.options = tea_json("0");
    simulation.actions = &action;
    simulation.action_count = 1;
    simulation.check = forty_are_there;
    simulation.seeds = 10;
    simulation.begins_with = tea_json("40");
    /* Both members must be set, or neither. */
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_INVALID_ARGUMENT);
    simulation.begins_with_version = 1;
    assert_ok(tea_simulate(app, &simulation, &report));
    memset(&simulation.begins_with, 0, sizeof simulation.begins_with);
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_INVALID_ARGUMENT);
    simulation.begins_with = tea_json("\"forty\"");
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_MODEL);
    says(wrong);
    assert_ok(tea_app_free(app));
}

/* The message of the last failure, which is longer than most. */
static void says(const char *const *parts) {
    static char message[8192];
    tea_str why = tea_last_error();
    snprintf(message, sizeof message, "%.*s", TEA_PRINT(why));
    for (; *parts; parts++) {
        if (strstr(message, *parts)) continue;
        print_error("%s is missing in:\n%s\n", *parts, message);
        fail();
    }
}

static tea_status play(tea_app *app, tea_simulation *simulation) {
    tea_simulation_report report;
    tea_status status = tea_simulate(app, simulation, &report);
    assert_ok(tea_app_free(app));
    return status;
}

static tea_simulation plain(const tea_action *action, const char *options) {
    tea_simulation simulation;
    memset(&simulation, 0, sizeof simulation);
    simulation.size = sizeof simulation;
    simulation.options = tea_json(options);
    simulation.actions = action;
    simulation.action_count = 1;
    simulation.seeds = 5;
    simulation.seconds = 20;
    return simulation;
}

static void a_static_variable_and_rand_are_found_and_named(void **state) {
    static const char *const parts[] = {
        "model `poll` (id 1), field `ballot`", " here, ", " there; after seq ", "event poll/vote", "TEATIME_SEED=", NULL};
    static const char *const others[] = {"two participants differ", "field `ballot`", NULL};
    tea_action action = {1, vote, NULL};
    tea_simulation simulation = plain(&action, "1");
    (void)state;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_SYNC_DIFFERS);
    says(parts);
    simulation.options = tea_json("2");
    assert_status(play(poll_app(), &simulation), TEA_STATUS_SYNC_DIFFERS);
    says(parts);
    /* Found later, and also by comparing participants. */
    simulation.distance = 10;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_SYNC_DIFFERS);
    simulation.no_twin = true;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_SYNC_DIFFERS);
    says(others);
}

/* All participants see the same second, but the second play of the seed sees another one. */
static void a_clock_of_seconds_is_found_and_named(void **state) {
    static const char *const parts[] = {"model `poll` (id 1), field `ballot`", "event poll/vote", NULL};
    tea_action action = {1, vote, NULL};
    tea_simulation simulation = plain(&action, "3");
    (void)state;
    simulation.seeds = 1;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_SYNC_DIFFERS);
    says(parts);
}

static void a_state_that_cannot_be_saved_is_reported(void **state) {
    static const char *const parts[] = {"cannot be saved", "save returned 9", NULL};
    tea_action action = {1, vote, NULL};
    tea_simulation simulation = plain(&action, "4");
    (void)state;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_BAD_SNAPSHOT);
    says(parts);
}

static int32_t fail_later(tea_player *player, void *user_data) {
    uint64_t voted;
    (void)user_data;
    if (tea_player_count(player, TEA_STR("poll"), TEA_STR("vote"), &voted) != TEA_STATUS_OK) return 1;
    return voted > 2 ? 77 : 0;
}

static void an_action_that_fails_is_reported(void **state) {
    static const char *const parts[] = {"an action failed, after ", ": action 2: act returned 77", NULL};
    tea_action actions[] = {{1, vote, NULL}, {1, fail_later, NULL}};
    tea_simulation simulation = plain(actions, "0");
    (void)state;
    simulation.action_count = 2;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_CHECK_FAILED);
    says(parts);
}

static void excluded_faults_do_not_happen(void **state) {
    static const char *const left[] = {"what is left of it: 0 of 0 faults", NULL};
    static const char *const whole[] = {" faults, ", "at most 5 participants, 20 s:", NULL};
    static const char *const names[] = {"unknown fault \"rain\", expected one of: starts, ", "bursts", NULL};
    static const char *const all[] = {
        "starts", "crashes", "leaves", "cut", "all_cut", "up_blocked", "down_blocked", "partition", "freezes",
        "idles", "clock_jumps", "reflector_clock_jumps", "reflector_crashes", "power_cut", "reflector_stops",
        "disk_full", "disk_read_only", "write_fails", "write_tears", "sync_fails", "bursts", "vote_asked",
        "join_repeated", "silent_connection", "rubbish", "storage_late", "storage_fails_late", "storage_silent",
        "sybils_join", "connection_replayed", "hoarder_starts", "reflector_lies"};
    enum { COUNT = sizeof all / sizeof *all };
    tea_str without[COUNT];
    tea_action action = {1, vote, NULL};
    tea_simulation simulation = plain(&action, "1");
    int at;
    (void)state;
    for (at = 0; at < COUNT; at++) without[at] = tea_text(all[at]);
    simulation.seeds = 1;
    simulation.no_shrinking = true;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_SYNC_DIFFERS);
    says(whole);
    simulation.without = without;
    simulation.without_count = COUNT;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_SYNC_DIFFERS);
    says(left);
    without[3] = TEA_STR("rain");
    assert_status(play(poll_app(), &simulation), TEA_STATUS_INVALID_ARGUMENT);
    says(names);
    simulation.without = NULL;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_NULL_POINTER);
}

static int32_t add(tea_player *player, void *user_data) {
    const char *event = user_data;
    return tea_player_publish(player, TEA_STR("tally"), tea_text(event), tea_json("3"));
}

static void a_forgotten_field_and_a_failing_handler_are_found(void **state) {
    static const char *const forgets[] = {"model `tally` (id 1), field `sum`", "event tally/add", NULL};
    static const char *const breaks[] = {"tally.break", "returned 42", NULL};
    static const char *const refuses[] = {"save returned 9", NULL};
    tea_action action = {1, add, "add"};
    tea_simulation simulation = plain(&action, "{}");
    (void)state;
    simulation.seconds = 2;
    assert_ok(play(tally_app(false), &simulation));
    tally_forgets = true;
    assert_status(play(tally_app(false), &simulation), TEA_STATUS_SYNC_DIFFERS);
    tally_forgets = false;
    says(forgets);
    action.user_data = "break";
    assert_status(play(tally_app(false), &simulation), TEA_STATUS_FAULT);
    says(breaks);
    simulation.allow_faults = true;
    assert_ok(play(tally_app(false), &simulation));
    tally_refuses = true;
    assert_status(play(tally_app(false), &simulation), TEA_STATUS_MODEL);
    tally_refuses = false;
    says(refuses);
    assert_int_equal(objects, 0);
}

static int32_t never(tea_player *player, void *user_data) {
    uint64_t number;
    tea_view_id view;
    (void)user_data;
    if (tea_player_view_id(player, &view) != TEA_STATUS_OK) return 4;
    if (tea_player_below(player, 8, &number) != TEA_STATUS_INVALID_ARGUMENT) return 5;
    if (tea_player_publish(player, TEA_STR("a"), TEA_STR("b"), tea_nil()) != TEA_STATUS_INVALID_ARGUMENT) return 6;
    return 3;
}

/* The file that the last failure names. */
static void where_it_is_kept(char *file, size_t size) {
    static const char before[] = "is kept in ";
    tea_str why = tea_last_error();
    const char *end = why.ptr + why.len, *at = why.ptr;
    while (at < end && strncmp(at, before, sizeof before - 1) != 0) at++;
    assert_true(at < end);
    at += sizeof before - 1;
    snprintf(file, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void a_check_that_fails_is_reported_and_its_plan_is_saved_and_played_again(void **state) {
    static const char *const parts[] = {"check returned 3", "is kept in", NULL};
    static const char *const again[] = {"check returned 3", "TEATIME_PLAN=/tmp/teatime-kept-", NULL};
    static const char *const broken[] = {"is refused: /tmp/teatime-kept-", NULL};
    tea_action action = {1, vote, NULL};
    tea_simulation simulation = plain(&action, "0");
    char folder[] = "/tmp/teatime-kept-XXXXXX", file[128];
    FILE *kept;
    (void)state;
    assert_non_null(mkdtemp(folder));
    simulation.check = never;
    simulation.keep_in = tea_text(folder);
    simulation.shrink_runs = 20;
    assert_status(play(poll_app(), &simulation), TEA_STATUS_CHECK_FAILED);
    says(parts);
    where_it_is_kept(file, sizeof file);
    assert_status(play(poll_app(), &simulation), TEA_STATUS_CHECK_FAILED);
    says(again);
    simulation.plan = tea_text(file);
    assert_status(play(poll_app(), &simulation), TEA_STATUS_CHECK_FAILED);
    simulation.check = NULL;
    assert_ok(play(poll_app(), &simulation));
    assert_int_equal(remove(file), 0);
    assert_status(play(poll_app(), &simulation), TEA_STATUS_INVALID_ARGUMENT);
    simulation.plan = tea_text("");
    assert_non_null(kept = fopen(file, "w"));
    assert_int_equal(fclose(kept), 0);
    assert_status(play(poll_app(), &simulation), TEA_STATUS_INVALID_ARGUMENT);
    says(broken);
    assert_int_equal(remove(file), 0);
    assert_int_equal(remove(folder), 0);
}

static tea_player *stale;

/* The number of calls in callbacks with an unexpected status. */
static int calls_amiss;

static void must(tea_status status, tea_status expected) {
    calls_amiss += status != expected;
}

static int32_t keeps(tea_player *player, void *user_data) {
    tea_view_id view;
    uint64_t number;
    tea_value *answer;
    (void)user_data;
    must(tea_player_view_id(NULL, &view), TEA_STATUS_NULL_POINTER);
    must(tea_player_view_id(player, NULL), TEA_STATUS_NULL_POINTER);
    must(tea_player_below(player, 8, NULL), TEA_STATUS_NULL_POINTER);
    must(tea_player_count(player, tea_text(NULL), TEA_STR("a"), &number), TEA_STATUS_NULL_POINTER);
    must(tea_player_query(player, 1, TEA_STR("total"), tea_nil(), 0, NULL), TEA_STATUS_NULL_POINTER);
    must(tea_player_publish(player, TEA_STR("a"), TEA_STR("\xff"), tea_nil()), TEA_STATUS_INVALID_UTF8);
    asking = player;
    if (tea_player_query(player, 1, TEA_STR("total"), tea_nil(), 0, &answer) == TEA_STATUS_OK)
        (void)tea_value_free(answer);
    asking = NULL;
    if (stale) must(tea_player_view_id(stale, &view), TEA_STATUS_NOT_IN_MODEL);
    stale = player;
    return vote(player, NULL);
}

static void wrong_calls_are_refused(void **state) {
    tea_action action = {1, keeps, NULL};
    tea_simulation simulation = plain(&action, "0");
    tea_simulation_report report;
    tea_view_id view;
    tea_app *app = poll_app();
    (void)state;
    simulation.seeds = 1;
    assert_ok(tea_simulate(app, &simulation, &report));
    assert_int_equal(calls_amiss, 0);
    assert_status(within, TEA_STATUS_NOT_IN_MODEL);
    assert_status(tea_player_view_id(stale, &view), TEA_STATUS_NOT_IN_MODEL);
    memset(&report, 0x5a, sizeof report);
    assert_status(tea_simulate(NULL, &simulation, &report), TEA_STATUS_NULL_POINTER);
    assert_status(tea_simulate(app, NULL, &report), TEA_STATUS_NULL_POINTER);
    assert_status(tea_simulate(app, &simulation, NULL), TEA_STATUS_NULL_POINTER);
    action.act = NULL;
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_NULL_POINTER);
    simulation.actions = NULL;
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_NULL_POINTER);
    simulation.action_count = 0;
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_INVALID_ARGUMENT);
    action.act = keeps;
    simulation.actions = &action;
    simulation.action_count = 1;
    simulation.options = tea_json("{");
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_BAD_FORMAT);
    simulation.options = tea_json("\"none\"");
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_MODEL);
    simulation.options = tea_json("0");
    setenv("TEATIME_SEED", "", 1);
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_INVALID_ARGUMENT);
    unsetenv("TEATIME_SEED");
    simulation.size--;
    assert_status(tea_simulate(app, &simulation, &report), TEA_STATUS_INVALID_ARGUMENT);
    assert_int_equal(*(unsigned char *)&report, 0x5a);
    assert_ok(tea_app_free(app));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_correct_model_passes_all_seeds),
        cmocka_unit_test(sessions_begin_with_what_an_older_version_has_persisted),
        cmocka_unit_test(a_static_variable_and_rand_are_found_and_named),
        cmocka_unit_test(a_clock_of_seconds_is_found_and_named),
        cmocka_unit_test(a_state_that_cannot_be_saved_is_reported),
        cmocka_unit_test(an_action_that_fails_is_reported),
        cmocka_unit_test(excluded_faults_do_not_happen),
        cmocka_unit_test(a_forgotten_field_and_a_failing_handler_are_found),
        cmocka_unit_test(a_check_that_fails_is_reported_and_its_plan_is_saved_and_played_again),
        cmocka_unit_test(wrong_calls_are_refused),
    };
    /* The numbers below are those of this many seeds. */
    unsetenv("TEATIME_SEED");
    unsetenv("TEATIME_SEEDS");
    unsetenv("TEATIME_PLAN");
    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}

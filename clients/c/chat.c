/*
 * A chat for a terminal (--plain) and for other programs (--json). The library has the model; this
 * program is the view. Build it with: cc chat.c $(pkg-config --cflags --libs teatime) -o chat
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <teatime.h>

static tea_session *session;
static tea_view_id me;
static tea_badge badge;
static tea_value *link_text;
static bool json, live, leaving, broken, told;
static uint64_t receipt, on_history, on_view_info;
static int exit_code;
static tea_reflector *reflector;
static volatile sig_atomic_t interrupted;
static uint64_t typing_until; /* Until then the others see that this user is typing. 0 if it is not. In ms. */

/* A user who has pressed no key for this long is not typing. */
static const uint64_t typing_ms = 5000;

static void interrupt(int signal) { (void)signal; interrupted = 1; }

/* A text of other users, as the terminal may get it. */
static void print_text(FILE *to, tea_str text) {
    tea_value *line;
    tea_payload data;
    if (tea_printable(text, &line) != TEA_STATUS_OK) return;
    if (tea_value_payload(line, &data) == TEA_STATUS_OK && tea_payload_str(data, &text) == TEA_STATUS_OK)
        fprintf(to, "%.*s", TEA_PRINT(text));
    tea_value_free(line);
}

/* A message for people. */
static void tell(tea_str message) {
    fputs("chat: ", stderr);
    print_text(stderr, message);
    fputc('\n', stderr);
}

static void check(tea_status status, int exit_code) {
    tea_str why = tea_last_error();
    if (status == TEA_STATUS_OK) return;
    tell(why);
    exit(exit_code);
}

static void usage(void) {
    fputs("usage: chat [LINK] [--reflector URL] [--name ROOM] [--password PW]\n"
          "            [--inactivity SECONDS] [--announce] [--ca FILE] [--evidence DIR]\n"
          "            [--plain | --json]\n", stderr);
    exit(2);
}

static bool is(tea_str text, const char *other) {
    return text.len == strlen(other) && !memcmp(text.ptr, other, text.len);
}

static tea_payload data_of(tea_value *value) {
    tea_payload data;
    check(tea_value_payload(value, &data), 1);
    return data;
}

static bool text_at(tea_payload data, const char *path, tea_str *text) {
    return tea_payload_get(data, tea_text(path), &data) == TEA_STATUS_OK &&
           tea_payload_str(data, text) == TEA_STATUS_OK;
}

static tea_value *ask(const char *query, tea_payload argument, tea_format format) {
    tea_value *answer;
    check(tea_session_query(session, TEA_ROOT_MODEL, tea_text(query), argument, format, &answer), 1);
    return answer;
}

static void print_json(tea_value *value) {
    printf("%.*s", (int)data_of(value).len, (const char *)data_of(value).ptr);
    tea_value_free(value);
}

static void print_string(tea_str text) {
    tea_value *value, *quoted;
    check(tea_value_new(&value), 1);
    check(tea_value_put_str(value, text), 1);
    check(tea_value_convert(data_of(value), TEA_FORMAT_JSON, &quoted), 1);
    tea_value_free(value);
    print_json(quoted);
}

static void print_error(tea_str code, tea_str message) {
    if (!json) {
        tell(message);
        return;
    }
    printf("{\"event\":\"error\",\"code\":\"%.*s\",\"message\":", TEA_PRINT(code));
    print_string(message);
    puts("}");
}

static void print_failure(tea_status status, tea_str message) {
    tea_str code;
    check(tea_status_name(status, &code), 1);
    print_error(code, message);
}

/* The history as this program follows it: each line as JSON, and the number of the last one. */
static char *history[101];
static size_t lines;
static uint64_t last;

/* An id is bytes in an event, and hexadecimal digits in JSON. */
static char *json_of(tea_payload line) {
    tea_payload id, html;
    tea_value *quoted;
    const uint8_t *bytes;
    size_t count, n;
    char *text, *end;
    check(tea_payload_get(line, TEA_STR("/view_id"), &id), 1);
    check(tea_payload_get(line, TEA_STR("/html"), &html), 1);
    if (tea_payload_bytes(id, &bytes, &count) != TEA_STATUS_OK) count = 0;
    check(tea_value_convert(html, TEA_FORMAT_JSON, &quoted), 1);
    text = malloc(data_of(quoted).len + 2 * count + 40);
    if (!text) abort();
    end = text + sprintf(text, count ? "{\"view_id\":\"" : "{\"view_id\":null");
    for (n = 0; n < count; n++) end += sprintf(end, "%02x", bytes[n]);
    sprintf(end, "%s,\"html\":%.*s}", count ? "\"" : "", (int)data_of(quoted).len,
            (const char *)data_of(quoted).ptr);
    tea_value_free(quoted);
    return text;
}

/* Drops lines at the front, and adds one at the end. */
static void change_history(size_t dropped, tea_payload line) {
    size_t n;
    history[lines++] = json_of(line);
    if (dropped > lines - 1) dropped = lines - 1;
    for (n = 0; n < dropped; n++) free(history[n]);
    lines -= dropped;
    memmove(history, history + dropped, lines * sizeof *history);
}

static void print_history(void) {
    size_t n;
    printf("{\"event\":\"history\",\"items\":[");
    for (n = 0; n < lines; n++) printf("%s%s", n ? "," : "", history[n]);
    puts("]}");
}

static void print_line(tea_payload line) {
    tea_str text;
    tea_value *plain;
    if (!text_at(line, "/html", &text)) return;
    check(tea_chat_plain_text(text, &plain), 1);
    check(tea_payload_str(data_of(plain), &text), 1);
    print_text(stdout, text);
    putchar('\n');
    tea_value_free(plain);
}

static void on_change(tea_payload change) {
    tea_payload line, value;
    uint64_t dropped;
    check(tea_payload_get(change, TEA_STR("/line"), &line), 1);
    check(tea_payload_get(change, TEA_STR("/dropped"), &value), 1);
    check(tea_payload_u64(value, &dropped), 1);
    change_history(dropped, line);
    last++;
    if (json) print_history();
    else print_line(line);
}

/* Takes the history of a new view. How many lines at its end are new, although this program has shown the others? All,
   if the lines of the same numbers are others: then the reflector has lost the session, and this is a new one. */
static size_t take_history(tea_payload all) {
    tea_value *answer = ask("lines", tea_nil(), TEA_FORMAT_MSGPACK);
    tea_payload cursor, line;
    char *shown[101];
    size_t before = lines, new_lines, kept, n;
    uint64_t now;
    check(tea_payload_u64(data_of(answer), &now), 1);
    tea_value_free(answer);
    memcpy(shown, history, sizeof shown);
    lines = 0;
    check(tea_payload_enter(all, &cursor), 1);
    while (tea_payload_next(&cursor, &line) == TEA_STATUS_OK) history[lines++] = json_of(line);
    new_lines = now < last || now - last > lines ? lines : (size_t)(now - last);
    kept = lines - new_lines;
    for (n = 1; n <= kept; n++)
        if (n > before || strcmp(history[kept - n], shown[before - n])) new_lines = lines;
    for (n = 0; n < before; n++) free(shown[n]);
    last = now;
    return new_lines;
}

static void print_view(void) {
    char id[2 * sizeof me.bytes + 3] = "\"";
    tea_hex(me.bytes, sizeof me.bytes, id + 1);
    strcat(id, "\"");
    printf("\"nickname\":");
    print_json(ask("nickname", tea_json(id), TEA_FORMAT_JSON));
    printf(",\"participants\":");
    print_json(ask("participants", tea_nil(), TEA_FORMAT_JSON));
    puts("}");
}

static void print_view_info(void) {
    printf("{\"event\":\"view_info\",");
    print_view();
}

static int by_text(const void *one, const void *other) {
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Prints who is typing, if that has changed: the nicknames in the order of the alphabet. */
static void print_typing(void) {
    static char *printed;
    tea_presence *shown;
    tea_payload typing;
    char **names, *line, id[2 * sizeof me.bytes + 3];
    size_t count, size, n, typists = 0;
    uint32_t participants;
    bool types, changed;
    FILE *text;
    check(tea_session_participant_count(session, &participants), 1);
    shown = calloc(participants + 1, sizeof *shown);
    names = calloc(participants + 1, sizeof *names);
    text = open_memstream(&line, &size);
    if (!shown || !names || !text) abort();
    check(tea_session_presences(session, TEA_FORMAT_MSGPACK, shown, participants + 1, &count), 1);
    for (n = 0; n < count; n++) {
        tea_value *answer;
        if (tea_payload_get(shown[n].data, TEA_STR("/typing"), &typing) != TEA_STATUS_OK ||
            tea_payload_bool(typing, &types) != TEA_STATUS_OK || !types)
            continue;
        strcpy(id, "\"");
        tea_hex(shown[n].view.bytes, sizeof shown[n].view.bytes, id + 1);
        strcat(id, "\"");
        answer = ask("nickname", tea_json(id), TEA_FORMAT_JSON);
        /* null for a participant that the model does not know yet */
        if (*data_of(answer).ptr == '"') names[typists++] = strndup((const char *)data_of(answer).ptr, data_of(answer).len);
        tea_value_free(answer);
    }
    qsort(names, typists, sizeof *names, by_text);
    for (n = 0; n < typists; n++) {
        fprintf(text, "%s%s", n ? "," : "", names[n]);
        free(names[n]);
    }
    fclose(text);
    free(names);
    free(shown);
    changed = strcmp(line, printed ? printed : "") != 0;
    if (changed) printf("{\"event\":\"typing\",\"nicknames\":[%s]}\n", line);
    free(printed);
    printed = line;
}

static void print_joined(void) {
    tea_session_id id;
    char hex[65];
    tea_str link;
    check(tea_session_id_of(session, &id), 1);
    tea_hex(id.bytes, sizeof id.bytes, hex);
    printf("{\"event\":\"joined\",\"session_id\":\"%s\",", hex);
    tea_hex(me.bytes, sizeof me.bytes, hex);
    printf("\"view_id\":\"%s\",\"badge\":\"%s\",\"link\":", hex, badge.text);
    check(tea_payload_str(data_of(link_text), &link), 1);
    print_string(link);
    putchar(',');
    print_view();
}

static tea_status publish(const char *event, tea_payload data) {
    return tea_session_publish(session, TEA_STR("input"), tea_text(event), data, &receipt);
}

/* The model stands as it was when this view had just joined. */
static void build_view(void) {
    tea_value *answer = ask("history", tea_nil(), TEA_FORMAT_MSGPACK);
    tea_payload all = data_of(answer), cursor, line;
    const uint8_t *writer;
    size_t size, new_lines, n;
    uint32_t participants;
    bool mine = false;
    check(tea_session_participant_count(session, &participants), 1);
    check(tea_payload_enter(all, &cursor), 1);
    while (tea_payload_next(&cursor, &line) == TEA_STATUS_OK) {
        check(tea_payload_get(line, TEA_STR("/view_id"), &line), 1);
        if (tea_payload_bytes(line, &writer, &size) == TEA_STATUS_OK)
            mine |= size == sizeof me.bytes && !memcmp(writer, me.bytes, size);
    }
    new_lines = take_history(all);
    /* The lines of earlier participants are not for this user. */
    if (participants == 1 && !mine) publish("reset", tea_json("\"for new participants\""));
    live = true;
    if (json) {
        print_joined();
        print_history();
        print_view_info();
    } else {
        check(tea_payload_enter(all, &cursor), 1);
        for (n = 0; tea_payload_next(&cursor, &line) == TEA_STATUS_OK; n++)
            if (n >= lines - new_lines) print_line(line);
    }
    tea_value_free(answer);
}

static void on_connection(const tea_event *event) {
    bool failed = event->connection == TEA_CONNECTION_FAILED;
    bool unreached = event->status == TEA_STATUS_UNREACHABLE || event->status == TEA_STATUS_BAD_CERTIFICATE ||
                     event->status == TEA_STATUS_NOT_STORED;
    bool reconnecting = event->connection == TEA_CONNECTION_RECONNECTING;
    const char *name = NULL;
    if (failed || (unreached && !told)) {
        print_failure(event->status, event->message);
        told = true;
    }
    if (failed) exit_code = 1;
    if (reconnecting && !broken) name = "reconnecting";
    if (event->connection == TEA_CONNECTION_LIVE) told = false;
    if (event->connection == TEA_CONNECTION_LIVE && broken) name = "live";
    if (event->connection == TEA_CONNECTION_LEFT) name = "left";
    broken = reconnecting || (broken && event->connection != TEA_CONNECTION_LIVE);
    if (json && name) printf("{\"event\":\"connection\",\"state\":\"%s\"}\n", name);
}

static void print_divergence(const tea_event *event) {
    char hash[65];
    tea_hex(event->hash.bytes, sizeof event->hash.bytes, hash);
    if (json) {
        printf("{\"event\":\"diverged\",\"seq\":%llu,\"time_us\":%llu,\"hash\":\"%s\",\"evidence\":",
               (unsigned long long)event->seq, (unsigned long long)event->time_us, hash);
        if (event->flag) print_string(event->message);
        else printf("null");
        puts("}");
    } else {
        fprintf(stderr, "chat: this client's state was not the right one and has been replaced%s%.*s\n",
                event->flag ? "; see: teatime diff " : "", event->flag ? (int)event->message.len : 0,
                event->message.ptr);
    }
    if (event->status != TEA_STATUS_OK) print_failure(event->status, event->message);
}

static void print_newer_version(const tea_event *event) {
    if (json) {
        printf("{\"event\":\"newer_version\",\"version\":%u,\"message\":", event->version);
        print_string(event->message);
        puts("}");
    } else {
        tell(event->message);
    }
}

static void print_other_password(const tea_event *event) {
    if (json) {
        printf("{\"event\":\"hint\",\"code\":\"OTHER_PASSWORD\",\"message\":");
        print_string(event->message);
        puts("}");
    } else {
        tell(event->message);
    }
}

static void print_unconfirmed(const tea_event *event) {
    if (json) {
        printf("{\"event\":\"unconfirmed\",\"count\":%llu,\"message\":", (unsigned long long)event->seq);
        print_string(event->message);
        puts("}");
    } else {
        fprintf(stderr, "chat: %.*s\n", TEA_PRINT(event->message));
    }
}

static void print_disagreement(const tea_event *event) {
    if (json) {
        printf("{\"event\":\"disagreement\",\"seq\":%llu,\"message\":", (unsigned long long)event->seq);
        print_string(event->message);
        puts("}");
    } else {
        fprintf(stderr, "chat: %.*s\n", TEA_PRINT(event->message));
    }
}

static void print_alarm(const tea_event *event) {
    char participant[35] = "\"";
    if (!json) {
        tell(event->message);
        return;
    }
    tea_hex(event->sender.bytes, sizeof event->sender.bytes, participant + 1);
    strcat(participant, "\"");
    printf("{\"event\":\"alarm\",\"kind\":");
    print_string(event->event);
    printf(",\"seq\":%llu,\"participant\":%s,\"message\":", (unsigned long long)event->seq,
           event->flag ? participant : "null");
    print_string(event->message);
    puts("}");
}

static void print_not_persisted(const tea_event *event) {
    tea_str code;
    if (!json) {
        tell(event->message);
        return;
    }
    printf("{\"event\":\"not_persisted\",\"code\":");
    check(tea_status_name(event->status, &code), 1);
    if (event->status == TEA_STATUS_OK) printf("null");
    else print_string(code);
    printf(",\"message\":");
    print_string(event->message);
    puts("}");
}

static void on_event(const tea_event *event) {
    char hash[67] = "\"";
    tea_hex(event->hash.bytes, sizeof event->hash.bytes, hash + 1);
    strcat(hash, "\"");
    unsigned long long seq = event->seq, time_us = event->time_us;
    if (event->kind == TEA_EVENT_KIND_VIEW_READY) build_view();
    if (event->kind == TEA_EVENT_KIND_VIEW_LOST) live = false;
    if (event->kind == TEA_EVENT_KIND_CONNECTION) on_connection(event);
    if (event->kind == TEA_EVENT_KIND_DIVERGED) print_divergence(event);
    if (event->kind == TEA_EVENT_KIND_NEWER_VERSION) print_newer_version(event);
    if (event->kind == TEA_EVENT_KIND_OTHER_PASSWORD) print_other_password(event);
    if (event->kind == TEA_EVENT_KIND_NOT_PERSISTED) print_not_persisted(event);
    if (event->kind == TEA_EVENT_KIND_UNCONFIRMED) print_unconfirmed(event);
    if (event->kind == TEA_EVENT_KIND_DISAGREEMENT) print_disagreement(event);
    if (event->kind == TEA_EVENT_KIND_ALARM) print_alarm(event);
    if (event->kind == TEA_EVENT_KIND_FAULT) print_failure(event->status, event->message);
    if (event->kind == TEA_EVENT_KIND_PUBLISHED && event->subscription == on_history)
        on_change(event->payload);
    if (!json) return;
    if (event->kind == TEA_EVENT_KIND_PUBLISHED && event->subscription == on_view_info)
        print_view_info();
    if (event->kind == TEA_EVENT_KIND_PRESENCES_CHANGED && live) print_typing();
    if (event->kind == TEA_EVENT_KIND_STATE)
        printf("{\"event\":\"state\",\"seq\":%llu,\"time_us\":%llu,\"hash\":%s}\n", seq, time_us, hash);
    if (event->kind == TEA_EVENT_KIND_VERDICT)
        printf("{\"event\":\"verdict\",\"seq\":%llu,\"hash\":%s,\"agreed\":%u,\"of\":%u}\n", seq,
               event->flag ? hash : "null", event->agreed, event->of);
}

static void pull(void) {
    tea_event events[64];
    size_t count, at;
    do {
        check(tea_session_poll(session, TEA_FORMAT_MSGPACK, events, 64, &count), 1);
        for (at = 0; at < count; at++) on_event(&events[at]);
    } while (count == 64);
    if (fflush(stdout) || ferror(stdout)) exit_code = 1; /* the reader has closed the pipe, or the terminal is gone */
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t least(uint64_t one, uint64_t other) { return one < other ? one : other; }

/* The user types, or has stopped. Without a further call it counts as stopped after a while. */
static void set_typing(bool typing) {
    if (!typing && !typing_until) return;
    typing_until = typing ? now_ms() + typing_ms : 0;
    /* Fails only after the end. */
    if (typing) (void)tea_session_set_presence(session, tea_json("{\"typing\":true}"));
    else (void)tea_session_clear_presence(session);
}

static tea_status post(tea_str text) {
    tea_value *value;
    tea_status status;
    set_typing(false);
    check(tea_value_new(&value), 1);
    check(tea_value_put_map(value, 1), 1);
    check(tea_value_put_str(value, TEA_STR("text")), 1);
    status = tea_value_put_str(value, text);
    if (status == TEA_STATUS_OK) status = publish("newPost", data_of(value));
    tea_value_free(value);
    return status;
}

static tea_status obey_plain(tea_str line) {
    return is(line, "/reset") ? publish("reset", tea_json("\"at user request\"")) : post(line);
}

static tea_status obey_json(tea_str line) {
    tea_payload all = {(const uint8_t *)line.ptr, line.len, TEA_FORMAT_JSON};
    tea_value *value;
    tea_str verb = {"", 0}, text;
    tea_status status = TEA_STATUS_OK;
    size_t members = 0;
    if (tea_value_convert(all, TEA_FORMAT_MSGPACK, &value) != TEA_STATUS_OK) {
        print_error(TEA_STR("BAD_COMMAND"), tea_last_error());
        return TEA_STATUS_OK;
    }
    tea_payload_count(data_of(value), &members);
    text_at(data_of(value), "/do", &verb);
    if (is(verb, "post") && members == 2 && text_at(data_of(value), "/text", &text)) status = post(text);
    else if (is(verb, "typing") && members == 1) set_typing(true);
    else if (is(verb, "reset") && members == 1) status = obey_plain(TEA_STR("/reset"));
    else if (is(verb, "vote") && members == 1) status = tea_session_request_vote(session);
    else if (is(verb, "leave") && members == 1) leaving = true;
    else print_error(TEA_STR("BAD_COMMAND"), TEA_STR("unknown command: expected post with text, typing, reset, vote or leave"));
    tea_value_free(value);
    return status;
}

/* Input that has been read and not been handled yet. */
static char *input;
static size_t filled, room;
static bool ended;

static void read_input(void) {
    ssize_t got;
    if (room - filled < 4096 && !(input = realloc(input, room += 65536))) abort();
    got = read(STDIN_FILENO, input + filled, room - filled);
    if (got > 0) filled += (size_t)got;
    else if (got == 0 || errno != EINTR) ended = true;
}

/* Handles the first line. False if the line is incomplete, or must wait. */
static bool obey_line(void) {
    static const char mark[] = "\xEF\xBB\xBF"; /* Some editors begin a file with a byte order mark. */
    static bool begun;
    char *end = filled ? memchr(input, '\n', filled) : NULL;
    tea_str line = {input, end ? (size_t)(end - input) : filled};
    size_t used = line.len + (end ? 1 : 0);
    tea_status status;
    if (!live || leaving || !(end || (ended && filled))) return false;
    if (line.len && input[line.len - 1] == '\r') line.len--;
    if (!begun && line.len >= 3 && !memcmp(line.ptr, mark, 3)) {
        line.ptr += 3;
        line.len -= 3;
    }
    status = json ? obey_json(line) : obey_plain(line);
    if (status == TEA_STATUS_TOO_FAST || status == TEA_STATUS_NOT_JOINED) return false;
    if (status != TEA_STATUS_OK) print_failure(status, tea_last_error());
    memmove(input, input + used, filled -= used);
    begun = true;
    return true;
}

/* Makes the config trust the certificates in a file. */
static void trust(tea_config *config, const char *name) {
    static char pem[65536];
    tea_str text = {pem, 0};
    FILE *file = fopen(name, "rb");
    if (!file) {
        perror(name);
        exit(2);
    }
    text.len = fread(pem, 1, sizeof pem, file);
    fclose(file);
    check(tea_config_set_trusted_certificates(config, text), 2);
}

/* Reads flags and link, and joins. Flags override the link. */
static void join(int argc, char **argv) {
    static const struct option flags[] = {
        {"reflector", 1, NULL, 0}, {"name", 1, NULL, 1}, {"password", 1, NULL, 2},
        {"inactivity", 1, NULL, 3}, {"plain", 0, NULL, 4}, {"json", 0, NULL, 5}, {"ca", 1, NULL, 6},
        {"evidence", 1, NULL, 7}, {"announce", 0, NULL, 8}, {0}};
    static const char *const paths[] = {"/reflector", "/name", "/password"};
    tea_str parts[3] = {{NULL, 0}, TEA_STR("lobby"), {NULL, 0}};
    const char *given[9] = {NULL};
    tea_value *from_link;
    tea_payload option;
    tea_app *app;
    tea_config *config;
    char options[80], *end;
    int64_t seconds = 1200;
    bool announce = false;
    int flag, n;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (flag == '?') usage();
        given[flag] = optarg ? optarg : "";
    }
    json = given[5];
    if (argc > optind + 1 || (given[4] && given[5])) usage();
    check(tea_app_new(TEA_STR(TEA_CHAT_APP), 1, &app), 1);
    check(tea_app_add_chat(app), 1);
    if (optind < argc) { /* never freed, because its parts are used until the end */
        check(tea_link_parse(tea_text(argv[optind]), TEA_FORMAT_MSGPACK, &from_link), 2);
        check(tea_config_from_link(app, tea_text(argv[optind]), &config), 2); /* only to check it */
        tea_config_free(config);
        for (n = 0; n < 3; n++) text_at(data_of(from_link), paths[n], &parts[n]);
        if (tea_payload_get(data_of(from_link), TEA_STR("/options/inactivity_seconds"), &option) == TEA_STATUS_OK)
            check(tea_payload_i64(option, &seconds), 2);
        if (tea_payload_get(data_of(from_link), TEA_STR("/options/announce"), &option) == TEA_STATUS_OK)
            check(tea_payload_bool(option, &announce), 2);
    }
    for (n = 0; n < 3; n++) {
        if (given[n]) parts[n] = tea_text(given[n]);
    }
    if (given[3]) {
        errno = 0;
        seconds = strtoll(given[3], &end, 10);
        if (given[3][0] < '0' || given[3][0] > '9' || *end || errno || seconds > UINT32_MAX) usage();
    }
    snprintf(options, sizeof options, "{\"inactivity_seconds\":%lld,\"announce\":%s}", (long long)seconds,
             announce || given[8] ? "true" : "false");
    check(tea_config_new(app, parts[1], tea_json(options), &config), 2);
    if (parts[2].ptr) check(tea_config_set_password(config, parts[2]), 2);
    if (given[6]) trust(config, given[6]);
    if (given[7]) check(tea_config_set_evidence_dir(config, tea_text(given[7])), 2);
    if (!parts[0].ptr) {
        check(tea_reflector_local(&reflector), 1);
        check(tea_reflector_url(reflector, &parts[0]), 1);
    }
    check(tea_session_join(config, parts[0], &session), 2);
    check(tea_config_link(config, parts[0], &link_text), 2);
    check(tea_config_badge(config, &badge), 1);
    check(tea_session_view_id(session, &me), 1);
    check(tea_session_subscribe(session, TEA_STR("history"), TEA_STR("refresh"),
                                TEA_HANDLING_QUEUED, &on_history), 1);
    check(tea_session_subscribe(session, TEA_STR("viewInfo"), TEA_STR("refresh"),
                                TEA_HANDLING_QUEUED, &on_view_info), 1);
    tea_config_free(config);
    tea_app_free(app);
}

int main(int argc, char **argv) {
    struct pollfd wait[2] = {{0, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    struct sigaction action, hangup;
    struct timespec pause;
    int unused;
    sigset_t signals, before;
    bool applied = true, reads;
    uint64_t due;
    /* Without this a socket could get the number of a standard stream that was closed when the program started. */
    while ((unused = open("/dev/null", O_RDWR)) >= 0 && unused <= STDERR_FILENO) {}
    if (unused >= 0) close(unused);
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* The end of the terminal, unless nohup asks to survive it. */
    if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &before); /* signals arrive while poll waits, and only then */
    join(argc, argv);
    check(tea_session_fd(session, &wait[0].fd), 1);
    while (!interrupted) {
        check(tea_session_step(session, 50000), 1);
        pull();
        if (typing_until && now_ms() >= typing_until) set_typing(false);
        while (obey_line()) {}
        if (live && ended && !filled) leaving = true;
        check(tea_session_is_applied(session, receipt, &applied), 1);
        if (exit_code || (leaving && applied)) break;
        reads = live && !leaving && !ended && !(filled && memchr(input, '\n', filled));
        check(tea_session_next_due(session, &due), 1);
        if (typing_until) due = least(due, typing_until > now_ms() ? (typing_until - now_ms()) * 1000 : 0);
        pause.tv_sec = due > 3600000000u ? 3600 : (time_t)(due / 1000000);
        pause.tv_nsec = (long)(due % 1000000) * 1000;
        if (ppoll(wait, reads ? 2 : 1, &pause, &before) > 0 && reads && wait[1].revents) read_input();
    }
    check(tea_session_leave(session), 1);
    pull();
    check(tea_session_free(session), 1);
    if (reflector) tea_reflector_free(reflector);
    tea_value_free(link_text);
    free(input);
    return exit_code;
}

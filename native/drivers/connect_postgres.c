#include "drivers/connect_postgres.h"

#include "core/clock.h"
#include "core/text.h"

#include <arpa/inet.h>
#include <limits.h>
#include <locale.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_MS = 100, ADDRESS_BYTES = 64, STATE_CHARS = 5 };

/* What is said about the way there, wherever it is said. Borrowed from `options`. */
struct way {
    PQconninfoOption *options;
    const char *hosts, *addresses, *ports; /* lists with commas, or NULL */
    const char *default_port;
    const char *sslmode;   /* NULL: nobody said one */
    const char *root_cert; /* NULL: nobody said one */
    const char *session;   /* target_session_attrs */
};

struct search {
    const struct rf_connecting *how;
    const struct way *way;
    const char *session; /* what kind of server is looked for in this round */
    struct rf_text said; /* why each host so far was not the one */
    PGconn *conn;
};

static bool is_said(const char *text) {
    return text && *text;
}

/* ---- what is said ---- */

static PQconninfoOption *find_option(PQconninfoOption *options, const char *keyword) {
    while (options->keyword && strcmp(options->keyword, keyword) != 0) options++;
    return options;
}

static const char *option(PQconninfoOption *options, const char *keyword) {
    return find_option(options, keyword)->val;
}

static bool is_out_of_memory(const char *text) {
    return !text || strstr(text, "out of memory");
}

/* The parser's message may quote the URI, and with it a password. */
static enum rf_code check_uri(const struct rf_connecting *how, bool *says_sslmode, struct rf_error *err) {
    char *said = NULL;
    PQconninfoOption *options = PQconninfoParse(how->uri, &said);
    bool no_memory = !options && is_out_of_memory(said);
    if (said) PQfreemem(said);
    if (no_memory) return rf_no_memory(err);
    if (options) {
        *says_sslmode = is_said(option(options, "sslmode"));
        PQconninfoFree(options);
        return RF_OK;
    }
    rf_fail(err, RF_CONFIG, "the %s is not a connection URI of PostgreSQL", rf_pg_side_name(how->side));
    return rf_hint(err, "Write postgresql://user@host:5432/database; encode odd characters of a password as %%XX.");
}

static bool are_the_same(const PQconninfoOption *some, const PQconninfoOption *others) {
    while (some->keyword && !some->val == !others->val) some++, others++;
    return !some->keyword;
}

/* libpq leaves out a value that it has no memory for, and without its port an address is that of another server. So it is
 * asked twice. */
static PQconninfoOption *read_whole(PGconn *conn) {
    PQconninfoOption *options = PQconninfo(conn), *again = PQconninfo(conn);
    if (!options || !again || !are_the_same(options, again)) {
        PQconninfoFree(options);
        options = NULL;
    }
    PQconninfoFree(again);
    return options;
}

/* libpq tells what it would use, service file and environment included, of a connection only. So one is begun
 * with a value that it refuses just before it would look for the host. */
static enum rf_code read_options(const struct rf_connecting *how, PQconninfoOption **options, struct rf_error *err) {
    const char *keys[] = {"dbname", "channel_binding", NULL}, *values[] = {how->uri, "unknown", NULL};
    PGconn *conn = PQconnectStartParams(keys, values, 1);
    if (!conn) return rf_no_memory(err);
    enum rf_code code = RF_OK;
    if (is_out_of_memory(PQerrorMessage(conn))) {
        code = rf_no_memory(err);
    } else if (!strstr(PQerrorMessage(conn), "channel_binding")) {
        char text[512];
        rf_pg_copy_line(text, sizeof text, PQerrorMessage(conn));
        rf_fail(err, RF_CONFIG, "the connection of the %s cannot work as written: %s", rf_pg_side_name(how->side), text);
        code = rf_hint(err, "Check the URI, the service file and the PG… variables of the environment.");
    } else if (!(*options = read_whole(conn))) {
        code = rf_no_memory(err);
    }
    PQfinish(conn);
    return code;
}

/* A service that says `prefer`, libpq's own default, cannot be told from one that says nothing. */
static const char *said_sslmode(PQconninfoOption *options, bool in_uri) {
    const PQconninfoOption *mode = find_option(options, "sslmode");
    bool said = in_uri || is_said(getenv("PGSSLMODE")) || (mode->val && mode->compiled && strcmp(mode->val, mode->compiled) != 0);
    return said ? mode->val : NULL;
}

static enum rf_code read_way(const struct rf_connecting *how, struct way *way, struct rf_error *err) {
    bool in_uri = false;
    PQconninfoOption *options = NULL;
    RF_TRY(check_uri(how, &in_uri, err));
    RF_TRY(read_options(how, &options, err));
    *way = (struct way){
        .options = options,
        .hosts = option(options, "host"),
        .addresses = option(options, "hostaddr"),
        .ports = option(options, "port"),
        .default_port = find_option(options, "port")->compiled,
        .sslmode = said_sslmode(options, in_uri),
        .root_cert = option(options, "sslrootcert"),
        .session = option(options, "target_session_attrs"),
    };
    return RF_OK;
}

/* ---- trust ---- */

static bool is_loopback(const char *address) {
    struct in6_addr six;
    struct in_addr four;
    if (inet_pton(AF_INET, address, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static bool is_socket(const char *host, const char *address) {
    return !is_said(address) && (!is_said(host) || *host == '/' || *host == '@');
}

/* What is written decides, not what a name server answers. */
static bool stays_here(const char *host, const char *address) {
    if (is_said(address)) return is_loopback(address);
    return is_socket(host, address) || strcmp(host, "localhost") == 0 || is_loopback(host);
}

/* ~/.postgresql/root.crt, which libpq reads by itself. */
static bool has_own_authorities(void) {
    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (!is_said(home) && getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found) home = found->pw_dir;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.postgresql/root.crt", home ? home : "");
    return access(path, F_OK) == 0;
}

/* Where Debian, Red Hat, SUSE, and Alpine and macOS keep the authorities that the system trusts. libpq 16 finds
 * them by itself with sslrootcert=system; before, it needs the file. */
static const char *system_authorities(void) {
    const char *files[] = {getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (is_said(files[i]) && access(files[i], R_OK) == 0) return files[i];
    return NULL;
}

/* Only a connection that names its server may trust everyone whom the system trusts. */
static const char *root_cert_for(const struct way *way, const char *sslmode) {
    bool must_find = sslmode && strcmp(sslmode, "verify-full") == 0 && !is_said(way->root_cert) && !has_own_authorities();
    return must_find ? system_authorities() : way->root_cert;
}

/* ---- refusals ---- */

/* What libpq itself says, in the words of its source; OpenSSL's are the same in every language. The first row
 * that is found wins. %s is the side. */
static const struct {
    const char *words;
    enum rf_code code; /* RF_OK: the side's own class */
    const char *state;
    const char *hint;
} REFUSALS[] = {
    {"server does not support SSL", RF_CONFIG, "08001",
     "The server offers no encryption: turn ssl on there, or add sslmode=disable (or prefer) to the %s's URI to do without; in Airflow, to the connection's extra."},
    {"certificate verify failed", RF_CONFIG, "08001",
     "The server's certificate has expired, or no trusted authority has signed it: name the authority's file with sslrootcert=…, or add sslmode=require to the %s's URI to encrypt without knowing who answers; in Airflow, to the connection's extra."},
    {"server certificate for", RF_CONFIG, "08001",
     "Connect by a name that the server's certificate holds, or add sslmode=require to the %s's URI to encrypt without knowing who answers; in Airflow, to the connection's extra."},
    {"host name from server certificate", RF_CONFIG, "08001",
     "The server's certificate holds no name: give it one, or add sslmode=require to the %s's URI to encrypt without knowing who answers; in Airflow, to the connection's extra."},
    {"root certificate", RF_CONFIG, "08001",
     "Name the file of trusted authorities with sslrootcert=…, or add sslmode=require to the %s's URI to encrypt without knowing who answers; in Airflow, to the connection's extra."},
    {"home directory to locate", RF_CONFIG, "08001", "Name the file of trusted authorities with sslrootcert=…, or set HOME, for the %s."},
    {" alert ", RF_AUTH, "28000", "The server refused the TLS session: check sslcert and sslkey of the %s's connection."},
    {"private key file", RF_CONFIG, "08001", "Check sslkey and sslpassword of the %s's connection."},
    {"certificate file", RF_CONFIG, "08001", "Check sslcert of the %s's connection."},
    {"SSL error", RF_OK, "08006", "Client and server of the %s do not agree on TLS: check the versions and certificates that both allow."},
    {"session is", RF_OK, "08006", "None of the %s's servers is of the kind that target_session_attrs asks for."},
    {"server is", RF_OK, "08006", "None of the %s's servers is of the kind that target_session_attrs asks for."},
    {"authentication", RF_AUTH, "28000", NULL},
};

/* The state in "FATAL:  28P01: words", as verbose texts have it: the words are in the server's language. */
static const char *find_state(const char *line) {
    static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (const char *p = strstr(line, ":  "); p; p = strstr(p + 1, ":  "))
        if (strspn(p + 3, allowed) == STATE_CHARS && strncmp(p + 3 + STATE_CHARS, ": ", 2) == 0) return p + 3;
    return NULL;
}

/* Appends one line of libpq's verbose text as people read it. Of two attempts, with and without encryption, the one
 * that got further than "no entry for this host" says more. */
static void take_line(const char *line, struct rf_text *words, char state[STATE_CHARS + 1]) {
    line += strspn(line, "\t ");
    if (strncmp(line, "LOCATION:", 9) == 0) return;
    const char *found = find_state(line);
    if (words->length > 0) rf_text_add(words, " ");
    rf_text_add_bytes(words, line, found ? (size_t)(found - line) : strlen(line));
    if (!found) return;
    rf_text_add(words, found + STATE_CHARS + 2);
    if (*state && strcmp(state, "28000") != 0) return;
    memcpy(state, found, STATE_CHARS);
    state[STATE_CHARS] = '\0';
}

static void take_words(PGconn *conn, struct rf_text *words, char state[STATE_CHARS + 1]) {
    *state = '\0';
    char *text = strdup(PQerrorMessage(conn)), *rest = text;
    words->failed |= !text;
    for (char *line; rest && (line = strsep(&rest, "\n"));)
        if (*line) take_line(line, words, state);
    free(text);
}

/* Fills *err for the attempt that just ended with `words`; the message has those of the attempts before it too. */
static enum rf_code fail_attempt(struct search *search, const char *state, const char *words, struct rf_error *err) {
    enum rf_side side = search->how->side;
    rf_text_addf(&search->said, "%s%s", search->said.length > 0 ? "; " : "", words);
    RF_TRY(rf_text_check(&search->said, err));
    rf_fail(err, rf_pg_side_code(side), "%s: cannot connect: %s", rf_pg_side_name(side), search->said.data);
    rf_pg_diagnose(side, state, err);
    rf_copy_text(err->sqlstate, sizeof err->sqlstate, state);
    rf_copy_text(err->role, sizeof err->role, "connect");
    rf_copy_text(err->server_message, sizeof err->server_message, words);
    if (!*err->hint) rf_hint(err, "Check host and port of the %s, and that the server is reachable from here.", rf_pg_side_name(side));
    return err->code;
}

/* The server was not reached, or not so far that it gave a state. */
static enum rf_code fail_by_words(struct search *search, const char *words, struct rf_error *err) {
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++) {
        if (!strstr(words, REFUSALS[i].words)) continue;
        if (fail_attempt(search, REFUSALS[i].state, words, err) == RF_NO_MEMORY) return err->code;
        if (REFUSALS[i].code != RF_OK) err->code = REFUSALS[i].code;
        err->retryable = REFUSALS[i].code == RF_OK;
        return REFUSALS[i].hint ? rf_hint(err, REFUSALS[i].hint, rf_pg_side_name(search->how->side)) : err->code;
    }
    return fail_attempt(search, "08006", words, err);
}

static enum rf_code refuse(struct search *search, struct rf_error *err) {
    char state[STATE_CHARS + 1];
    struct rf_text words = {0};
    take_words(search->conn, &words, state);
    if (!*state && PQconnectionNeedsPassword(search->conn)) rf_copy_text(state, sizeof state, "28P01");
    if (words.length == 0) rf_text_add(&words, "the server gave no reason");
    enum rf_code code = !*state && is_out_of_memory(words.data) ? rf_no_memory(err) : rf_text_check(&words, err);
    if (code == RF_OK) code = *state ? fail_attempt(search, state, words.data, err) : fail_by_words(search, words.data, err);
    rf_text_free(&words);
    return code;
}

/* ---- one address ---- */

static enum rf_code fail_silent(struct search *search, struct rf_error *err) {
    char words[NI_MAXHOST + 256];
    const char *address = PQhostaddr(search->conn);
    snprintf(words, sizeof words, "connection to server at \"%s\" (%s), port %s failed: no answer within %d s", PQhost(search->conn),
             is_said(address) ? address : "socket", PQport(search->conn), search->how->timeout_s);
    if (fail_attempt(search, "08006", words, err) == RF_NO_MEMORY) return err->code;
    return rf_hint(err, "Check host, port and firewall of the %s, or raise connect_timeout.", rf_pg_side_name(search->how->side));
}

static enum rf_code wait_for_server(struct search *search, struct rf_error *err) {
    int64_t deadline = rf_clock_ms() + (int64_t)search->how->timeout_s * 1000;
    PostgresPollingStatusType status = PQstatus(search->conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (rf_cancel_requested(search->how->cancel)) return rf_cancelled(err);
        if (status == PGRES_POLLING_FAILED) return refuse(search, err);
        if (rf_clock_ms() > deadline) return fail_silent(search, err);
        struct pollfd socket = {.fd = PQsocket(search->conn), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (poll(&socket, 1, SLICE_MS) > 0) status = PQconnectPoll(search->conn);
    }
    return RF_OK;
}

/* Later keys win over what the URI says. `address` is NULL for a socket. */
static enum rf_code try_address(struct search *search, const char *host, const char *address, const char *port, const char *sslmode, struct rf_error *err) {
    const char *root_cert = root_cert_for(search->way, sslmode);
    const char *keys[] = {"dbname", "application_name", "client_encoding", "keepalives_idle", "keepalives_interval", "keepalives_count",
                          "tcp_user_timeout", "host", "hostaddr", "port", "sslmode", "sslrootcert", "target_session_attrs", NULL};
    const char *values[] = {search->how->uri, search->how->application, "UTF8", "30", "10", "3",
                            "60000", host, address, port, sslmode, root_cert, search->session, NULL};
    if (rf_cancel_requested(search->how->cancel)) return rf_cancelled(err);
    search->conn = PQconnectStartParams(keys, values, 1);
    if (!search->conn) return rf_no_memory(err);
    PQsetErrorVerbosity(search->conn, PQERRORS_VERBOSE); /* the only form in which libpq shows a refusal's SQLSTATE */
    enum rf_code code = wait_for_server(search, err);
    PQsetErrorVerbosity(search->conn, PQERRORS_DEFAULT);
    if (code == RF_OK) return RF_OK;
    PQfinish(search->conn);
    search->conn = NULL;
    return code;
}

/* ---- hosts and their addresses ---- */

/* Whether another server may be the one: as libpq has it, not when this one refused us or cannot be trusted. */
static bool may_go_on(const struct search *search, enum rf_code code, const struct rf_error *err) {
    return code == rf_pg_side_code(search->how->side) && (strncmp(err->sqlstate, "08", 2) == 0 || strcmp(err->sqlstate, "57P03") == 0);
}

static enum rf_code fail_unknown(struct search *search, const char *host, const char *reason, struct rf_error *err) {
    char words[NI_MAXHOST + 256];
    snprintf(words, sizeof words, "could not translate host name \"%s\" to address: %s", host, reason);
    return fail_attempt(search, "08001", words, err);
}

static enum rf_code try_name(struct search *search, const char *host, const char *port, const char *sslmode, struct rf_error *err) {
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int problem = getaddrinfo(host, NULL, &wanted, &addresses);
    if (problem == EAI_MEMORY) return rf_no_memory(err);
    if (problem != 0) return fail_unknown(search, host, gai_strerror(problem), err);
    enum rf_code code = RF_INTERNAL;
    for (const struct addrinfo *at = addresses; at && (at == addresses || may_go_on(search, code, err)); at = at->ai_next) {
        char address[ADDRESS_BYTES];
        problem = getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
        code = problem == 0 ? try_address(search, host, address, port, sslmode, err) : fail_unknown(search, host, gai_strerror(problem), err);
    }
    freeaddrinfo(addresses);
    return code;
}

static enum rf_code try_host(struct search *search, const char *host, const char *address, const char *port, struct rf_error *err) {
    const char *sslmode = search->way->sslmode || stays_here(host, address) ? search->way->sslmode : "verify-full";
    if (!is_said(port)) port = search->way->default_port;
    if (is_socket(host, address) || is_said(address)) return try_address(search, host, address, port, sslmode, err);
    return try_name(search, host, port, sslmode, err);
}

/* Copies an element of a list with commas; of a list of one it is that one whichever is asked for. */
static void copy_element(const char *list, int at, char *to, size_t to_size) {
    if (list && !strchr(list, ',')) at = 0;
    for (; list && at > 0; at--) list = (list = strchr(list, ',')) ? list + 1 : NULL;
    snprintf(to, to_size, "%.*s", list ? (int)strcspn(list, ",") : 0, list ? list : "");
}

static enum rf_code try_hosts(struct search *search, struct rf_error *err) {
    const struct way *way = search->way;
    const char *list = is_said(way->addresses) ? way->addresses : way->hosts;
    char host[NI_MAXHOST], address[ADDRESS_BYTES], port[NI_MAXSERV];
    enum rf_code code;
    int at = 0;
    do {
        copy_element(way->hosts, at, host, sizeof host);
        copy_element(way->addresses, at, address, sizeof address);
        copy_element(way->ports, at, port, sizeof port);
        code = try_host(search, host, address, port, err);
        at++;
        list = list ? strchr(list, ',') : NULL;
        if (list) list++;
    } while (list && may_go_on(search, code, err));
    return code;
}

/* libpq would prefer a standby among all hosts of one connection; ours are one a connection. */
static enum rf_code find_server(struct search *search, struct rf_error *err) {
    bool prefers_standby = search->way->session && strcmp(search->way->session, "prefer-standby") == 0;
    search->session = prefers_standby ? "standby" : search->way->session;
    enum rf_code code = try_hosts(search, err);
    if (!prefers_standby || !may_go_on(search, code, err)) return code;
    rf_text_free(&search->said);
    search->session = "any";
    return try_hosts(search, err);
}

static enum rf_code connect_as_said(const struct rf_connecting *how, PGconn **conn, struct rf_error *err) {
    struct way way;
    RF_TRY(read_way(how, &way, err));
    struct search search = {.how = how, .way = &way};
    enum rf_code code = find_server(&search, err);
    *conn = search.conn;
    rf_text_free(&search.said);
    PQconninfoFree(way.options);
    return code;
}

/* libpq may speak the user's language; its words are told apart in its own. */
enum rf_code rf_pg_connect(const struct rf_connecting *how, PGconn **conn, struct rf_error *err) {
    *conn = NULL;
    if (rf_cancel_requested(how->cancel)) return rf_cancelled(err);
    locale_t plain = newlocale(LC_MESSAGES_MASK, "C", (locale_t)0);
    if (!plain) return rf_no_memory(err);
    locale_t before = uselocale(plain);
    enum rf_code code = connect_as_said(how, conn, err);
    uselocale(before);
    freelocale(plain);
    return code;
}

#include "drivers/diagnose_odbc.h"

#include "drivers/diagnose_postgres.h"
#include "drivers/diagnose_snowflake.h"

#include <string.h>

#define GRANT "Grant the user what it lacks; README.md lists what a load needs."
#define LOGIN "Check user and password of the connection."
#define PLACE "Check host and port of the connection."
#define AS_TEXT "Name the column in \"as_text\": its values then come as the texts that PostgreSQL prints."

/* The first row that fits wins: of the dialect (RF_DIALECTS: of any), with the native number (0: any), whose state begins
 * with the text. Sources: mariadb.com/kb/en/mariadb-error-code-reference; sqlite.org/rescode.html; ODBC's appendix A. */
static const struct meaning {
    enum rf_dialect dialect;
    int native;
    const char *state;
    enum rf_code code;
    bool retryable;
    bool lost;
    const char *hint;
} MEANINGS[] = {
    {RF_DIALECT_MARIADB, 1044, "", RF_AUTH, false, false, GRANT},
    {RF_DIALECT_MARIADB, 1045, "", RF_AUTH, false, false, LOGIN},
    {RF_DIALECT_MARIADB, 1698, "", RF_AUTH, false, false, LOGIN},
    {RF_DIALECT_MARIADB, 1142, "", RF_AUTH, false, false, GRANT},
    {RF_DIALECT_MARIADB, 1143, "", RF_AUTH, false, false, GRANT},
    {RF_DIALECT_MARIADB, 1227, "", RF_AUTH, false, false, GRANT},
    {RF_DIALECT_MARIADB, 1370, "", RF_AUTH, false, false, GRANT},
    {RF_DIALECT_MARIADB, 1049, "", RF_CONFIG, false, false, "Check the database name of the connection."},
    {RF_DIALECT_MARIADB, 1205, "", RF_BUSY, true, false, "Another session holds a lock on the table; raise lock_timeout or run at another time."},
    {RF_DIALECT_MARIADB, 1213, "", RF_TARGET, true, false, "Two transactions waited for each other, and the server ended this one."},
    {RF_DIALECT_MARIADB, 1020, "", RF_TARGET, true, false, NULL},
    {RF_DIALECT_MARIADB, 1040, "", RF_TARGET, true, false, "The server has no free connection: run fewer tasks at once (an Airflow pool), or raise max_connections."},
    {RF_DIALECT_MARIADB, 1203, "", RF_TARGET, true, false, "The user has no free connection: run fewer tasks at once (an Airflow pool)."},
    {RF_DIALECT_MARIADB, 1021, "", RF_TARGET, true, false, "The server's disk is full."},
    {RF_DIALECT_MARIADB, 1114, "", RF_TARGET, true, false, "The server's disk, or its place for temporary tables, is full."},
    {RF_DIALECT_MARIADB, 1290, "", RF_TARGET, true, false, "The server accepts no writes: it is a replica, or read-only."},
    {RF_DIALECT_MARIADB, 1153, "", RF_DATA, false, true, "A row is longer than the server's max_allowed_packet: raise it there."},
    {RF_DIALECT_MARIADB, 1301, "", RF_DATA, false, false, "A value is longer than the server's max_allowed_packet: raise it there."},
    {RF_DIALECT_MARIADB, 1118, "", RF_CONFIG, false, false, "InnoDB holds about 190 columns of long texts: name fewer in \"columns\"."},
    {RF_DIALECT_MARIADB, 1071, "", RF_CONFIG, false, false, "A key of texts may take 3072 bytes in all: name shorter or fewer columns in \"keys\"."},
    {RF_DIALECT_MARIADB, 1406, "", RF_DATA, false, false, "A text of a key has at most 768 characters in MariaDB, divided among the texts of the key."},
    {RF_DIALECT_MARIADB, 1048, "", RF_DATA, false, false, "A column that may not be NULL is NULL in a row of the source."},
    {RF_DIALECT_MARIADB, 1062, "", RF_DATA, false, false, NULL},
    {RF_DIALECT_MARIADB, 1264, "", RF_DATA, false, false, AS_TEXT},
    {RF_DIALECT_MARIADB, 1292, "", RF_DATA, false, false, AS_TEXT},
    {RF_DIALECT_MARIADB, 1366, "", RF_DATA, false, false, AS_TEXT},
    {RF_DIALECT_MARIADB, 1367, "", RF_DATA, false, false, AS_TEXT},
    {RF_DIALECT_MARIADB, 1969, "", RF_TARGET, true, false, "The server's max_statement_time ended the statement."},
    {RF_DIALECT_MARIADB, 1927, "", RF_TARGET, true, true, NULL},
    {RF_DIALECT_MARIADB, 2002, "", RF_TARGET, true, true, PLACE},
    {RF_DIALECT_MARIADB, 2003, "", RF_TARGET, true, true, PLACE},
    {RF_DIALECT_MARIADB, 2005, "", RF_TARGET, true, true, "Check the host of the connection."},
    {RF_DIALECT_MARIADB, 2006, "", RF_TARGET, true, true, NULL},
    {RF_DIALECT_MARIADB, 2013, "", RF_TARGET, true, true, NULL},
    {RF_DIALECT_MARIADB, 2026, "", RF_TARGET, false, true, "A host of another machine is reached by TLS only, and has to prove its name: sslrootcert=file names whom to trust, sslmode=disable does without."},
    {RF_DIALECT_MARIADB, 0, "42", RF_CONFIG, false, false, NULL},
    {RF_DIALECT_MARIADB, 0, "22", RF_DATA, false, false, NULL},
    {RF_DIALECT_MARIADB, 0, "23", RF_DATA, false, false, NULL},
    {RF_DIALECT_SQLITE, 5, "", RF_BUSY, true, false, "Another process writes to the file, or reads it for long."},
    {RF_DIALECT_SQLITE, 6, "", RF_BUSY, true, false, "Another session writes to the file."},
    {RF_DIALECT_SQLITE, 8, "", RF_TARGET, false, false, "The file, or its directory, may not be written."},
    {RF_DIALECT_SQLITE, 9, "", RF_TARGET, true, false, NULL},
    {RF_DIALECT_SQLITE, 10, "", RF_TARGET, true, false, NULL},
    {RF_DIALECT_SQLITE, 11, "", RF_TARGET, false, false, "The file is damaged."},
    {RF_DIALECT_SQLITE, 13, "", RF_TARGET, true, false, "The disk is full."},
    {RF_DIALECT_SQLITE, 14, "", RF_CONFIG, false, false, "Check that the directory of the file is there and may be written."},
    {RF_DIALECT_SQLITE, 18, "", RF_DATA, false, false, "A row is longer than SQLite takes, which is a billion bytes."},
    {RF_DIALECT_SQLITE, 19, "", RF_DATA, false, false, NULL},
    {RF_DIALECT_SQLITE, 26, "", RF_CONFIG, false, false, "The file is there and is no SQLite database."},
    {RF_DIALECTS, 0, "IM002", RF_CONFIG, false, true, "Check the name of the driver or data source; `odbcinst -q -d` and `odbcinst -q -s` list those that are registered."},
    {RF_DIALECTS, 0, "IM", RF_CONFIG, false, true, NULL},
    {RF_DIALECTS, 0, "28", RF_AUTH, false, true, LOGIN},
    {RF_DIALECTS, 0, "HYT00", RF_TARGET, true, true, NULL},
    {RF_DIALECTS, 0, "HYT01", RF_TARGET, true, true, NULL},
    {RF_DIALECTS, 0, "HY001", RF_NO_MEMORY, true, false, NULL},
    {RF_DIALECTS, 0, "HY008", RF_TARGET, true, false, NULL}, /* cancelled, and not by us */
    {RF_DIALECTS, 0, "HYC00", RF_CONFIG, false, false, "The driver cannot do what is needed here: take a newer one."},
    {RF_DIALECTS, 0, "08", RF_TARGET, true, true, NULL},
    {RF_DIALECTS, 0, "22", RF_DATA, false, false, NULL},
    {RF_DIALECTS, 0, "23", RF_DATA, false, false, NULL},
    {RF_DIALECTS, 0, "42", RF_CONFIG, false, false, NULL},
};

static const struct meaning *meaning_of(enum rf_dialect dialect, const struct rf_odbc_said *said) {
    for (size_t i = 0; i < sizeof MEANINGS / sizeof MEANINGS[0]; i++) {
        const struct meaning *row = &MEANINGS[i];
        bool fits = (row->dialect == RF_DIALECTS || row->dialect == dialect) && (row->native == 0 || row->native == said->native);
        if (fits && strncmp(said->state, row->state, strlen(row->state)) == 0) return row;
    }
    return NULL;
}

/* psqlODBC hands on the states of the server, and has a few of its own that begin with HY and IM. */
static bool is_of_server(enum rf_dialect dialect, const struct rf_odbc_said *said) {
    return dialect == RF_DIALECT_PSQLODBC && strncmp(said->state, "HY", 2) != 0 && strncmp(said->state, "IM", 2) != 0;
}

/* Of what has no number of Snowflake's, the states of the driver manager and of ODBC say enough. */
static bool is_snowflakes(enum rf_dialect dialect, const struct rf_odbc_said *said) {
    return dialect == RF_DIALECT_SNOWFLAKE && (rf_snowflake_number(said->native, said->text) != 0 || !meaning_of(dialect, said));
}

void rf_odbc_diagnose(enum rf_dialect dialect, const char *role, const struct rf_odbc_said *said, struct rf_error *err) {
    if (is_snowflakes(dialect, said)) {
        rf_snowflake_diagnose(role, said->native, said->state, said->text, err);
        return;
    }
    rf_fail(err, RF_TARGET, "target: %s: %s", role, said->text);
    rf_copy_text(err->role, sizeof err->role, role);
    rf_copy_text(err->server_message, sizeof err->server_message, said->text);
    rf_copy_text(err->sqlstate, sizeof err->sqlstate, said->state);
    if (is_of_server(dialect, said)) {
        rf_pg_diagnose(RF_SIDE_TARGET, said->state, err);
        return;
    }
    const struct meaning *meaning = meaning_of(dialect, said);
    err->code = meaning ? meaning->code : RF_TARGET;
    err->retryable = !meaning || meaning->retryable;
    if (meaning && meaning->hint) rf_copy_text(err->hint, sizeof err->hint, meaning->hint);
}

bool rf_odbc_says_lost(enum rf_dialect dialect, const struct rf_odbc_said *said) {
    const struct meaning *meaning = meaning_of(dialect, said);
    return (meaning && meaning->lost) || strncmp(said->state, "57P0", 4) == 0;
}

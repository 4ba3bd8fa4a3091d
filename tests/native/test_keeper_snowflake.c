/* Renewing the lease of a table in Snowflake for as long as a load may take: the keeper's thread is left out, its renewals are called here. */
#include "drivers/drivers.h"
#include "drivers/lease_keeper.h"
#include "drivers/sink_snowflake.h"
#include "facts.h"
#include "fake_adbc.h"
#include "units.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* In place of the core's, which opens a library. */
enum rf_code rf_adbc_load(struct rf_adbc *adbc, const char *library, const char *entry, struct rf_error *err) {
    (void)library, (void)entry, (void)err;
    fill_fake_driver(&adbc->driver);
    adbc->is_loaded = true;
    return RF_OK;
}

/* In place of the core's, which start a thread and end it. */
static struct rf_lease_renewal renewal;

enum rf_code rf_lease_keeper_start(double lease_seconds, const struct rf_lease_renewal *given, struct rf_lease_keeper **keeper, struct rf_error *err) {
    (void)lease_seconds, (void)keeper, (void)err;
    renewal = *given;
    return RF_OK;
}

void rf_lease_keeper_stop(struct rf_lease_keeper *keeper) {
    (void)keeper;
}

static char lease[256];

static const char *take_lease(const char *sql) {
    const char *end = strstr(sql, "' AS token");
    snprintf(lease, sizeof lease, "8|%.32s|run 1|1|rowferry|77", end - 32);
    return NULL;
}

static const char *read_lease(const char *sql) {
    return strstr(sql, "token") ? lease : NULL;
}

/* Days of them, one every forty seconds. */
enum { RENEWALS = 5040 };

TEST(a_lease_is_renewed_by_one_session_however_often_and_in_the_same_memory) {
    static struct fake_adbc adbc;
    static union rf_sink_memory memory;
    struct facts facts;
    struct rf_error err;
    int64_t load_id = 0;
    memset(&adbc, 0, sizeof adbc);
    fake_adbc = &adbc;
    make_facts(&facts, ",\"driver\":\"fake\",\"lock_timeout\":0");
    facts.job.target = "snowflake://u:geheim@a/raw";
    facts.job.target_database = "raw";
    facts.job.target_schema = "postgres";
    facts.job.target_label = "raw.postgres.orders";
    answer(&adbc, "CURRENT_SESSION()", "77");
    answer(&adbc, "INFORMATION_SCHEMA.SCHEMATA", "true|true|true");
    answer_by(&adbc, "MERGE INTO \"RAW\".\"_ROWFERRY\".\"LEASES\"", take_lease);
    answer_changed(&adbc, "UPDATE \"RAW\".\"_ROWFERRY\".\"LEASES\"", 1);
    answer_by(&adbc, "SELECT load_id::VARCHAR, token", read_lease);
    struct rf_cancel *cancel = needed(rf_cancel_new()), *stop = needed(rf_cancel_new());
    memory.snowflake = (struct rf_sink_snowflake){.job = &facts.job, .cancel = cancel, .arena = &facts.arena};
    assert_code(rf_snowflake_open_target(&memory.snowflake, false, &err), RF_OK, &err);
    assert_code(rf_snowflake_acquire(&memory.snowflake, &load_id, &err), RF_OK, &err);
    assert_int_equal(load_id, 8);
    for (int i = 0; i < (memory_is_scarce ? 1 : RENEWALS); i++) {
        adbc.statements[0] = '\0';
        assert_code(renewal.renew(renewal.self, stop, &err), RF_OK, &err);
        if (i > 0) assert_lacks(adbc.statements, "CURRENT_SESSION()");
    }
    renewal.drop(renewal.self);
    rf_snowflake_close_target(&memory.snowflake);
    assert_int_equal(atomic_load(&adbc.n_alive), 0);
    rf_cancel_release(stop);
    rf_cancel_release(cancel);
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_renewed_by_one_session_however_often_and_in_the_same_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

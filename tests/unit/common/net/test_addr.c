/* Hosts a request could be steered to, and who may go there (threats O-04, O-05). */

#include <arpa/inet.h>

#include "common/net/addr.h"

#include "tests/unit/test.h"

enum { PUB = ADDR_PUBLIC, PRIV = ADDR_PRIVATE, NEVER = ADDR_NEVER, NAME = -1 };

static const struct {
    const char *host;
    int want; /* NAME: no numeric address, so it goes to DNS */
} rows[] = {
    /* what we are for */
    {"1.1.1.1", PUB},
    {"8.8.8.8", PUB},
    {"9.255.255.255", PUB},
    {"11.0.0.0", PUB},
    {"100.63.255.255", PUB},
    {"100.128.0.0", PUB},
    {"126.255.255.255", PUB},
    {"128.0.0.1", PUB},
    {"169.253.255.255", PUB},
    {"169.255.0.0", PUB},
    {"172.15.255.255", PUB},
    {"172.32.0.0", PUB},
    {"192.0.1.0", PUB},
    {"192.167.255.255", PUB},
    {"192.169.0.0", PUB},
    {"198.17.255.255", PUB},
    {"198.20.0.0", PUB},
    {"223.255.255.255", PUB},
    {"2606:4700::1111", PUB},
    {"[2606:4700::1111]", PUB},
    {"2001:4860:4860::8888", PUB},
    /* what the operator may configure */
    {"0.0.0.0", PRIV},
    {"0.255.255.255", PRIV},
    {"10.0.0.1", PRIV},
    {"10.255.255.255", PRIV},
    {"100.64.0.0", PRIV},
    {"100.127.255.255", PRIV},
    {"127.0.0.1", PRIV},
    {"127.255.255.254", PRIV},
    {"172.16.0.1", PRIV},
    {"172.31.255.255", PRIV},
    {"192.168.0.0", PRIV},
    {"192.168.255.255", PRIV},
    {"198.18.0.1", PRIV},
    {"198.19.255.255", PRIV},
    {"::", PRIV},
    {"::1", PRIV},
    {"[::1]", PRIV},
    {"fc00::1", PRIV},
    {"fdff:ffff::1", PRIV},
    {"fec0::1", PRIV},
    {"64:ff9b:1::1", PRIV},
    /* nobody's */
    {"169.254.169.254", NEVER},
    {"169.254.0.0", NEVER},
    {"169.254.170.2", NEVER},
    {"168.63.129.16", NEVER},
    {"100.100.100.200", NEVER},
    {"192.0.0.192", NEVER},
    {"192.0.0.1", NEVER},
    {"224.0.0.1", NEVER},
    {"239.255.255.255", NEVER},
    {"240.0.0.1", NEVER},
    {"255.255.255.255", NEVER},
    {"fe80::1", NEVER},
    {"febf::1", NEVER},
    {"ff02::1", NEVER},
    {"fd00:ec2::254", NEVER},
    {"fd00:ec2::23", NEVER},
    {"fd20:ce::254", NEVER},
    /* IPv4 inside IPv6 */
    {"::ffff:8.8.8.8", PUB},
    {"::ffff:127.0.0.1", PRIV},
    {"::ffff:7f00:1", PRIV},
    {"::ffff:169.254.169.254", NEVER},
    {"::127.0.0.1", PRIV},
    {"::169.254.169.254", NEVER},
    {"::ffff:0:10.0.0.1", PRIV},
    {"::ffff:0:169.254.169.254", NEVER},
    {"64:ff9b::8.8.8.8", PUB},
    {"64:ff9b::10.0.0.1", PRIV},
    {"64:ff9b::169.254.169.254", NEVER},
    {"2002:0808:0808::1", PUB},
    {"2002:7f00:0001::1", PRIV},
    {"2002:a9fe:a9fe::1", NEVER},
    {"2001:0:808:808::f7f7:f7f7", PUB}, /* Teredo of 8.8.8.8 and, inverted, 8.8.8.8 */
    {"2001:0:a9fe:a9fe::f7f7:f7f7", NEVER},
    {"2001:0:808:808::80ff:fffe", PRIV},
    {"2001:0:808:808::5601:5601", NEVER},
    /* odd spellings: names to us, whatever they resolve to is looked at before connect */
    {"0x7f000001", NAME},
    {"2130706433", NAME},
    {"0177.0.0.1", NAME},
    {"127.1", NAME},
    {"0", NAME},
    {"127.0.0.1.", NAME},
    {"127.0.0.1 ", NAME},
    {"fe80::1%lo", NAME},
    {"[::1", NAME},
    {"[]", NAME},
    {"", NAME},
    {"localhost", NAME},
};

static void test_reach_of_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        union addr a;
        int got = addr_read(str_of(rows[i].host), 443, &a) ? (int)addr_reach(&a) : NAME;
        if (got != rows[i].want)
            fail_msg("%s: got %d, expected %d", rows[i].host, got, rows[i].want);
    }
}

static void test_only_the_operator_reaches_private(void **state)
{
    static const struct {
        const char *host;
        bool for_operator, for_others;
    } cases[] = {{"8.8.8.8", true, true}, {"::1", true, false}, {"fe80::1", false, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        union addr a;
        assert_true(addr_read(str_of(cases[i].host), 80, &a));
        assert_int_equal(addr_is_allowed(&a, true), cases[i].for_operator);
        assert_int_equal(addr_is_allowed(&a, false), cases[i].for_others);
    }
    union addr other = {.sa = {.sa_family = AF_UNIX}};
    assert_false(addr_is_allowed(&other, true));
}

static void test_reads_and_writes_back(void **state)
{
    union addr a;
    char text[ADDR_TEXT];

    (void)state;
    assert_true(addr_read(STR("[2001:db8::1]"), 8443, &a));
    assert_int_equal(ntohs(a.v6.sin6_port), 8443);
    assert_int_equal(addr_size(&a), sizeof a.v6);
    addr_put(&a, text);
    assert_string_equal(text, "2001:db8::1");
    assert_true(addr_read(STR("192.0.2.7"), 80, &a));
    addr_set_port(&a, 81);
    assert_int_equal(ntohs(a.v4.sin_port), 81);
    addr_put(&a, text);
    assert_string_equal(text, "192.0.2.7");
    union addr b;
    assert_true(addr_read(STR("192.0.2.7"), 1, &b) && addr_is_same_host(&a, &b));
    assert_true(addr_read(STR("192.0.2.8"), 81, &b) && !addr_is_same_host(&a, &b));
    assert_true(addr_read(STR("::ffff:192.0.2.7"), 81, &b) && !addr_is_same_host(&a, &b));
    assert_false(addr_read((struct str){"127.0.0.1\0x", 11}, 80, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach_of_hosts),
        cmocka_unit_test(test_only_the_operator_reaches_private),
        cmocka_unit_test(test_reads_and_writes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

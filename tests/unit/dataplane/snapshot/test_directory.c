/* The directory: what is applied is what a worker sees, with slots that stay. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "dataplane/snapshot/entities.h"

static const struct directory_options plain = {0};

static struct str found_text(const struct identity_found *f, struct snap_ref list, uint32_t i)
{
    const struct snap_ref *r = SNAP_AT(f->s, list, struct snap_ref, i);

    return r ? snap_str(f->s, *r) : (struct str){0};
}

static void test_worker_sees_key_and_team(void **state)
{
    struct plane p;

    (void)state;
    plane_open(&p, &plain);
    put_key(&p, 1,
            (struct key_of){
                .team = "red", .alias = "one", .models = {"gpt-4o", "claude-*"}, .budget_nusd = 5});
    plane_seal(&p, 1);
    struct identity_found f = get_key(&p, 1);
    assert_non_null(f.identity);
    assert_str(identity_name(&f), "sk-...abcd");
    assert_str(identity_alias(&f), "one");
    assert_int_equal(f.rules->models.n, 2);
    assert_str(found_text(&f, f.rules->models, 0), "gpt-4o");
    assert_str(found_text(&f, f.rules->models, 1), "claude-*");
    assert_true(f.rules->max_budget_nusd == 5 && f.rules->tpm == LIMIT_NONE);
    assert_true(f.identity->flags == IDENTITY_LIMITED && f.identity->user == SNAP_NONE);
    uint32_t team = f.identity->team;
    assert_true(team != SNAP_NONE);
    assert_null(identities_get(p.view, team).identity); /* named, not known */

    put_team(&p, "red", "Red", false);
    plane_seal(&p, 2);
    f = identities_get(p.view, team);
    assert_non_null(f.identity);
    assert_str(identity_id(&f), "red");
    assert_str(identity_alias(&f), "Red");
    assert_int_equal(identities_named(p.view, IDENTITY_TEAM, STR("red")).identity->slot, team);
    assert_null(identities_named(p.view, IDENTITY_USER, STR("red")).identity);
    assert_null(get_key(&p, 2).identity);
    assert_int_equal(directory_count(p.d), 2);
    assert_int_equal(identities_overlay(p.view)->revision, 2);
    plane_close(&p);
}

static void test_changes_lie_over_the_base(void **state)
{
    struct plane p;

    (void)state;
    plane_open(&p, &plain);
    for (uint32_t i = 0; i < 100; i++)
        put_key(&p, i, (struct key_of){.team = i % 2 ? "odd" : "even"});
    plane_seal(&p, 1);
    uint32_t slot = get_key(&p, 7).identity->slot;
    put_key(&p, 7, (struct key_of){.team = "odd", .blocked = true});
    put_key(&p, 8, (struct key_of){.gone = true});
    put_key(&p, 100, (struct key_of){.team = "new"});
    plane_seal(&p, 2);
    assert_int_equal(p.bases, 1);
    assert_int_equal(get_key(&p, 7).identity->slot, slot);
    assert_true(get_key(&p, 7).identity->flags & IDENTITY_BLOCKED);
    assert_null(get_key(&p, 8).identity);
    assert_non_null(get_key(&p, 100).identity);
    assert_int_equal(directory_count(p.d), 100);
    assert_int_equal(identities_overlay(p.view)->identities.n, 4); /* and team "new" */

    put_key(&p, 8, (struct key_of){.team = "even"});
    plane_seal(&p, 3);
    assert_non_null(get_key(&p, 8).identity);
    plane_close(&p);
}

static void test_nothing_new_gives_nothing(void **state)
{
    struct plane p;
    struct err e;
    int base, overlay;

    (void)state;
    plane_open(&p, &plain);
    put_key(&p, 1, (struct key_of){.team = "t"});
    plane_seal(&p, 1);
    put_key(&p, 1, (struct key_of){.team = "t", .spend_nusd = 9}); /* spend lies elsewhere */
    assert_int_equal(directory_seal(p.d, (struct directory_revision){7, 1}, &base, &overlay, &e),
                     ERRC_OK);
    assert_int_equal(overlay, -1);
    assert_int_equal(base, -1);
    uint64_t n = directory_n(p.d);
    plane_seal(&p, 2); /* the revision is news */
    assert_true(directory_n(p.d) > n && identities_overlay(p.view)->n == directory_n(p.d));
    plane_close(&p);
}

static void test_equal_rules_are_stored_once(void **state)
{
    struct plane p;

    (void)state;
    plane_open(&p, &plain);
    for (uint32_t i = 0; i < 1000; i++)
        put_key(&p, i, (struct key_of){.models = {i % 3 ? "a" : "b"}, .budget_nusd = 1 + i % 2});
    plane_seal(&p, 1);
    assert_int_equal(identities_base(p.view)->rules.n, 1 + 4);
    plane_close(&p);
}

static void test_members_are_found_in_any_order(void **state)
{
    struct plane p;

    (void)state;
    plane_open(&p, &plain);
    put_key(&p, 1, (struct key_of){.team = "t", .user = "u"});
    put_key(&p, 2, (struct key_of){.team = "t", .user = "v"});
    plane_seal(&p, 1);
    assert_int_equal(get_key(&p, 1).identity->member, SNAP_NONE);
    put_key(&p, 3, (struct key_of){.team = "t", .user = "u"});
    put_member(&p, "t", "u", false); /* after key 1 of the base and key 3 of the overlay */
    put_key(&p, 4, (struct key_of){.team = "t", .user = "u"});
    plane_seal(&p, 2);
    struct identity_found m = identities_named(p.view, IDENTITY_MEMBER, (struct str){"t\0u", 3});
    assert_non_null(m.identity);
    uint32_t slot = m.identity->slot;
    assert_int_equal(get_key(&p, 1).identity->member, slot);
    assert_int_equal(get_key(&p, 2).identity->member, SNAP_NONE);
    assert_int_equal(get_key(&p, 3).identity->member, slot);
    assert_int_equal(get_key(&p, 4).identity->member, slot);

    struct err e;
    assert_int_equal(directory_full(p.d, &e), ERRC_OK);
    put_key(&p, 1, (struct key_of){.team = "t", .user = "u"});
    put_member(&p, "t", "u", false);
    plane_seal(&p, 3);
    assert_int_equal(get_key(&p, 1).identity->member, slot);
    plane_close(&p);
}

static void test_full_sync_replaces_everything(void **state)
{
    struct plane p;
    struct err e;

    (void)state;
    plane_open(&p, &plain);
    for (uint32_t i = 0; i < 10; i++)
        put_key(&p, i, (struct key_of){.team = "t"});
    put_model(&p, "m1", "{}", false);
    plane_seal(&p, 1);
    uint32_t slot = get_key(&p, 3).identity->slot, team = get_key(&p, 3).identity->team;

    assert_int_equal(directory_full(p.d, &e), ERRC_OK);
    put_key(&p, 3, (struct key_of){.team = "t"});
    put_key(&p, 11, (struct key_of){0});
    put_model(&p, "m2", "{}", false);
    assert_non_null(get_key(&p, 4).identity); /* served on meanwhile */
    assert_int_equal(directory_count(p.d), 11);
    plane_seal(&p, 2);
    assert_int_equal(p.bases, 2);
    assert_null(get_key(&p, 4).identity);
    assert_int_equal(get_key(&p, 3).identity->slot, slot);
    assert_int_equal(get_key(&p, 3).identity->team, team);
    assert_true(get_key(&p, 11).identity->slot > slot);
    assert_int_equal(directory_count(p.d), 3);

    assert_int_equal(directory_full(p.d, &e), ERRC_OK);
    directory_abandon(p.d);
    plane_seal(&p, 3);
    assert_non_null(get_key(&p, 3).identity);
    plane_close(&p);
}

/* Waits for the thread that merges; the seal then gives its base. */
static void seal_until_base(struct plane *p)
{
    unsigned had = p->bases;

    for (unsigned i = 0; p->bases == had; i++) {
        assert_true(i < 10000);
        (void)usleep(1000);
        plane_seal(p, p->revision);
    }
}

static void test_merge_keeps_what_changed_meanwhile(void **state)
{
    struct plane p;

    (void)state;
    plane_open(&p, &plain);
    put_key(&p, 0, (struct key_of){.team = "t", .models = {"m"}});
    plane_seal(&p, 1);
    uint32_t slot = get_key(&p, 0).identity->slot, team = get_key(&p, 0).identity->team;
    for (uint32_t i = 1; i <= 2000; i++)
        put_key(&p, i, (struct key_of){.team = "t", .alias = "x"});
    put_key(&p, 0, (struct key_of){.gone = true});
    plane_seal(&p, 2); /* the merge begins */
    put_key(&p, 5, (struct key_of){.team = "other"});
    put_key(&p, 6, (struct key_of){.gone = true});
    put_key(&p, 3000, (struct key_of){.team = "t"});
    seal_until_base(&p);
    assert_null(get_key(&p, 0).identity);
    assert_null(get_key(&p, 6).identity);
    for (uint32_t i = 7; i <= 2000; i++) {
        struct identity_found f = get_key(&p, i);
        assert_non_null(f.identity);
        assert_int_equal(f.identity->team, team);
        assert_str(identity_alias(&f), "x");
    }
    assert_true(get_key(&p, 5).identity->team != team);
    assert_non_null(get_key(&p, 3000).identity);
    assert_true(identities_overlay(p.view)->identities.n <= 5);
    assert_true(get_key(&p, 1).identity->slot != slot);
    assert_int_equal(directory_count(p.d), 2000);
    plane_close(&p);
}

struct spends {
    int64_t known[64];
    unsigned cleared[64], forgotten;
};

static void forget(void *ctx, uint64_t numbering)
{
    struct spends *s = ctx;

    assert_true(numbering != 0);
    s->forgotten++;
}

static void know(void *ctx, uint32_t slot, const struct directory_spend *told)
{
    struct spends *s = ctx;

    assert_true(slot < ARRAY_LEN(s->known));
    s->known[slot] = told->spend_nusd;
}

static int64_t known(void *ctx, uint32_t slot)
{
    struct spends *s = ctx;

    return slot < ARRAY_LEN(s->known) ? s->known[slot] : 0;
}

static void clear(void *ctx, uint32_t slot)
{
    struct spends *s = ctx;

    assert_true(slot < ARRAY_LEN(s->known));
    s->known[slot] = 0;
    s->cleared[slot]++;
}

static void full_of(struct plane *p, uint32_t from, uint32_t to, uint64_t revision)
{
    struct err e;

    assert_int_equal(directory_full(p->d, &e), ERRC_OK);
    for (uint32_t i = from; i < to; i++)
        put_key(p, i, (struct key_of){0});
    plane_seal(p, revision);
}

static void test_slots_are_used_again_two_bases_later(void **state)
{
    struct spends spends = {0};
    const struct directory_options o = {.counters = {&spends, know, known, clear, NULL},
                                        .max_slots = 6};
    struct plane p;

    (void)state;
    plane_open(&p, &o);
    full_of(&p, 0, 2, 1);
    uint32_t slot = get_key(&p, 0).identity->slot;
    full_of(&p, 1, 2, 2); /* key 0 is gone */
    full_of(&p, 1, 3, 3);
    full_of(&p, 1, 3, 4); /* two bases later its slot is another's */
    assert_int_equal(spends.cleared[slot], 1);
    assert_true(get_key(&p, 2).identity->slot != slot);
    full_of(&p, 1, 4, 5);
    assert_int_equal(get_key(&p, 3).identity->slot, slot);
    assert_int_equal(spends.cleared[slot], 2);

    for (uint32_t i = 10; i < 13; i++)
        put_key(&p, i, (struct key_of){.spend_nusd = i});
    assert_int_equal(spends.known[5], 12);
    Weir__Tag tag = WEIR__TAG__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;
    struct err e;
    tag.name = BYTES("one too many");
    en.is_case = WEIR__ENTITY__IS_TAG;
    en.tag = &tag;
    assert_int_equal(directory_apply(p.d, &en, &e), ERRC_LIMIT);
    plane_seal(&p, 6);
    assert_non_null(get_key(&p, 12).identity);
    plane_close(&p);
}

static void test_bad_entities_are_refused_alone(void **state)
{
    struct plane p;
    struct err e;
    Weir__Key key = WEIR__KEY__INIT;
    Weir__Member member = WEIR__MEMBER__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;

    (void)state;
    plane_open(&p, &plain);
    assert_int_equal(directory_apply(p.d, &en, &e), ERRC_INVALID);
    key.hash = BYTES("too short");
    en.is_case = WEIR__ENTITY__IS_KEY;
    en.key = &key;
    assert_int_equal(directory_apply(p.d, &en, &e), ERRC_INVALID);
    member.team = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a\0b"};
    member.user = BYTES("c");
    en.is_case = WEIR__ENTITY__IS_MEMBER;
    en.member = &member;
    assert_int_equal(directory_apply(p.d, &en, &e), ERRC_INVALID);
    put_key(&p, 1, (struct key_of){0});
    plane_seal(&p, 1);
    assert_non_null(get_key(&p, 1).identity);
    assert_int_equal(directory_count(p.d), 1);
    plane_close(&p);
}

static void test_another_link_goes_on_with_the_same_slots(void **state)
{
    struct plane p, q;
    struct err e;

    (void)state;
    plane_open(&p, &plain);
    for (uint32_t i = 0; i < 50; i++)
        put_key(&p, i, (struct key_of){.team = "t"});
    plane_seal(&p, 1);
    put_key(&p, 50, (struct key_of){.team = "u"});
    plane_seal(&p, 2);

    plane_open(&q, &plain);
    assert_int_equal(directory_adopt(q.d, p.base_fd, p.overlay_fd, &e), ERRC_OK);
    assert_int_equal(directory_revision(q.d).n, 0); /* without documents all must come again */
    assert_int_equal(directory_numbering(q.d), directory_numbering(p.d));
    assert_int_equal(directory_count(q.d), 51);
    assert_int_equal(directory_adopt(q.d, p.overlay_fd, p.base_fd, &e), ERRC_INVALID);
    full_of(&q, 0, 52, 3);
    assert_int_equal(get_key(&q, 50).identity->slot, get_key(&p, 50).identity->slot);
    assert_int_equal(get_key(&q, 20).identity->slot, get_key(&p, 20).identity->slot);
    assert_true(get_key(&q, 51).identity->slot > 52);
    assert_true(directory_n(q.d) > directory_n(p.d));
    plane_close(&p);
    plane_close(&q);
}

/* ---- on disk ---- */

static const unsigned char disk_key[DIRECTORY_KEY] = {1, 2, 3};

struct disk {
    char dir[64], path[96];
};

static void disk_open(struct disk *k)
{
    (void)snprintf(k->dir, sizeof k->dir, "/tmp/weir-directory-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    (void)snprintf(k->path, sizeof k->path, "%s/last", k->dir);
}

static void disk_close(const struct disk *k)
{
    DIR *all = opendir(k->dir);
    struct dirent *entry;

    assert_non_null(all);
    while ((entry = readdir(all)))
        (void)unlinkat(dirfd(all), entry->d_name, 0); /* not "." */
    (void)closedir(all);
    assert_int_equal(rmdir(k->dir), 0); /* nothing else was left there */
}

static void count(void *ctx, const Weir__Entity *en)
{
    assert_int_equal(en->model->litellm_params.len, 7);
    (*(unsigned *)ctx)++;
}

static void test_state_comes_back_from_disk(void **state)
{
    struct spends spends = {0}, loaded = {0};
    const struct directory_options o = {.counters = {&spends, know, known, clear, forget}};
    const struct directory_options o2 = {.counters = {&loaded, know, known, clear, forget}};
    struct plane p, q;
    struct disk k;
    struct err e;
    unsigned models = 0;

    (void)state;
    disk_open(&k);
    plane_open(&p, &o);
    for (uint32_t i = 0; i < 20; i++)
        put_key(&p, i, (struct key_of){.team = "t", .spend_nusd = i * 10});
    put_model(&p, "m", "{\"a\":1}", false);
    assert_int_equal(directory_save(p.d, k.path, disk_key, &e), ERRC_INVALID);
    plane_seal(&p, 1);
    assert_int_equal(directory_save(p.d, k.path, disk_key, &e), ERRC_OK);
    put_key(&p, 3, (struct key_of){.team = "t", .blocked = true, .spend_nusd = 31});
    put_key(&p, 4, (struct key_of){.gone = true});
    plane_seal(&p, 9);
    assert_int_equal(directory_save(p.d, k.path, disk_key, &e), ERRC_OK);

    plane_open(&q, &o2);
    loaded.known[get_key(&p, 5).identity->slot] = 77; /* what outlived the link knows more */
    assert_int_equal(loaded.forgotten, 0);
    assert_int_equal(directory_load(q.d, k.path, disk_key, &e), ERRC_OK);
    assert_int_equal(loaded.forgotten, 1);
    assert_int_equal(spends.forgotten, 1);
    assert_int_equal(loaded.known[get_key(&p, 5).identity->slot], 77);
    assert_true(directory_revision(q.d).epoch == 7 && directory_revision(q.d).n == 9);
    plane_seal(&q, 9);
    assert_int_equal(q.bases, 1);
    assert_true(get_key(&q, 3).identity->flags & IDENTITY_BLOCKED);
    assert_null(get_key(&q, 4).identity);
    assert_int_equal(get_key(&q, 19).identity->slot, get_key(&p, 19).identity->slot);
    assert_int_equal(loaded.known[get_key(&q, 3).identity->slot], 31);
    assert_int_equal(loaded.known[get_key(&q, 19).identity->slot], 190);
    directory_each_document(q.d, WEIR__ENTITY__IS_MODEL, count, &models);
    assert_int_equal(models, 1);
    assert_int_equal(directory_count(q.d), directory_count(p.d));
    assert_int_equal(directory_adopt(q.d, p.base_fd, p.overlay_fd, &e), ERRC_OK);
    assert_int_equal(directory_revision(q.d).n, 9); /* the documents are there */
    plane_close(&p);
    plane_close(&q);
    disk_close(&k);
}

/* The bytes of a file, one changed, cut, or whole again. */
static void test_damage_on_disk_is_refused(void **state)
{
    struct plane p, q;
    struct disk k;
    struct err e;
    char base[128];
    unsigned char other[DIRECTORY_KEY] = {9};

    (void)state;
    disk_open(&k);
    plane_open(&p, &plain);
    for (uint32_t i = 0; i < 20; i++)
        put_key(&p, i, (struct key_of){.team = "t"});
    plane_seal(&p, 1);
    assert_int_equal(directory_save(p.d, k.path, disk_key, &e), ERRC_OK);
    (void)snprintf(base, sizeof base, "%s.%llu", k.path,
                   (unsigned long long)identities_base(p.view)->n);
    plane_open(&q, &plain);
    assert_int_equal(directory_load(q.d, k.path, other, &e), ERRC_INVALID);
    const char *const files[] = {k.path, base};
    for (unsigned f = 0; f < 2; f++) {
        int fd = open(files[f], O_RDWR);
        struct stat st;
        unsigned char was;
        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        for (off_t at = 0; at < st.st_size; at += 1 + at / 64) {
            assert_int_equal(pread(fd, &was, 1, at), 1);
            unsigned char now = was ^ 0x10;
            assert_int_equal(pwrite(fd, &now, 1, at), 1);
            assert_int_equal(directory_load(q.d, k.path, disk_key, &e), ERRC_INVALID);
            assert_int_equal(pwrite(fd, &was, 1, at), 1);
        }
        assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
        assert_int_equal(directory_load(q.d, k.path, disk_key, &e), ERRC_INVALID);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(directory_load(q.d, k.path, disk_key, &e), ERRC_INVALID);
        (void)close(fd);
        assert_int_equal(unlink(files[f]), 0);
        assert_int_equal(directory_save(p.d, k.path, disk_key, &e), ERRC_OK);
    }
    assert_int_equal(directory_count(q.d), 0);
    assert_int_equal(directory_load(q.d, k.path, disk_key, &e), ERRC_OK);
    assert_int_equal(directory_count(q.d), 20);
    assert_int_equal(unlink(base), 0);
    assert_int_equal(directory_load(q.d, k.path, disk_key, &e), ERRC_INVALID);
    assert_int_equal(unlink(k.path), 0);
    assert_int_equal(directory_load(q.d, k.path, disk_key, &e), ERRC_SYS);
    assert_int_equal(e.sys, ENOENT);
    plane_close(&p);
    plane_close(&q);
    disk_close(&k);
}

static void test_saving_leaves_one_base(void **state)
{
    struct plane p;
    struct disk k;
    struct err e;
    char old[128];

    (void)state;
    disk_open(&k);
    plane_open(&p, &plain);
    full_of(&p, 0, 3, 1);
    (void)snprintf(old, sizeof old, "%s.%llu", k.path,
                   (unsigned long long)identities_base(p.view)->n);
    assert_int_equal(directory_save(p.d, k.path, disk_key, &e), ERRC_OK);
    assert_int_equal(access(old, F_OK), 0);
    full_of(&p, 0, 4, 2);
    assert_int_equal(directory_save(p.d, k.path, disk_key, &e), ERRC_OK);
    assert_int_equal(access(old, F_OK), -1);
    plane_close(&p);
    disk_close(&k);
}

static void test_documents_change_with_the_sync(void **state)
{
    struct plane p;
    struct err e;
    unsigned n = 0;

    (void)state;
    plane_open(&p, &plain);
    put_model(&p, "a", "{\"a\":1}", false);
    put_model(&p, "b", "{\"a\":1}", false);
    uint64_t was = directory_documents(p.d);
    put_model(&p, "a", "{\"a\":1}", true);
    assert_true(directory_documents(p.d) != was);
    directory_each_document(p.d, WEIR__ENTITY__IS_MODEL, count, &n);
    assert_int_equal(n, 1);
    was = directory_documents(p.d);
    assert_int_equal(directory_full(p.d, &e), ERRC_OK);
    put_model(&p, "c", "{\"a\":1}", false);
    assert_int_equal(directory_documents(p.d), was);
    plane_seal(&p, 1);
    assert_true(directory_documents(p.d) != was);
    directory_each_document(p.d, WEIR__ENTITY__IS_CREDENTIAL, count, &n);
    assert_int_equal(n, 1);
    plane_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_sees_key_and_team),
        cmocka_unit_test(test_changes_lie_over_the_base),
        cmocka_unit_test(test_nothing_new_gives_nothing),
        cmocka_unit_test(test_equal_rules_are_stored_once),
        cmocka_unit_test(test_members_are_found_in_any_order),
        cmocka_unit_test(test_full_sync_replaces_everything),
        cmocka_unit_test(test_merge_keeps_what_changed_meanwhile),
        cmocka_unit_test(test_slots_are_used_again_two_bases_later),
        cmocka_unit_test(test_bad_entities_are_refused_alone),
        cmocka_unit_test(test_another_link_goes_on_with_the_same_slots),
        cmocka_unit_test(test_state_comes_back_from_disk),
        cmocka_unit_test(test_damage_on_disk_is_refused),
        cmocka_unit_test(test_saving_leaves_one_base),
        cmocka_unit_test(test_documents_change_with_the_sync),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
